"""Each source of data on small inputs: statistics of its slices, and what sources share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ipv2_bench.data import lung, second_scan
from ipv2_bench.data.breathing import Breathing, deform
from ipv2_bench.data.dicom import pixels
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.formats import png
from ipv2_bench.data.second_scan import SecondScan
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.source import Source
from ipv2_bench.data.sources import paired_dicom, paired_png, phantom, varied_scan, virtual_scan
from ipv2_bench.data.sources.paired_dicom import PairedDicom
from ipv2_bench.data.sources.paired_png import PairedPng
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.data.sources.varied_scan import VariedScan
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import numpy_generator
from tests.dicom_files import write_series
from tests.golden.chests import PIXEL_MM, SIZE, chests
from tests.golden.golden import Part, field_defaults, numbers_of_defaults, summary

DATA = "ipv2_bench.data.VERSION"
PHYSICS = "ipv2_bench.physics.VERSION"

Patch = Callable[[pytest.MonkeyPatch], None]

# Photons are few, so that no count depends on the last bits of a float32 line integral.
SCAN: dict[str, Any] = {"photons": 400.0, "views": 24}


def hu(name: str = "truth") -> np.ndarray:
    """The fixed slices in whole HU, [8, 96, 96]."""
    return np.rint(Window().hu(getattr(chests(), name).astype(np.float64)))


def _statistics(source: Source, size: int) -> dict[str, Any]:
    """Statistics of all arrays of a source's slices, and what accompanies them."""
    with tempfile.TemporaryDirectory() as folder:
        slices = source.slices(Path(folder), Window(), size)
        return {
            **{name: _of_each(getattr(slices, name)) for name in ("low", "normal")},
            **{name: _of_each(a) for name in ("truth", "nodules") if (a := getattr(slices, name)) is not None},
            "pixel in mm": slices.pixel_mm,
            "slices, patients and stacks": [len(slices), len(set(slices.patient)), len(set(slices.stack))],
            "order of the patients": _order(slices),
        }


def _of_each(array: np.ndarray) -> np.ndarray:
    """Statistics of every slice."""
    return np.stack([summary(image) for image in np.array(array)])


def _order(slices: SliceSet) -> list[int]:
    """Number of each slice's patient, in the order in which they appear."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(slices.patient))}
    return [numbers[name] for name in slices.patient]


def _phantom() -> dict[str, Any]:
    return _statistics(Phantom(patients=2, levels=2, seed=7, normal_dose_factor=10.0, **SCAN), 64)


def _virtual_scan() -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ct"
        for patient in range(2):
            series = hu()[4 * patient : 4 * patient + 3]
            write_series(root / str(patient), series, PIXEL_MM, PatientID=str(patient), FrameOfReferenceUID=f"1.{patient}")
        for breathe_by in ("slice", "series"):
            source = VirtualScan(str(root), breathe_by=breathe_by, **SCAN)
            numbers |= {f"{k}, breathing by {breathe_by}": v for k, v in _statistics(source, 64).items()}
    return numbers


def _varied_scan() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        write_series(Path(folder) / "ct", hu()[:2], PIXEL_MM, PatientID="1")
        given = {"photons": 4000.0, "views": 24, "dose": (0.01, 0.1), "pixel_mm": (3.0, 5.0), "cutoff": (0.05, 0.1)}
        return _statistics(VariedScan(scans=2, phantoms=1, levels=1, root=folder, **given), 64)


def _paired_png() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for side, name in (("lq", "low"), ("gt", "normal")):
            for i in range(4):
                part, bits = ("train", 8) if i < 2 else ("test", 16)
                png.write_png(Path(folder) / part / side / f"{i}.png", getattr(chests(), name)[i] ** 1.1, bits)
        return _statistics(PairedPng(folder, pixel_mm=0.9), SIZE)


def _paired_dicom() -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for patient in range(2):
            own = slice(4 * patient, 4 * patient + 4)
            write_series(Path(folder) / "lq" / str(patient), hu("low")[own], PIXEL_MM, PatientID=str(patient))
            write_series(Path(folder) / "gt" / str(patient), hu("normal")[own], PIXEL_MM, PatientID=str(patient))
            write_series(Path(folder) / "finer" / str(patient), hu("normal")[own], 0.9 * PIXEL_MM, PatientID=str(patient))
        numbers |= _statistics(PairedDicom(folder), 64)
        finer = PairedDicom(low=f"{folder}/lq", normal=f"{folder}/finer", resample=True)
        numbers |= {f"{name}, resampled": value for name, value in _statistics(finer, 64).items()}
    return numbers


def _shared() -> dict[str, Any]:
    """Motion, second scan, resizing and lung selection."""
    section = hu()[1].astype(np.float32)
    field = Breathing().displacement(SIZE, PIXEL_MM, numpy_generator(1, "golden"))
    scanner = SecondScan(Acquisition(**SCAN), Acquisition(**{**SCAN, "photons": 4000.0}))
    scanned = scanner.scan(section, PIXEL_MM, 48, 3, "golden", nodules=chests().nodules[1] > 0.5)
    shares = [lung.lung_slices(hu(), PIXEL_MM, share).sum() for share in np.arange(0.05, 0.6, 0.05)]
    return {
        **numbers_of_defaults(field_defaults(Breathing)),
        "displacement": summary(field),
        "deformed": summary(deform(section, field)),
        "resized": summary(second_scan.area_resize(torch.from_numpy(section)[None], 40)),
        **{name: summary(getattr(scanned, name)) for name in ("low", "normal", "truth", "nodules")},
        "pixel in mm": scanned.pixel_mm,
        "slices with lung": shares,
    }


def _decoder() -> dict[str, Any]:
    """HU of DICOM files with whole and fractional rescale, and with padding."""
    numbers: dict[str, Any] = {}
    for name, tags in (
        ("whole rescale", {}),
        ("fractional rescale", {"RescaleSlope": "0.75", "RescaleIntercept": "-1000.5"}),
        ("padding", {"PixelPaddingValue": 24, "RescaleIntercept": "-1100"}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            write_series(Path(folder), hu()[:1], PIXEL_MM, **tags)
            (series,) = read_tree(folder)
        numbers[name] = [*summary(series.hu), series.hu.min(), series.hu.max(), series.hu.dtype.itemsize]
    return numbers


def _times(module: Any, function: str, factor: float = 1.001) -> Patch:
    """What a function returns, times a factor."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(module, function)
        monkeypatch.setattr(module, function, lambda *given, **named: factor * original(*given, **named))

    return patch


def _field_of_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phantom, "FIELD_MM", 1.001 * phantom.FIELD_MM)


def _dose(monkeypatch: pytest.MonkeyPatch) -> None:
    original = virtual_scan.Acquisition
    monkeypatch.setattr(virtual_scan, "Acquisition", lambda **named: original(**{**named, "photons": 1.001 * named["photons"]}))


def _png_value(monkeypatch: pytest.MonkeyPatch) -> None:
    original = paired_png.read_png
    monkeypatch.setattr(paired_png, "read_png", lambda path: original(path)._replace(unit=0.999 * original(path).unit))


def _expansion(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Breathing.displacement
    monkeypatch.setattr(Breathing, "displacement", lambda *given: 1.001 * original(*given))


def _rescale(monkeypatch: pytest.MonkeyPatch) -> None:
    original = pixels.rescale
    monkeypatch.setattr(pixels, "rescale", lambda data: (1.001 * original(data)[0], original(data)[1]))


def _source(name: str, cls: type[Source], values: Callable[[], dict[str, Any]], cases: dict[str, Patch]) -> Part:
    return Part(f"source_{name}", f"{cls.__module__}.{cls.__qualname__}.version", values, cases, (DATA, PHYSICS))


PARTS = [
    _source("phantom", Phantom, _phantom, {"field of view": _field_of_view}),
    _source(
        "virtual_scan",
        VirtualScan,
        _virtual_scan,
        {"dose": _dose, "motion of a series": _times(virtual_scan, "series_motion")},
    ),
    _source("varied_scan", VariedScan, _varied_scan, {"pixel size": _times(varied_scan, "resampled")}),
    _source("paired_png", PairedPng, _paired_png, {"grey value": _png_value}),
    _source("paired_dicom", PairedDicom, _paired_dicom, {"resampling": _times(paired_dicom, "onto_grid")}),
    Part(
        "data",
        DATA,
        _shared,
        {"size of the motion": _expansion, "deformation": _times(second_scan, "deform")},
        (PHYSICS,),
    ),
    Part("dicom_pixels", "ipv2_bench.data.dicom.pixels.DECODER_VERSION", _decoder, {"rescale": _rescale}, rtol=1e-6),
]
