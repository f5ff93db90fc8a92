"""Names of slice sets: by options, files and versions, never by source text or class name; cached sets open without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench import data, physics
from ipv2_bench.data.dicom import decoded
from ipv2_bench.data.slices import SliceSet, SourceSlices
from ipv2_bench.data.source import Source, in_parallel
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window

LIGHT = [
    *(f"data.sources.{name}" for name in ("phantom", "virtual_scan", "varied_scan", "paired_png", "paired_dicom")),
    *(
        f"data.dicom.{name}"
        for name in ("tree", "ct_slice", "tags", "pixels", "output", "decoded", "pairing", "patients")
    ),
    *(f"data.formats.{name}" for name in ("png", "listing")),
    *(f"data.{name}" for name in ("source", "slices", "split", "integrity", "findings", "thorax")),
]


class Gradient(Source):
    """Slices that are computed in no time."""

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope

    def identity(self) -> dict:
        return {"slope": self.slope}

    def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
        image = window.hu(self.slope * np.linspace(0, 1, size * size, dtype=np.float32).reshape(1, size, size))
        return SourceSlices({"low": image, "normal": image}, ["p"], np.ones(1), (), ["k"])


def opened(source: Source, cache: Path, window: Window | None = None, size: int = 4) -> SliceSet:
    return source.slices(cache, window or Window(), size)


def test_options_window_and_size_name_the_set(tmp_path: Path) -> None:
    sets = [
        opened(Gradient(), tmp_path),
        opened(Gradient(0.5), tmp_path),
        opened(Gradient(), tmp_path, size=5),
        opened(Gradient(), tmp_path, Window(-1000, 300)),
    ]
    assert len({s.folder for s in sets}) == 4
    assert opened(Gradient(), tmp_path).folder == sets[0].folder


def test_a_source_that_gives_no_hu_is_refused(tmp_path: Path) -> None:
    class Unit(Gradient):
        def make(self, window: Window, size: int, progress: bool) -> SourceSlices:
            slices = super().make(window, size, progress)
            return slices._replace(arrays={name: window.unit(image) for name, image in slices.arrays.items()})

    with pytest.raises(InputError, match=r"slice 0 of patient p \(low\) lies between 0 and 1 HU: .* gives HU"):
        opened(Unit(), tmp_path)


@pytest.mark.parametrize("owner", [data, physics])
def test_a_new_version_of_data_or_physics_makes_a_new_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object
) -> None:
    first = opened(Gradient(), tmp_path)
    monkeypatch.setattr(owner, "VERSION", 99)
    again = opened(Gradient(), tmp_path)
    assert again.folder != first.folder and again.manifest == first.manifest


def test_a_new_version_of_a_source_makes_a_new_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(Phantom(patients=1, levels=1, views=8), tmp_path, size=16)
    monkeypatch.setattr(Phantom, "version", 99)
    assert opened(Phantom(patients=1, levels=1, views=8), tmp_path, size=16).folder != first.folder


def test_our_sources_are_named_by_their_module_whatever_the_class(tmp_path: Path) -> None:
    class Renamed(Phantom):
        version = Phantom.version

    Renamed.__module__ = Phantom.__module__
    options = {"patients": 1, "levels": 1, "views": 8}
    first, again = (opened(kind(**options), tmp_path, size=16) for kind in (Phantom, Renamed))
    assert first.folder == again.folder


def test_a_new_decoder_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decoded.DecodedCache(tmp_path).folder
    monkeypatch.setattr(decoded, "DECODER_VERSION", 99)
    assert decoded.DecodedCache(tmp_path).folder != first


@pytest.mark.parametrize("module", ["phantom", "virtual_scan", "paired_png", "paired_dicom"])
def test_every_source_states_its_version(module: str) -> None:
    loaded = __import__(f"ipv2_bench.data.sources.{module}", fromlist=["x"])
    (cls,) = (c for c in vars(loaded).values() if isinstance(c, type) and issubclass(c, Source) and c is not Source)
    assert isinstance(vars(cls)["version"], int)


def imported(code: str, *words: str) -> set[str]:
    """Names of the modules that a fresh process has imported after ``code``."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)", *words]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_reading_data_imports_no_torch() -> None:
    modules = imported("\n".join(f"import ipv2_bench.{module}" for module in LIGHT))
    assert not {"torch", "lightning", "scipy", "skimage"} & modules
    assert "ipv2_bench.data.dicom.pixels" in modules


def test_a_cached_slice_set_opens_without_heavy_libraries(tmp_path: Path) -> None:
    slices = opened(Phantom(patients=1, levels=1, views=8), tmp_path, size=16)
    code = """
from pathlib import Path
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.errors import InputError
from ipv2_bench.data.split import split_slices
from ipv2_bench.physics.intensity import Window
slices = Phantom(patients=1, levels=1, views=8).slices(Path(sys.argv[1]), Window(), 16)
assert slices.manifest == sys.argv[2]
"""
    modules = imported(code, str(tmp_path), slices.manifest)
    assert not {"torch", "lightning", "scipy", "skimage", "pydicom", "tqdm", "PIL"} & modules


def slow_third(number: int) -> tuple[int, int]:
    """A number, and the process that has it; all but the third are done at once."""
    end = time.process_time() + (0.2 if number == 2 else 0.0)
    while time.process_time() < end:
        pass
    return number, os.getpid()


@pytest.mark.parametrize(("short", "processes"), [(1.0, 1), (0.5, 3)])
def test_processes_are_started_for_what_takes_long(short: float, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipv2_bench.data.source.SHORT", short)
    given = list(in_parallel(slow_third, range(7), False, "numbers", workers=2))
    assert [number for number, _ in given] == list(range(7))
    assert [by == os.getpid() for _, by in given] == [True] * 3 + [processes == 1] * 4
    assert len({by for _, by in given}) <= processes
