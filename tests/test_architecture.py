"""The shape of the house: one way for imports, no traces of a machine, and a command line that answers at once."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ipv2_bench"
ROAD = ("physics", "data", "purification", "denoisers", "metrics", "benchmark", "cli")
FOUNDATION = ("errors", "fingerprint", "processes", "registry")


def folder_of(path: Path) -> str:
    """``physics`` for ``ipv2_bench/physics/…``, ``cli`` for ``ipv2_bench/cli.py``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Folders and top modules of ours that a file imports, at its top or inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by relative path"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "ipv2_bench" else [module]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("ipv2_bench.")}
    return found


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def test_every_folder_has_its_place_on_the_road() -> None:
    assert {folder_of(p) for p in MODULES} == {*ROAD, *FOUNDATION}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    folder = folder_of(path)
    allowed = {folder, *FOUNDATION, "__version__"}
    if folder in ROAD:
        allowed |= set(ROAD[: ROAD.index(folder)])
    assert imported(path) <= allowed


@pytest.mark.parametrize("name", FOUNDATION)
def test_the_foundation_stands_below_every_folder(name: str) -> None:
    assert imported(PACKAGE / f"{name}.py") <= {"errors"}


def test_the_parser_of_imports_finds_them() -> None:
    assert {"purification", "physics"} <= imported(PACKAGE / "metrics" / "anatomy.py")
    assert "benchmark" in imported(PACKAGE / "cli.py")  # inside of a function


def test_no_file_tells_of_a_machine_or_of_unfinished_work() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    # Put together here, so that this file does not hold them itself.
    forbidden = [f"/{name}/" for name in ("work", "home", "Users")] + ["TO" + "DO", "FIX" + "ME"]
    found = []
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8", errors="ignore")
        found += [f"{name}: {word}" for word in forbidden if word in text]
    assert len(names) > 50
    assert not found


def test_help_answers_in_under_a_second_of_work() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "ipv2_bench.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Time of the processor, so that other work on the machine does not count.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
    assert all(command in done.stdout for command in ("reproduce", "train", "evaluate", "examples:"))


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, ipv2_bench.cli as c; c.parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "scipy", "skimage", "lightning", "omegaconf"} & set(done.stdout.split())


def test_input_errors_end_with_code_2_and_no_trace() -> None:
    command = [sys.executable, "-m", "ipv2_bench.cli", "reproduce", "--config", "no/such.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "no/such.yaml is not there" in done.stderr and "Traceback" not in done.stderr
