"""The cache of decoded slices: faster, the same, safe against others and against being killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.dicom.decoded import DecodedCache
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.pair import PairDataset
from ipv2_bench.data.sources.paired_dicom import PairedDicom
from ipv2_bench.physics.intensity import Window
from tests.data.dicom.ct_series import series


def test_the_cache_gives_the_same_series_and_does_not_decode_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = series(tmp_path / "ct"), DecodedCache(tmp_path / "cache")
    (plain,), (first,) = read_tree(root), read_tree(root, cache=cache)
    monkeypatch.setattr("ipv2_bench.data.dicom.ct_slice.decode_hu", lambda data: pytest.fail("decoded again"))
    (again,) = read_tree(root, cache=cache)
    assert np.array_equal(plain.hu, first.hu) and np.array_equal(plain.hu, again.hu)
    assert plain.key == again.key and again.hu.dtype == plain.hu.dtype
    sizes = [entry.stat().st_size for entry in cache.folder.glob("*/*.npy")]
    assert len(sizes) == 4 and 4 * 512 <= sum(sizes) < 4 * 1024


def test_a_damaged_entry_is_decoded_again(tmp_path: Path) -> None:
    cache = DecodedCache(tmp_path)
    image = np.arange(12, dtype=np.int16).reshape(3, 4)
    cache.get(b"x", lambda: image)
    (entry,) = cache.folder.glob("*/*.npy")
    entry.write_bytes(entry.read_bytes()[:40])
    assert np.array_equal(cache.get(b"x", lambda: image), image)
    assert np.array_equal(np.load(entry), image)


WRITER = """
import sys, numpy as np
from pathlib import Path
from ipv2_bench.data.dicom.decoded import DecodedCache
cache = DecodedCache(Path(sys.argv[1]))
print("ready", flush=True)
for turn in range(int(sys.argv[2])):
    for i in range(20):
        cache.get(f"{turn}-{i}".encode(), lambda: np.full((256, 256), i, np.int16))
"""


def start(folder: Path, turns: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(folder), str(turns)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    )


def test_several_processes_and_a_kill_in_the_middle_leave_whole_files(tmp_path: Path) -> None:
    running = [start(tmp_path, 4) for _ in range(3)]
    victim = start(tmp_path, 10_000)
    assert victim.stdout is not None and victim.stdout.readline() == b"ready\n"
    while not list(DecodedCache(tmp_path).folder.glob("*/*.npy")):
        time.sleep(0.01)
    time.sleep(0.2)
    victim.kill()
    victim.wait()
    assert all(p.wait(timeout=1200) == 0 for p in running)
    entries = list(DecodedCache(tmp_path).folder.glob("*/*.npy"))
    assert len(entries) >= 80
    for entry in entries:
        image = np.load(entry, allow_pickle=False)
        assert image.shape == (256, 256) and image.min() == image.max()


def seconds(work: Callable[[], object], turns: int) -> float:
    """Time of the processor that the fastest of some turns takes."""
    taken = []
    for _ in range(turns):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


real = pytest.mark.skipif(
    not os.environ.get("IPV2_BENCH_CT"), reason="IPV2_BENCH_CT is not set to compressed CT series"
)


@real
def test_an_epoch_is_five_times_as_fast_as_decoding_each_time(tmp_path: Path) -> None:
    """Pairs at full size, both sides the same scan: what training reads from its second epoch on."""
    root = os.environ["IPV2_BENCH_CT"]
    source = PairedDicom(low=root, normal=root, min_lung=0.0, match_by="folder")
    data = source.slices(tmp_path, Window(), 512)
    pairs = PairDataset(data, np.arange(len(data)))
    epoch = seconds(lambda: [pairs[i] for i in range(len(pairs))], 3)
    decoding = seconds(lambda: [read_tree(root), read_tree(root)], 2)
    assert len(pairs) > 50 and decoding > 5 * epoch


@real
def test_opening_the_series_again_is_twice_as_fast_as_decoding(tmp_path: Path) -> None:
    """What another size or window takes: files are read and hashed again, tags parsed again, pixels not decoded."""
    root, cache = os.environ["IPV2_BENCH_CT"], DecodedCache(tmp_path)
    read_tree(root, cache=cache)
    assert seconds(lambda: read_tree(root), 2) > 2 * seconds(lambda: read_tree(root, cache=cache), 3)
