"""Progress without a terminal is a line for every tenth, without escape codes; and workers end with their program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipv2_bench.progress import Counted, track
from tests.program import LONGEST, ROOT


def test_a_line_for_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(200), "scanning")) == list(range(200))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"scanning: {n} of 200 slices" for n in range(20, 201, 20)]
    assert list(track([1, 2, 3], "reading", unit="pair")) == [1, 2, 3]
    assert capsys.readouterr().err.splitlines()[-1] == "reading: 3 of 3 pairs"


def test_quiet_and_empty_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(50), "x", enabled=False)) == list(range(50))
    assert list(track([], "x")) == []
    with Counted("x", 10, enabled=False) as counted:
        counted.advance(10)
    assert capsys.readouterr() == ("", "")


def test_progress_that_is_counted_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with Counted("denoising", 20) as counted:
        for _ in range(5):
            counted.advance(4)
    assert capsys.readouterr().err.splitlines() == [f"denoising: {n} of 20 slices" for n in (4, 8, 12, 16, 20)]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ipv2_bench.progress.on_terminal", lambda: True)
    shown = [capsys.readouterr().err for _ in track(range(5), "scanning")]
    assert shown[0].strip().startswith("scanning:") and "/5" in shown[0]
    assert capsys.readouterr().err.endswith("\r")  # the bar is gone when all is done


PARENT = """
import os, sys, time
from ipv2_bench.processes import worker_pool

if __name__ == "__main__":
    pool = worker_pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    sys.stdin.read()
    os._exit(1)  # as when it is killed
"""


def test_a_worker_ends_when_its_program_is_gone(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    piped, silent = subprocess.PIPE, subprocess.DEVNULL
    program = subprocess.Popen(command, stdin=piped, stdout=piped, stderr=silent, text=True, env=environment)
    assert program.stdin is not None and program.stdout is not None
    worker = int(program.stdout.readline())
    os.kill(worker, 0)
    program.stdin.close()
    program.wait()
    deadline = time.monotonic() + LONGEST
    while not has_ended(worker):
        assert time.monotonic() < deadline, "the worker goes on without its program"
        time.sleep(0.1)


def has_ended(process: int) -> bool:
    """Whether a process is gone, or has ended and nobody has asked how."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state == "Z"
