"""Trained denoisers by name: those in the package work on scans that they have not seen, and a registry can add others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench import load_pretrained
from ipv2_bench.data.second_scan import SecondScan
from ipv2_bench.data.sources.phantom import FIELD_MM, section_of
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.pretrained import named
from ipv2_bench.denoisers.shared.checkpoint import save_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.files import sha256_of
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.weights import Weights

IN_PACKAGE = ("fm-native", "unet-native")
MOST_BYTES = 20_000_000


def test_the_files_in_the_package_are_whole_and_small() -> None:
    assert tuple(named.entries()) == IN_PACKAGE and named.DEFAULT in IN_PACKAGE
    files = [named.weights_file(name) for name in IN_PACKAGE]
    assert all(sha256_of(file) == named.entries()[name].sha256 for name, file in zip(IN_PACKAGE, files, strict=True))
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


@pytest.mark.parametrize("name", IN_PACKAGE)
def test_they_denoise_a_patient_and_a_scanner_that_they_have_not_seen(name: str) -> None:
    """Another digital thorax than those of the training, at 1 % of the dose."""
    section = section_of(987, 0, 2, 4, 1024)
    scan = Acquisition(photons=8500.0, electronic=6.0, bowtie=0.7, views=360, filter_name="hann", cutoff=0.7)
    found = SecondScan(scan).scan(section.hu, FIELD_MM / 1024, 512, 987)
    model = load_pretrained(name)
    denoised = model.denoise_hu(found.low)
    low, after_, truth = (np.clip(x, -1000, 400) for x in (found.low, denoised, found.truth))
    before, after = (float(np.sqrt(np.mean((x - truth) ** 2))) for x in (low, after_))
    assert after < 0.5 * before, (before, after)
    assert denoised.shape == found.low.shape and model.noise_hu is not None and model.pixel_mm is not None
    assert model.noise_hu[0] < 60 and model.noise_hu[1] > 300 and model.pixel_mm[1] - model.pixel_mm[0] > 0.4
    # Slices are independent of their neighbours, and the same each time.
    again = model.denoise_hu(np.stack([found.low, found.low]))
    assert np.abs(again[0] - denoised).max() < 0.01 and again.shape == (2, *denoised.shape)


def own_registry(folder: Path, **changes: object) -> Path:
    """A registry of one small denoiser beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"widths": [8, 16], "steps": 2}
    save_denoiser(FlowMatching(**options), folder / "mine.safetensors", "fm", options, window_hu="-1000 400")
    entry = {"file": "mine.safetensors", "sha256": sha256_of(folder / "mine.safetensors"), "about": "a trial", **changes}
    path = folder / "registry.json"
    path.write_text(json.dumps({"mine": entry}))
    return path


def test_a_registry_of_ones_own_adds_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(named.VARIABLE, str(own_registry(tmp_path)))
    assert tuple(named.entries()) == (*IN_PACKAGE, "mine")
    model = load_pretrained("mine")
    assert model.title == "mine" and model.noise_hu is None
    (tmp_path / "mine.safetensors").write_bytes(b"altered")
    with pytest.raises(InputError, match=r"mine\.safetensors is not the mine file.*remove it, and put the right one there"):
        load_pretrained("mine")
    (tmp_path / "mine.safetensors").unlink()
    with pytest.raises(InputError, match=r"mine\.safetensors of mine is not beside its registry, and no url"):
        load_pretrained("mine")


def test_what_is_not_there_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(named.VARIABLE, str(own_registry(tmp_path / "own", url="https://example.org/mine.safetensors")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = (tmp_path / "own" / "mine.safetensors").read_bytes()
    (tmp_path / "own" / "mine.safetensors").unlink()
    asked: list[str] = []

    def download(self: Weights) -> Path:
        asked.append(self.url)
        path = tmp_path / "cache" / "ipv2-bench" / self.file
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return path

    monkeypatch.setattr(Weights, "download", download)
    assert load_pretrained("mine").sha256 == hashlib.sha256(content).hexdigest()
    load_pretrained("mine")
    assert asked == ["https://example.org/mine.safetensors"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not usable: the file: Invalid JSON"),
        ('{"x": {"file": "x.pt", "sha256": "0", "about": ""}}', r"is not usable: x.file: String should match"),
        ('{"fm-native": {"file": "a.safetensors", "sha256": "%s", "about": ""}}' % ("0" * 64), "names fm-native, which is in"),
        ('{"x": {"file": "../a.safetensors", "sha256": "%s", "about": ""}}' % ("0" * 64), "is not usable: x.file"),
    ],
    ids=["empty", "suffix", "twice", "elsewhere"],
)
def test_registries_that_are_none_are_refused(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "registry.json").write_text(text)
    monkeypatch.setenv(named.VARIABLE, str(tmp_path / "registry.json"))
    with pytest.raises(InputError, match=message):
        named.entries()
    monkeypatch.setenv(named.VARIABLE, str(tmp_path / "gone.json"))
    with pytest.raises(InputError, match=r"gone\.json that IPV2_BENCH_MODELS names cannot be read"):
        named.entries()


def test_other_names_are_refused() -> None:
    for name in ("fm", "nl_means", "fm_native"):
        with pytest.raises(InputError, match=f"no trained denoiser is called '{name}': use one of fm-native, unet-native"):
            load_pretrained(name)
    with pytest.raises(ValueError, match=r"got shape \(4,\)"):
        load_pretrained("unet-native").denoise_hu(torch.zeros(4).numpy())
