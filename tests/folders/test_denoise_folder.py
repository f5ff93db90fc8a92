"""A folder in, the same folder out, denoised: HU, geometry, identities of DICOM, resume, memory and refusals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from ipv2_bench.cli import main
from ipv2_bench.data.formats.png import read_png, write_png
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.shared.checkpoint import save_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.folders.denoise import denoise_tree
from ipv2_bench.folders.model import load_model
from tests.data.dicom.ct_series import save, slice_of
from tests.dicom_files import write_series
from tests.program import ROOT

KEPT = ("PatientID", "PatientName", "StudyInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
        "Rows", "Columns", "RescaleSlope", "RescaleIntercept", "BitsStored", "PixelRepresentation")  # fmt: skip


def pixels(path: Path) -> np.ndarray:
    return dcmread(path).pixel_array


def hu(n: int = 3, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 3000, (n, side, side)).astype(np.float64)


def checkpoint(folder: Path, **options: object) -> Path:
    """A small FM whose output differs from its input."""
    torch.manual_seed(0)
    denoiser = FlowMatching(widths=(8, 16), steps=2)
    with torch.no_grad():
        for p in denoiser.parameters():
            p.add_(0.02 * torch.randn(p.shape))
    notes = {"window_hu": "-1000 400", "title": "FM", "strategy": "IPv2", "size": "32", **options}
    path = folder / "model.safetensors"
    save_denoiser(denoiser, path, "fm", {"widths": [8, 16], "steps": 2}, **notes)
    return path


def run(*words: object) -> int:
    try:
        return main(["denoise", "--quiet", *map(str, words)])
    except SystemExit as end:  # of what is no argument
        return int(end.code or 0)


@pytest.mark.parametrize("signed", [False, True])
def test_identity_keeps_every_pixel_and_the_geometry(tmp_path: Path, signed: bool) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    stored = np.random.default_rng(1).integers(-2000 if signed else 0, 4096, (3, 16, 16))
    for i in range(3):
        save(
            slice_of(i, stored[i], signed=signed, RescaleSlope="0.7", RescaleIntercept="-900.5"),
            source / "p" / f"{i}.dcm",
        )
    assert run(source, out, "--checkpoint", "identity") == 0
    for i in range(3):
        before, after = dcmread(source / "p" / f"{i}.dcm"), dcmread(out / "p" / f"{i}.dcm")
        assert np.array_equal(after.pixel_array, stored[i])
        assert all(before[k].value == after[k].value for k in KEPT)
        assert before.SOPInstanceUID != after.SOPInstanceUID and before.SeriesInstanceUID != after.SeriesInstanceUID
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
        assert after.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert after.ImageType[0] == "DERIVED" and list(after.ImageType)[1:] == list(before.ImageType)[1:]
        assert "identity" in after.DerivationDescription and "ipv2-bench" in after.DerivationDescription
    series = {dcmread(p).SeriesInstanceUID for p in (out / "p").glob("*.dcm")}
    assert len(series) == 1 and len({dcmread(p).SOPInstanceUID for p in (out / "p").glob("*.dcm")}) == 3


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_identity_is_exact_from_other_encodings(tmp_path: Path, syntax: str) -> None:
    stored = np.random.default_rng(2).integers(0, 4096, (16, 16))
    data = slice_of(0, stored)
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
        save(data, tmp_path / "in" / "a.dcm")
    else:
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            data.PixelData = stored.astype(">u2").tobytes()
            data["PixelData"].VR = "OW"
        data.add_new(0x00091001, "US", 258)  # a private number, whose bytes change their order
        save(data, tmp_path / "in" / "a.dcm")
    assert run(tmp_path / "in", tmp_path / "out", "--checkpoint", "identity") == 0
    made = dcmread(tmp_path / "out" / "a.dcm")
    assert np.array_equal(made.pixel_array, stored)
    assert made.Rows == 16 and (syntax != ExplicitVRBigEndian or made[0x00091001].value == 258)


@pytest.mark.parametrize("bits", [8, 16])
def test_identity_keeps_png(tmp_path: Path, bits: int) -> None:
    unit = np.random.default_rng(3).random((37, 21), np.float32)
    write_png(tmp_path / "in" / "a" / "x.png", unit, bits)
    assert run(tmp_path / "in", tmp_path / "out", "--checkpoint", "identity") == 0
    before, after = (read_png(tmp_path / side / "a" / "x.png") for side in ("in", "out"))
    assert after.bits == bits and np.array_equal(before.unit, after.unit)


def test_the_denoisers_output_is_what_arrives_in_hu(tmp_path: Path) -> None:
    images = hu()
    images[:, :4] = 2500  # denser than the window shows
    write_series(tmp_path / "in", images, 0.7)
    file = checkpoint(tmp_path)
    assert run(tmp_path / "in", tmp_path / "out", "--checkpoint", file) == 0
    model = load_model(str(file))
    unit = model.window.unit(images.astype(np.float32))
    wanted = model.denoiser.restore(torch.from_numpy(unit)[:, None])[:, 0].numpy()
    assert np.abs(wanted - unit).mean() > 0.01, "the denoiser must do something"
    for i, path in enumerate(sorted((tmp_path / "out").glob("*.dcm"))):
        made = pixels(path).astype(float) - 1024
        inside = (images[i] > -1000) & (images[i] < 400)
        expected = model.window.hu(wanted[i])
        assert np.abs(made - expected)[inside].max() <= 0.51
        dense = images[i] == 2500  # keeps its excess over the window
        assert np.abs(made - (2500 + expected - 400))[dense].max() <= 0.51


def test_padding_stays_padding(tmp_path: Path) -> None:
    stored = np.random.default_rng(4).integers(100, 2000, (32, 32))
    stored[:5] = 0
    save(slice_of(0, stored, PixelPaddingValue=0), tmp_path / "in" / "a.dcm")
    assert run(tmp_path / "in", tmp_path / "out", "--checkpoint", checkpoint(tmp_path)) == 0
    made = pixels(tmp_path / "out" / "a.dcm")
    assert (made[:5] == 0).all() and (made[5:] != stored[5:]).mean() > 0.5


def noisy_chest(folder: Path, sigma: float, spacing_mm: float = 0.7) -> Path:
    """A series of nine slices that are soft tissue with some noise."""
    noise = sigma * np.random.default_rng(5).normal(size=(9, 48, 48))
    write_series(folder, np.rint(40.0 + noise), spacing_mm)
    return folder


@pytest.mark.parametrize(("sigma", "inside"), [(60.0, True), (8.0, False)])
def test_it_tells_the_noise_and_whether_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sigma: float, inside: bool
) -> None:
    source = noisy_chest(tmp_path / "in", sigma)
    assert run(source, tmp_path / "out", "--checkpoint", checkpoint(tmp_path, noise_hu="40 300", pixel_mm="0.5 1")) == 0
    said = capsys.readouterr().out
    words = re.search(r"noise of the input in soft tissue: (\d+) HU \(median of 8 slices\), (.*)", said)
    assert words is not None, said
    assert float(words[1]) == pytest.approx(sigma, rel=0.15)
    end = "outside of what FM + IPv2 was trained on (40 to 300 HU): look at the result before you use it"
    assert words[2] == ("within what FM + IPv2 was trained on (40 to 300 HU)" if inside else end)
    assert "pixels of the input" not in said


def test_it_tells_pixels_that_it_was_not_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = noisy_chest(tmp_path / "in", 60.0, spacing_mm=0.3)
    file = checkpoint(tmp_path, noise_hu="40 300", pixel_mm="0.5 1")
    assert run(source, tmp_path / "out", "--checkpoint", file) == 0
    assert "pixels of the input: 0.3 mm, outside of what FM + IPv2 was trained on (0.5 to 1 mm)" in capsys.readouterr().out
    assert run(source, tmp_path / "other", "--checkpoint", "identity") == 0
    assert re.search(r"in soft tissue: \d+ HU \(median of 8 slices\)\n", capsys.readouterr().out)  # of no range


def test_it_tells_a_kernel_that_it_was_not_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = noisy_chest(tmp_path / "in", 60.0)  # white noise has a grain of 1
    for grain, said in (("0.1 0.5", "sharper than in training, 1 of fine grain, outside of what"), ("0.5 1.5", "")):
        file = checkpoint(tmp_path, noise_hu="40 300", pixel_mm="0.5 1", grain=grain)
        assert run(source, tmp_path / grain, "--checkpoint", file) == 0
        out = capsys.readouterr().out
        assert said in out and ("kernel of the input" in out) == bool(said)


def test_without_a_checkpoint_it_takes_the_weights_in_the_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = noisy_chest(tmp_path / "in", 120.0)
    assert run(source, tmp_path / "out") == 0
    assert "within what unet-native was trained on" in capsys.readouterr().out
    before, after = (np.stack([pixels(p) for p in sorted(folder.glob("*.dcm"))]) for folder in (source, tmp_path / "out"))
    assert after.std() < 0.5 * before.std()
    assert "unet-native" in dcmread(next((tmp_path / "out").glob("*.dcm"))).DerivationDescription


def test_it_tells_what_is_unlike_its_training_before_the_work(tmp_path: Path) -> None:
    source, told = noisy_chest(tmp_path / "in", 60.0), []
    model = load_model(str(checkpoint(tmp_path, noise_hu="40 300", pixel_mm="0.9 1")))

    def tell(note: str) -> None:
        assert not list((tmp_path / "out").glob("*.dcm"))
        told.append(note)

    denoise_tree(source, tmp_path / "out", model, progress=False, tell=tell)
    assert (len(told) == 3 and "60 HU" in told[0]) or "59 HU" in told[0]
    assert "0.7 mm, outside" in told[1] and "trained at 32×32, used at 48×48" in told[2]


def test_batches_and_order_do_not_change_a_pixel(tmp_path: Path) -> None:
    write_series(tmp_path / "in", hu(5), 0.7)
    file = str(checkpoint(tmp_path))
    model = load_model(file)
    for batch in (1, 2, 5):
        assert denoise_tree(tmp_path / "in", tmp_path / str(batch), model, batch, progress=False).written == 5
    for i in range(5):
        one, two, five = (pixels(tmp_path / b / f"slice{i:03d}.dcm") for b in ("1", "2", "5"))
        assert np.array_equal(one, two) and np.array_equal(one, five)


def test_neighbours_are_those_in_the_series(tmp_path: Path) -> None:
    torch.manual_seed(0)
    denoiser = CoreDiff(width=8, modulator=4, steps=2, context=3)
    file = tmp_path / "model.safetensors"
    options = {"width": 8, "modulator": 4, "steps": 2, "context": 3}
    save_denoiser(denoiser, file, "corediff", options, window_hu="-1000 400")
    images = hu(5)
    for i, path in enumerate(write_series(tmp_path / "in", images, 0.7)):
        path.rename(path.with_name(f"{(i * 3) % 5}.dcm"))
    assert run(tmp_path / "in", tmp_path / "out", "--checkpoint", file, "--batch", 2) == 0
    model = load_model(str(file))
    unit = torch.from_numpy(model.window.unit(images.astype(np.float32)))
    for i in range(5):
        near = torch.stack([unit[max(i - 1, 0)], unit[i], unit[min(i + 1, 4)]])[None]
        expected = model.window.hu(model.denoiser.restore(near)[0, 0].numpy())
        made = pixels(tmp_path / "out" / f"{(i * 3) % 5}.dcm").astype(float) - 1024
        inside = (images[i] > -1000) & (images[i] < 400)
        assert np.abs(made - expected)[inside].max() <= 0.51
    write_png(tmp_path / "png" / "a.png", np.eye(16, dtype=np.float32), 8)
    with pytest.raises(InputError, match="PNG files do not state their order"):
        denoise_tree(tmp_path / "png", tmp_path / "out2", model, progress=False)


def test_an_interrupted_run_goes_on_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_series(source, hu(), 0.7)
    file = checkpoint(tmp_path)
    assert run(source, out, "--checkpoint", file) == 0
    whole = {p.name: p.read_bytes() for p in out.glob("*.dcm")}
    (out / "slice001.dcm").unlink()
    stamp = (out / "slice000.dcm").stat().st_mtime_ns
    capsys.readouterr()
    assert run(source, out, "--checkpoint", file) == 0
    shown = capsys.readouterr()
    assert "1 slices denoised" in shown.out and "2 had been before" in shown.out
    assert "not a medical device" in shown.err
    assert {p.name: p.read_bytes() for p in out.glob("*.dcm")} == whole
    assert (out / "slice000.dcm").stat().st_mtime_ns == stamp
    assert run(source, out, "--checkpoint", "identity") == 2  # another denoiser's result
    assert "holds the output of another command" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert run(source, tmp_path / "mine", "--checkpoint", file) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    for inside in (source, source / "sub", tmp_path):
        assert run(source, inside, "--checkpoint", file) == 2
        assert "are inside each other" in capsys.readouterr().err


def test_what_cannot_be_used_is_named_and_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    paths = write_series(source, hu(), 0.7)
    paths[1].write_bytes(paths[1].read_bytes()[:-500])
    (source / "note.dcm").write_text("no image")
    save(slice_of(7, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), source / "l.dcm")
    assert run(source, out, "--checkpoint", "identity") == 1
    shown = capsys.readouterr()
    assert "slice001.dcm: pixels cannot be decoded" in shown.err and "note.dcm: cannot be read" in shown.err
    assert "left out: 1 localizer" in shown.out
    assert sorted(p.name for p in out.glob("*.dcm")) == ["slice000.dcm", "slice002.dcm"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere", "out", "--checkpoint", "identity"), "nowhere does not exist: name a folder, a file of one slice or volume"),
        (("empty", "out", "--checkpoint", "identity"), "no slice under"),
        (("empty", "--checkpoint", "identity"), "the following arguments are required: OUT"),
        (("in", "out", "--checkpoint", "gone.safetensors"), "the checkpoint gone.safetensors does not exist"),
        (("in", "out", "--checkpoint", "fm"), "denoiser fm has to be trained"),
        (("in", "out", "--checkpoint", "denoise_it"), "denoiser 'denoise_it' is unknown"),
        (("in", "out", "--checkpoint", "nl_mean"), "did you mean nl_means?"),
        (("in", "out", "--checkpoint", "identity", "--batch", "0"), "--batch is 0"),
        (("in", "out", "train.steps=3", "--checkpoint", "identity"), "unrecognized arguments: train.steps=3"),
    ],
)
def test_refusals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_series(tmp_path / "in", hu(1), 0.7)
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert said in shown.err and "Traceback" not in shown.err and shown.out == ""
    assert not (tmp_path / "out").exists()


def test_other_sizes_than_in_training_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "in", hu(1, 48), 0.7)
    assert run(tmp_path / "in", tmp_path / "out", "--checkpoint", checkpoint(tmp_path)) == 0
    assert "trained at 32×32, used at 48×48" in capsys.readouterr().out


BOUND_MB = 2048
LONG = """
import sys
from pathlib import Path
from ipv2_bench.cli import main
code = main(["denoise", "--quiet", *sys.argv[1:]])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024)
sys.exit(code)
"""


def test_memory_does_not_grow_with_the_study(tmp_path: Path) -> None:
    """Peak memory for eight times the slices is the same; the figure for 300 slices of 512×512 is in the README."""
    peaks = []
    for n in (6, 48):
        image = np.random.default_rng(0).integers(-1000, 400, (1, 256, 256)).astype(float)
        write_series(tmp_path / f"in{n}", np.repeat(image, n, axis=0), 0.7)
        words = [str(tmp_path / f"in{n}"), str(tmp_path / f"out{n}"), "--checkpoint", "identity"]
        command = [sys.executable, "-c", LONG, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ})
        peaks.append(float(done.stdout.splitlines()[-1]))
    assert peaks[1] < peaks[0] + 40 and peaks[1] < BOUND_MB


@pytest.mark.skipif(not os.environ.get("IPV2_BENCH_CT"), reason="IPV2_BENCH_CT is not set to a folder of CT series")
def test_identity_is_exact_on_every_real_slice(tmp_path: Path) -> None:
    source = Path(os.environ["IPV2_BENCH_CT"])
    assert run(source, tmp_path / "out", "--checkpoint", "identity", "--batch", 8) == 0
    written = sorted(p for p in (tmp_path / "out").rglob("*") if p.suffix.lower() == ".dcm")
    assert len(written) > 0
    for path in written:
        assert np.array_equal(pixels(path), pixels(source / path.relative_to(tmp_path / "out")))
