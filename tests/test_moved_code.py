"""Results are named by what they are, not by source text: refactoring renames nothing, a raised version what depends on it."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipv2_bench.fingerprint import version_of
from tests.conftest import Smoke
from tests.names_of_results import Names, names_of_results
from tests.program import LONGEST, ROOT, run, table

MOVED = {
    "benchmark.cells.plan": "benchmark.cells.planning",
    "benchmark.measuring": "benchmark.cells.measuring_test_sets",
    "benchmark.cells.training.callbacks": "benchmark.rows.hooks",
    "data.slices": "data.slice_set",
    "data.thorax": "physics.chest",
    "denoisers.networks.unet": "denoisers.blocks_of_a_unet",
    "metrics.distances": "metrics.between_sets",
    "physics.scanner": "physics.machine",
    "purification.masks": "purification.mask_functions",
    "fingerprint": "naming",
}
"""Modules and folders that are moved or renamed. Denoisers, sources, measures and commands are called by their files' names."""

REWRITTEN = {
    "purification/strategies/purified.py": (
        "return TrainingPair(pair.mask * x + (1.0 - pair.mask) * u, n)",
        "weight = pair.mask; mixed = weight * x + (1.0 - weight) * u; return TrainingPair(mixed, n)",
    ),
    "data/pair.py": ("return ", "if True: return "),
    "benchmark/cells/cost.py": ("parameters: int", "parameters: int  # of the denoiser"),
}
"""File → code of it and an equal form."""


def rename(package: Path, old: str, new: str) -> None:
    """Move a module or a folder, and every import of it."""
    source, target = package.joinpath(*old.split(".")), package.joinpath(*new.split("."))
    if not source.is_dir():
        source, target = source.with_suffix(".py"), target.with_suffix(".py")
    source.rename(target)
    parent, _, name = f"ipv2_bench.{old}".rpartition(".")
    new_parent, _, new_name = f"ipv2_bench.{new}".rpartition(".")
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(rf"\bipv2_bench\.{re.escape(old)}\b", f"ipv2_bench.{new}", text)
        # After ast.unparse every import is on one line.
        for line in re.findall(rf"^ *from {re.escape(parent)} import .*\b{name}\b.*$", text, re.M):
            indent = line[: len(line) - len(line.lstrip())]
            others = [x.strip() for x in line.split(" import ")[1].split(",") if x.strip() != name]
            lines = [f"{indent}from {new_parent} import {new_name} as {name}"]
            lines += [f"{indent}from {parent} import {', '.join(others)}"] if others else []
            text = text.replace(line, "\n".join(lines))
        path.write_text(text, encoding="utf-8")


def document_anew(path: Path) -> None:
    """Other docstrings, other comments, other layout; the same code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            node.body[0] = ast.Expr(ast.Constant(f"Documented anew: {getattr(node, 'name', path.stem)}."))
    path.write_text(f"# A comment.\n\n\n{ast.unparse(ast.fix_missing_locations(tree))}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def refactored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree after a refactoring that changes no number."""
    root = tmp_path_factory.mktemp("refactored")
    for part in ("ipv2_bench", "experiments", "leaderboards/published"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    package = root / "ipv2_bench"
    for path in package.rglob("*.py"):
        document_anew(path)
    for name, (text, equal) in REWRITTEN.items():
        path = package / name
        code = path.read_text(encoding="utf-8")
        assert text in code, f"{name} has changed: choose something else of it to rewrite"
        path.write_text(rewritten(code, text, equal), encoding="utf-8")
    for old, new in MOVED.items():
        rename(package, old, new)
    return root


def rewritten(code: str, text: str, equal: str) -> str:
    """The code with every line that holds a text written as an equal one, over several lines where it has ``;``."""
    lines = []
    for line in code.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        new = line.replace(text, equal)
        lines += [indent + part.strip() for part in new.split(";")] if text in line and ";" in equal else [new]
    return "\n".join(lines) + "\n"


def of_package(root: Path, work: Path) -> Names:
    """The names that the package under a root gives."""
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{ROOT}", "IPV2_BENCH_CT": ""}
    command = [sys.executable, "-m", "tests.names_of_results", str(work)]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["package"] == str(root / "ipv2_bench")
    return answer["names"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the slices."""
    return tmp_path_factory.mktemp("names")


@pytest.fixture(scope="module")
def before(work: Path) -> Names:
    """The names that this package gives."""
    return names_of_results(work)


def test_there_is_a_name_for_everything(before: Names) -> None:
    assert {kind: len(each) for kind, each in before.items()} == {
        "slices": 2, "calibration": 1, "cells": 26, "labels": 5, "measures": 31, "rows": 49,
    }  # fmt: skip
    assert len(set(before["cells"].values())) == len(before["cells"])
    assert len({*before["rows"].values()}) == 49 - 4 - 5  # lines of Table 1 that the tuned ones and those of Table 3 repeat


def test_a_refactoring_renames_nothing(refactored: Path, before: Names, tmp_path: Path) -> None:
    for old, new in MOVED.items():
        places = [(refactored / "ipv2_bench").joinpath(*name.split(".")) for name in (old, new)]
        gone, there = (p.is_dir() or p.with_suffix(".py").is_file() for p in places)
        assert there and not gone, new
    assert of_package(refactored, tmp_path) == before


def test_a_refactored_program_finds_every_cell_complete(refactored: Path, smoke: Smoke, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(smoke.folder, folder)
    trained = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    done = run(folder, "reproduce", "--config", "smoke", "wandb.mode=disabled", PYTHONPATH=str(refactored))
    assert "22 cells, 22 of them complete" in done.stdout and "cells computed" not in done.stdout
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")} == trained
    for n in (1, 2, 3):
        again = folder / "leaderboards" / "smoke" / f"table{n}.csv"
        assert again.read_bytes() == (smoke.out / f"table{n}.csv").read_bytes() and len(table(again)) >= 4


def changed(before: Names, after: Names) -> dict[str, set[str]]:
    """By kind, what has another name."""
    assert {k: v.keys() for k, v in before.items()} == {k: v.keys() for k, v in after.items()}
    differing = {kind: {what for what in each if each[what] != after[kind][what]} for kind, each in before.items()}
    return {kind: each for kind, each in differing.items() if each}


WITH_MODULE_3 = {"IPv1+3(NDCT)", "IPv2(NDCT)"}
"""Labels that a weak denoiser has denoised."""


def line_of(row: str) -> str:
    """``fm + IPv1`` of "table1: fm + IPv1 to NDCT"."""
    return row.partition(": ")[2].partition(" to ")[0]


def is_all(name: str) -> bool:
    """Of a version on which all of a kind depends."""
    return True


def is_folder(name: str) -> bool:
    """Of slices: their folder, and not the hash of what they hold."""
    return name == "folder"


def is_weak(name: str) -> bool:
    """Of labels and rows of labels: those with module 3."""
    return line_of(f": {name}") in WITH_MODULE_3 or line_of(name) in WITH_MODULE_3


def is_trained(row: str) -> bool:
    """Of rows: all but those of labels without module 3."""
    return " + " in row or is_weak(row)


def is_fm(name: str) -> bool:
    """Of cells and rows: those of flow matching and its variants, and labels with module 3, whose weak denoiser it is."""
    of_fm = re.match(r"FM( |,)", name) is not None or line_of(name).startswith(("fm ", "fm_"))
    return of_fm or is_weak(name) or name.endswith(" to IPv2(NDCT)")


def is_corediff(name: str) -> bool:
    """Of cells and rows: those of CoreDiff and its variants."""
    return name.startswith("CoreDiff") or line_of(name).startswith("corediff")


Depends = Callable[[str], bool]
TRAINING: dict[str, Depends] = {"cells": is_all, "labels": is_weak, "rows": is_trained}
VERSIONS: dict[str, dict[str, Depends]] = {
    "ipv2_bench.denoisers.iterative.corediff.CoreDiff.version": {"cells": is_corediff, "rows": is_corediff},
    "ipv2_bench.denoisers.iterative.fm.FlowMatching.version": {"cells": is_fm, "labels": is_weak, "rows": is_fm},
    "ipv2_bench.denoisers.networks.VERSION": TRAINING,
    "ipv2_bench.benchmark.cells.training.train.VERSION": TRAINING,
    "ipv2_bench.data.datamodule.VERSION": TRAINING,
    "ipv2_bench.purification.VERSION": dict.fromkeys(("calibration", "cells", "labels", "measures", "rows"), is_all),
    "ipv2_bench.physics.VERSION": {
        "slices": is_folder, **dict.fromkeys(("calibration", "cells", "labels", "measures", "rows"), is_all),
    },
    "ipv2_bench.data.VERSION": {"slices": is_folder, "cells": is_all, "labels": is_all, "rows": is_all},
    "ipv2_bench.data.sources.phantom.Phantom.version": {"slices": is_folder},
    "ipv2_bench.metrics.VERSION": {"measures": is_all, "rows": is_all},
    "ipv2_bench.metrics.measures.lung_edge.LungEdge.version": {"measures": is_all, "rows": is_all},
    "ipv2_bench.benchmark.cells.labels.VERSION": {"labels": is_all, "rows": is_all},
    "ipv2_bench.benchmark.rows.make.VERSION": {"rows": is_all},
}  # fmt: skip
"""Version → kinds in which something has another name when it is raised, and what of them."""


@pytest.mark.parametrize("name", VERSIONS)
def test_a_raised_version_renames_what_depends_on_it_and_nothing_else(
    name: str, before: Names, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, _, attribute = name.rpartition(".")
    try:
        holder: Any = importlib.import_module(owner)
    except ModuleNotFoundError:
        holder = getattr(importlib.import_module(owner.rpartition(".")[0]), owner.rpartition(".")[2])
    assert isinstance(vars(holder)[attribute], int)
    monkeypatch.setattr(holder, attribute, vars(holder)[attribute] + 1)
    differing = changed(before, names_of_results(work))
    expected = {kind: {what for what in before[kind] if depends(what)} for kind, depends in VERSIONS[name].items()}
    assert differing == expected


def test_classes_from_outside_are_known_by_their_code_and_not_by_their_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))

    def version(name: str, text: str) -> int | str:
        (tmp_path / f"{name}.py").write_text(f"from ipv2_bench.denoisers.filters.identity import Identity\n{text}")
        return version_of(importlib.import_module(name).Mine)

    body = "class Mine(Identity):\n    def scale(self):\n        return {}\n"
    first = version("outside_a", body.format("2"))
    (tmp_path / "outside_a.py").write_text(
        "from ipv2_bench.denoisers.filters.identity import Identity\n# said\nclass Mine(Identity):\n"
        '    """Words."""\n    def scale(self):\n        """More."""\n        return (2)\n'
    )
    assert version_of(sys.modules["outside_a"].Mine) == first
    (tmp_path / "outside_a.py").write_text("from ipv2_bench.denoisers.filters.identity import Identity\n" + body.format("3"))
    assert version_of(sys.modules["outside_a"].Mine) != first and isinstance(first, str)
    assert version("outside_b", "class Mine(Identity):\n    version = 7\n") == 7
