"""The commit in a row is that of this program's own checkout, or there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT

NEEDED = ("__init__.py", "fingerprint.py", "benchmark/__init__.py", "benchmark/provenance.py")
OURS = '[project]\nname = "ipv2-bench"\n'
ASK = "from ipv2_bench.benchmark.provenance import commit; print(commit())"


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *own, *words], capture_output=True, text=True, check=True).stdout.strip()


def copied(folder: Path) -> Path:
    """The part of the package that answers, in a folder."""
    for name in NEEDED:
        (folder / "ipv2_bench" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "ipv2_bench" / name, folder / "ipv2_bench" / name)
    return folder


def repository(folder: Path, track: bool = True, **files: str) -> Path:
    """A repository of what is in a folder."""
    for name, text in files.items():
        (folder / name.replace("_toml", ".toml")).write_text(text)
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    if track:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "second")
    return folder


def said(root: Path, **environment: str) -> str:
    own = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, env=own, cwd="/")
    return done.stdout.strip()


def test_it_is_that_of_the_checkout(tmp_path: Path) -> None:
    root = repository(copied(tmp_path), pyproject_toml=OURS)
    head = git(root, "rev-parse", "--short=12", "HEAD")
    assert said(root) == head
    with (root / "ipv2_bench" / "fingerprint.py").open("a") as file:
        file.write("# changed\n")
    assert said(root) == head + "+"


@pytest.mark.parametrize(
    "way",
    [
        "a virtual environment in another repository",
        "one that is tracked there",
        "a copy at its root",
        "no repository",
        "untracked",
    ],
)
def test_that_of_another_repository_does_not_count(way: str, tmp_path: Path) -> None:
    site = tmp_path / ".venv" / "lib" / "site-packages"
    if way == "a virtual environment in another repository":
        root = copied(site)
        repository(tmp_path, track=False)
    elif way == "one that is tracked there":
        root = copied(site)
        repository(tmp_path, pyproject_toml=OURS)
    elif way == "a copy at its root":
        root = repository(copied(tmp_path), pyproject_toml='[project]\nname = "mine"\n')
    elif way == "untracked":
        root = repository(copied(tmp_path), track=False, pyproject_toml=OURS)
    else:
        root = copied(tmp_path)
    assert said(root) == "None"


def test_variables_of_git_do_not_count(tmp_path: Path) -> None:
    other = repository(copied(tmp_path / "other"), pyproject_toml=OURS)
    root = copied(tmp_path / "root")
    (root / "pyproject.toml").write_text(OURS)
    assert said(root, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(root)) == "None"
    root = repository(root, pyproject_toml=OURS)
    assert said(root, GIT_DIR=str(other / ".git")) == git(root, "rev-parse", "--short=12", "HEAD")
