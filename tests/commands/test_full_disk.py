"""A disk that takes no more is named once, with the file; nothing half is left, and the same command goes on later."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ipv2_bench.files import write_whole
from tests.program import EXPERIMENTS, LONGEST, ROOT, SMALL, run_here, without_times

WORDS = ("reproduce", "--config", "one.yaml", "--quiet", "wandb.mode=disabled", *SMALL)
STAGES = (  # largest bytes of a file, what does not fit, and settings
    (100_000, "low.npy", ()),
    (400_000, "integrals-", ()),
    (None, "", ("train.steps=1",)),  # the data are there now
    (120_000, "last.ckpt", ("run.checkpoint_seconds=0", "train.steps=30")),
    (120_000, "model.safetensors", ()),
    (175_000, "index.html", ()),
)


def run_with_room(folder: Path, most: int | None, *words: str) -> subprocess.CompletedProcess:
    """Run ``ipv2-bench`` on a disk that takes no more than some bytes of each file, as a quota or a full disk does."""

    def limit() -> None:
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "IPV2_BENCH_CT": ""}
    command = [sys.executable, "-m", "ipv2_bench.cli", *words]
    return subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, timeout=LONGEST, check=False, preexec_fn=limit
    )


def test_every_stage_of_a_benchmark(tmp_path: Path) -> None:
    expected, folder = tmp_path / "expected", tmp_path / "small"
    for place in (expected, folder):
        place.mkdir()
        (place / "one.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
        (place / "table1.yaml").write_text("title: one\nrows:\n  - {denoiser: fm, strategy: IPv2}\n")
    run_here(expected, *WORDS)
    for most, name, settings in STAGES:
        done = run_with_room(folder, most, *WORDS, *settings)
        assert done.returncode == (2 if name else 0), (name, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("ipv2-bench: ")]
        assert len(lines) == bool(name) and "Traceback" not in done.stderr
        if name:
            assert lines[0].startswith("ipv2-bench: File too large: ") and name in lines[0], lines
            assert lines[0].endswith("; make room there, and the same command goes on")
        assert not [p for p in folder.rglob(".*") if p.name.startswith(".") and name in p.name and name]
        assert not list(folder.rglob("lease.json")) and not list(folder.rglob("error.log"))
    done = run_with_room(folder, None, *WORDS)
    assert done.returncode == 0
    rows = [without_times(place / "leaderboards" / "smoke" / "table1.csv") for place in (expected, folder)]
    assert rows[0] == rows[1]


def test_an_error_names_the_file_and_leaves_none(tmp_path: Path) -> None:
    def no_number(_file: object) -> None:
        raise OSError("12 requested and 0 written")  # as NumPy says it

    path = tmp_path / "a" / "b.npy"
    with pytest.raises(OSError, match="12 requested and 0 written") as error:
        write_whole(path, no_number)
    assert error.value.filename == str(path) and not list(path.parent.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"exists|directory") as error:
        write_whole(tmp_path / "file" / "c.json", lambda file: file.write(b""))
    assert str(tmp_path / "file") in str(error.value.filename)
    with pytest.raises(FileNotFoundError) as missing:
        write_whole(path, lambda _: (tmp_path / "not" / "there").read_bytes())
    assert missing.value.filename == str(tmp_path / "not" / "there")  # what was read is not taken for what was written
