"""The shape of the house: imports point one way, files and folders stay small, nothing is kept in globals."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests.program import ROOT

PACKAGE = ROOT / "ipv2_bench"
LONGEST = 300
"""Lines of a file."""

MOST = 14
"""Modules of a folder."""

GROUND: dict[str, set[str]] = {
    "errors": set(),
    "fingerprint": set(),
    "lease": set(),
    "processes": {"streams"},
    "progress": set(),
    "streams": set(),
    "files": {"errors", "fingerprint"},
    "installed": {"errors"},
    "outside": {"errors"},
    "registry": {"errors", "fingerprint", "outside"},
    "stored": {"errors", "files", "fingerprint"},
    "weights": {"errors", "files"},
}
"""Modules that every other may import, and what of each other they may."""

ORDER: tuple[tuple[str, ...], ...] = (
    ("physics",),
    ("data",),
    ("purification",),
    ("backbones",),
    ("denoisers",),
    ("metrics",),
    ("benchmark",),
    ("benchmark.cells",),
    ("benchmark.rows",),
    ("benchmark.views",),
    ("benchmark.views.html", "benchmark.views.wandb"),
    ("benchmark.tasks",),
    ("folders",),
    ("commands",),
    ("cli",),
)
"""Folders from the lowest: each imports itself and those before it, and none beside it."""

FILES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    """Name of a module inside of the package: ``benchmark.cells.plan``; a folder's ``__init__`` is the folder's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {dotted(p) for p in FILES}


def folder_of(module: str) -> str:
    """The longest name in :data:`ORDER` or :data:`GROUND` that a module is in; empty for the package itself."""
    known = [name for names in ORDER for name in names] + list(GROUND)
    return max((n for n in known if module == n or module.startswith(f"{n}.")), key=len, default="")


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, at its top or inside of functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by relative path"
            module = node.module or ""
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    own = {name.removeprefix("ipv2_bench.") for name in names if name.startswith("ipv2_bench.")}
    # "from folder import name" names a module of the folder, or something of the folder's __init__.
    return {n for n in own if n in MODULES and not any(o.startswith(f"{n}.") and o in MODULES for o in own)}


def allowed(folder: str) -> set[str]:
    """Folders that a folder may import."""
    if not folder:  # the package itself, the door for programs: nothing imports from it but its version
        return {name for names in ORDER for name in names}
    if folder in GROUND:
        return GROUND[folder]
    level = next((i for i, names in enumerate(ORDER) if folder in names), 0)
    return {folder, *GROUND, *(name for names in ORDER[:level] for name in names)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    folder = folder_of(dotted(path))
    assert folder or path == PACKAGE / "__init__.py", f"{path.name} has no place in the order"
    assert {folder_of(module) for module in imported(path)} <= allowed(folder)


def test_every_folder_of_the_order_exists() -> None:
    for name in [*GROUND, *(name for names in ORDER for name in names)]:
        place = PACKAGE.joinpath(*name.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), name


def test_the_reader_of_imports_sees_them() -> None:
    assert {"purification.masks", "physics.intensity"} <= imported(PACKAGE / "metrics" / "anatomy.py")
    assert "benchmark.tasks.reproduce" in imported(PACKAGE / "commands" / "run" / "reproduce.py")  # inside of a function
    assert "benchmark.tasks.lists" in imported(PACKAGE / "commands" / "look" / "list.py")  # as a name of its folder
    assert folder_of("benchmark.views.html.page") == "benchmark.views.html" and folder_of("benchmark.config") == "benchmark"
    assert "benchmark.rows" not in allowed("benchmark.cells") and "benchmark.views.wandb" not in allowed("benchmark.views.html")
    assert "benchmark.views.html" not in allowed("benchmark.views") and "benchmark.cells" in allowed("benchmark.tasks")


def test_the_package_imports_no_test() -> None:
    for path in FILES:
        assert "tests" not in {name.split(".")[0] for name in all_imports(path)}, path


def all_imports(path: Path) -> set[str]:
    """Every module that a file imports, of whomever."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = set()
    for node in tree:
        names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
    return names


def test_no_file_is_long() -> None:
    texts = [p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".pyc", ".safetensors")]
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in texts}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
    assert len(lengths) > 150


def test_no_folder_is_crowded() -> None:
    counts = {
        str(folder.relative_to(PACKAGE)): len(list(folder.glob("*.py")))
        for folder in [PACKAGE, *PACKAGE.rglob("*")]
        if folder.is_dir()
    }
    assert {name: n for name, n in counts.items() if n > MOST} == {}


KEPT = {
    "benchmark/views/wandb/runs.py": ["os.environ.pop() is called"],
    "cli.py": ["os.environ.pop() is called"],
    "processes.py": ["os.environ.pop() is called"],
}
"""The exceptions: the process that workers are forked from is told in the environment where modules are; W&B would use
the service of another program, whose address it reads in the environment; and matplotlib, which libraries import, fails where it
names a backend that is not there."""

CHANGES = {"append", "add", "update", "setdefault", "pop", "popitem", "extend", "insert", "remove", "discard", "clear"}
"""Methods that change a list, a dictionary or a set."""


def kept_state(tree: ast.Module) -> list[str]:
    """What a module keeps between calls: globals that functions write, the environment, collections that are changed."""
    kinds = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    makers = ("dict", "list", "set", "defaultdict", "Counter", "deque")
    collections = set()
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            called = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).split(".")[-1] in makers
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if called or isinstance(node.value, kinds):
                collections |= {t.id for t in targets if isinstance(t, ast.Name)}
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            problems.append(f"global {', '.join(node.names)}")
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            name = ast.unparse(node.value)
            if name in collections or name.endswith("environ"):
                problems.append(f"{name}[…] is assigned")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func.value)
            changed = name in collections or name.endswith("environ")
            if (changed and node.func.attr in CHANGES) or ast.unparse(node.func) in ("os.putenv", "os.unsetenv"):
                problems.append(f"{name}.{node.func.attr}() is called")
    return problems


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_kept_in_globals_or_the_environment(path: Path) -> None:
    expected = KEPT.get(path.relative_to(PACKAGE).as_posix(), [])
    assert kept_state(ast.parse(path.read_text(encoding="utf-8"))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "n = 0\ndef f():\n    global n\n    n += 1",
        "import os\nos.environ['A'] = '1'",
        "import os\nos.environ.setdefault('A', '1')",
        "import os\nos.putenv('A', '1')",
        "seen = {}\ndef f(x):\n    seen[x] = 1",
        "seen: list[int] = []\ndef f(x):\n    seen.append(x)",
        "from collections import defaultdict\nseen = defaultdict(list)\ndef f(x):\n    seen.setdefault(x, 1)",
        "seen = set()\ndef f(x):\n    seen.add(x)",
        "seen = {}\ndef f(x):\n    del seen[x]",
    ],
)
def test_kept_state_is_noticed(text: str) -> None:
    assert len(kept_state(ast.parse(text))) == 1
    fine = "import os\nNAMES = {'a': 1}\nHOME = os.environ.get('HOME')\ndef f():\n    mine = {}\n    mine['a'] = NAMES['a']"
    assert kept_state(ast.parse(fine)) == []


def test_no_file_holds_a_path_of_a_machine_or_unfinished_work() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    # Put together here, so that this file does not hold them itself.
    forbidden = [f"/{name}/" for name in ("work", "home", "Users")] + ["TO" + "DO", "FIX" + "ME"]
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    holding = []
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8", errors="ignore")
        holding += [f"{name}: {word}" for word in forbidden if word in text]
    assert len(names) > 50
    assert not holding
