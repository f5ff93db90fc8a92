"""The leaderboards as they are committed, which README and docs describe; ``make reproduce`` changes those of the checkout."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.program import ROOT


@cache
def committed_boards() -> Path:
    """The folder ``leaderboards`` of git's index: as committed, or as staged to be."""
    folder = Path(tempfile.mkdtemp(prefix="boards-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z", "leaderboards"], cwd=ROOT, capture_output=True, check=True).stdout
    assert names, "git tracks no leaderboards here: run the tests in a clone"
    words = ["git", "checkout-index", "-z", "--stdin", f"--prefix={folder}/"]
    subprocess.run(words, cwd=ROOT, input=names, capture_output=True, check=True)
    return folder / "leaderboards"
