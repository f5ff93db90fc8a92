"""A fraction of the series' own dose: noise follows the square-root law at any size, whatever kernel the series has."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from ipv2_bench.cli import main
from ipv2_bench.data.dicom.tree import Wanted, read_tree
from ipv2_bench.data.second_scan import area_resize
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.folders.own_dose import noise_regions, own_dose, own_kernel
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.scanner import scan_noise
from tests.dicom_files import write_series

SIDE, MM = 512, 0.75
SCANNER = Acquisition(photons=7e5, bowtie=0.7, views=360)
LEVELS = (0.45, 0.6)
Capture = pytest.CaptureFixture[str]


@cache
def clean() -> np.ndarray:
    patient = Patient.draw(np.random.default_rng(4))
    return np.stack([draw_section(patient, level, SIDE, MM).hu for level in LEVELS])


@cache
def scanner_noise(filter_name: str, cutoff: float, photons: float) -> np.ndarray:
    scanner = replace(SCANNER, filter_name=filter_name, cutoff=cutoff, photons=photons)
    generators = [torch.Generator().manual_seed(k) for k in range(len(LEVELS))]
    hu = torch.from_numpy(clean().astype(np.float64))
    return scan_noise(hu, torch.full((len(LEVELS),), MM, dtype=torch.float64), scanner, generators).numpy()


def averaged(images: np.ndarray, size: int) -> np.ndarray:
    return area_resize(torch.from_numpy(images.astype(np.float64)), size).numpy()


def series_of(root: Path, noise: np.ndarray) -> Path:
    write_series(root / "ct", np.clip(clean() + noise, -1024, 3000), MM, PatientID="P")
    return root / "ct"


@pytest.mark.parametrize("size", [512, 128])
@pytest.mark.parametrize(
    ("filter_name", "cutoff", "photons"),
    [("shepp-logan", 0.67, 7e5), ("hann", 0.55, 7e5), ("hann", 1.0, 2e6), ("cosine", 0.8, 4e5)],
)
def test_noise_follows_the_square_root_law(
    tmp_path: Path, capsys: Capture, filter_name: str, cutoff: float, photons: float, size: int
) -> None:
    noise = scanner_noise(filter_name, cutoff, photons)
    source, out = series_of(tmp_path, noise), tmp_path / "out"
    given = ["simulate", str(source), str(out), "--quiet", "--format", "dicom", "--size", str(size), "--dose", "0.02"]
    assert main([*given, "data.electronic=0.0"]) == 0
    said = capsys.readouterr().out
    (low,), (truth,) = (read_tree(out / side, wanted=Wanted(derived=True)) for side in ("lq", "truth"))
    own = averaged(noise, size)
    for i in range(len(LEVELS)):
        for name, region in noise_regions(truth.hu[i]).items():
            carried = own[i][noise_regions(averaged(clean(), size)[i])[name]].std()
            after = np.hypot((low.hu[i].astype(float) - truth.hu[i])[region].std(), carried)
            assert after / carried == pytest.approx(0.02**-0.5, rel=0.15), name
    told = {name: float(before) for name, before in re.findall(r"(lung|soft tissue) ([\d.]+) → [\d.]+ HU \(×", said)}
    assert told.keys() == {"lung", "soft tissue"} and "×7.07 is the square-root law at 2 % of the own dose" in said
    masks = [noise_regions(image) for image in averaged(clean(), size)]
    words = {"lung": "lung", "soft tissue": "tissue"}
    true = {word: np.median([own[i][masks[i][name]].std() for i in range(2)]) for word, name in words.items()}
    assert told == pytest.approx(true, rel=0.15)


def test_the_electronic_part_comes_on_top(tmp_path: Path) -> None:
    noise = scanner_noise("hann", 0.85, 3e5)
    source, after = series_of(tmp_path, noise), {}
    for electronic in (0.0, 6.0):
        out = tmp_path / str(electronic)
        words = ["simulate", str(source), str(out), "--quiet", "--format", "dicom", "--size", "256", "--dose", "0.02"]
        assert main([*words, f"data.electronic={electronic}"]) == 0
        (low,), (truth,) = (read_tree(out / side, wanted=Wanted(derived=True)) for side in ("lq", "truth"))
        after[electronic] = (low.hu[1].astype(float) - truth.hu[1])[noise_regions(truth.hu[1])["lung"]].std()
    known = {}
    for electronic in after:
        scanner = replace(SCANNER, filter_name="hann", cutoff=0.85, photons=3e5, dose=0.02, inserted=True, electronic=electronic)
        made = scan_noise(
            torch.from_numpy(clean()[1:].astype(np.float64)), torch.tensor([MM], dtype=torch.float64), scanner,
            [torch.Generator().manual_seed(7)],
        ).numpy()  # fmt: skip
        known[electronic] = averaged(made, 256)[0][noise_regions(averaged(clean(), 256)[1])["lung"]].std()
    assert known[6.0] > 1.1 * known[0.0]
    assert after == pytest.approx(known, rel=0.15)


def test_a_small_share_of_the_dose_is_added_where_little_is_taken_away(tmp_path: Path) -> None:
    """At half of the dose the variance doubles, that of the NDCT included."""
    noise = scanner_noise("hann", 0.85, 3e5)
    source, out = series_of(tmp_path, noise), tmp_path / "out"
    assert main(["simulate", str(source), str(out), "--quiet", "--format", "dicom", "--dose", "0.5", "data.electronic=0.0"]) == 0
    (low,), (truth,) = (read_tree(out / side, wanted=Wanted(derived=True)) for side in ("lq", "truth"))
    for name, region in noise_regions(truth.hu[1]).items():
        added = (low.hu[1].astype(float) - truth.hu[1])[region].std()
        assert added == pytest.approx(noise[1][noise_regions(clean()[1])[name]].std(), rel=0.15)


def test_the_kernel_of_a_series_is_found() -> None:
    for cutoff in (0.5, 0.85):
        noisy = np.rint(clean() + scanner_noise("hann", cutoff, 7e5))
        kernel = own_kernel(list(noisy), MM, SCANNER, 1)
        assert kernel is not None and kernel.misfit < 0.03
        assert kernel.scanner.cutoff == pytest.approx(cutoff, rel=0.05)


def test_the_photons_of_a_slice_are_found() -> None:
    noisy = clean()[0] + scanner_noise("hann", 0.85, 7e5)[0]
    found = own_dose(noisy, MM, SIDE, replace(SCANNER, filter_name="hann", cutoff=0.85, photons=1.0), 1)
    assert found is not None and found.photons == pytest.approx(7e5, rel=0.1)


@pytest.mark.parametrize("spoiled", ["median filter", "white"])
def test_noise_of_no_reconstruction_filter_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: Capture, spoiled: str
) -> None:
    if spoiled == "white":
        source = series_of(tmp_path, 20.0 * np.random.default_rng(0).standard_normal(clean().shape))
    else:
        noisy = clean() + scanner_noise("hann", 0.85, 3e5)
        source = series_of(tmp_path, ndimage.median_filter(noisy, (1, 3, 3)) - clean())
    assert main(["simulate", str(source), str(tmp_path / "out"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "the noise of the series of slice00" in said and "is not that of a reconstruction filter (misfit 0." in said
    assert not (tmp_path / "out").exists()


def test_coarse_steps_of_hu_are_no_noise() -> None:
    noisy = 8.0 * np.rint((clean() + scanner_noise("hann", 0.85, 2e6)) / 8.0)
    kernel = own_kernel(list(noisy), MM, SCANNER, 1)
    assert kernel is not None
    own = own_dose(noisy[0], MM, SIDE, kernel.scanner, 1)
    assert own is not None and own.hu["lung"] == pytest.approx(
        scanner_noise("hann", 0.85, 2e6)[0][noise_regions(clean()[0])["lung"]].std(), rel=0.15
    )


def test_a_slice_without_noise_takes_the_dose_of_its_series_and_png_and_resuming_work(tmp_path: Path, capsys: Capture) -> None:
    hu = np.concatenate([clean() + scanner_noise("hann", 0.85, 3e5), clean()[:1]])
    flat = np.where(np.abs(hu[2] + 850) < 150, -850.0, np.rint(hu[2] / 100) * 100)
    write_series(tmp_path / "ct", np.clip(np.stack([hu[0], hu[1], flat]), -1024, 3000)[:, 40:-40], MM)  # no squares
    words = ["simulate", str(tmp_path / "ct"), str(tmp_path / "out"), "--quiet", "--size", "128", "data.min_lung=0.01"]
    assert main(words) == 0
    assert "1 slices show too little to tell their dose: that of their series was taken" in capsys.readouterr().out
    paths = sorted((tmp_path / "out" / "lq").glob("*.png"))
    assert len(paths) == 3
    content = paths[0].read_bytes()
    paths[0].unlink()
    assert main(words) == 0
    assert "1 slices of 1 series scanned, 2 had been before" in capsys.readouterr().out
    assert paths[0].read_bytes() == content


def test_with_a_number_of_photons_the_noise_is_that_of_the_scan(tmp_path: Path, capsys: Capture) -> None:
    source = series_of(tmp_path, scanner_noise("hann", 0.85, 3e5))
    assert main(["simulate", str(source), str(tmp_path / "out"), "--quiet", "--size", "128", "data.photons=17000"]) == 0
    assert re.search(r"noise that the scan added: lung [\d.]+ HU, soft tissue [\d.]+ HU\n", capsys.readouterr().out)


def test_what_has_no_dose_of_its_own_is_refused(tmp_path: Path, capsys: Capture) -> None:
    write_series(tmp_path / "flat", np.where(np.abs(clean()[:1] + 850) < 150, -850.0, np.rint(clean()[:1] / 100) * 100), MM)
    assert main(["simulate", str(tmp_path / "flat"), str(tmp_path / "out"), "--quiet", "data.min_lung=0.01"]) == 2
    assert "carries no noise that can be measured, so that its dose is not known: give data.photons" in capsys.readouterr().err
    for words, said in (
        (("--dose", "0"), "--dose is 0: expected a fraction of the series' own dose, above 0 and below 1"),
        (("--dose", "1"), "--dose is 1: expected a fraction"),
        (("--dose", "nan"), "--dose is nan: expected a fraction"),
        (("data.cutoff=0.3",), "data.cutoff cannot be set with a dose, which keeps the series' kernel, voltage and pixels"),
        (("data.kilovolt=80",), "data.kilovolt cannot be set with a dose"),
        (("data.resample=true",), "data.resample cannot be set with a dose"),
        (("data.slices_per_patient=1",), "does not use the setting 'data.slices_per_patient': it takes every slice"),
        (("--dose", "0.1", "data.photons=3"), "--dose and data.photons both say how many photons there are"),
    ):
        assert main(["simulate", str(tmp_path / "flat"), str(tmp_path / "o"), "--quiet", *words]) == 2
        assert said in capsys.readouterr().err and not (tmp_path / "o").exists()
