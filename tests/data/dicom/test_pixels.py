"""Stored values of DICOM slices: every compression, signed and fractional, padding, and decoders that are missing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from ipv2_bench.cli import main
from ipv2_bench.data.dicom import pixels
from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.errors import InputError
from tests.data.dicom.ct_series import image, refusal, save, series, slice_of


def test_signed_values_and_fractions_are_exact(tmp_path: Path) -> None:
    stored = image(0) - 1500
    save(slice_of(0, stored, signed=True, RescaleIntercept="0"), tmp_path / "a" / "1.dcm")
    save(slice_of(0, image(1), RescaleSlope="0.5", RescaleIntercept="-1024"), tmp_path / "b" / "1.dcm")
    by_folder = {s.folder: s for s in read_tree(tmp_path)}
    assert stored.min() < -1024
    assert np.array_equal(by_folder["a"].hu[0], stored)
    assert by_folder["b"].hu.dtype == np.float32
    assert np.allclose(by_folder["b"].hu[0], image(1) * 0.5 - 1024)


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_padding_becomes_air(tmp_path: Path, vr: str) -> None:
    stored = image(0)
    stored[:4] = -2000
    data = slice_of(0, stored, signed=True)
    data.add_new("PixelPaddingValue", vr, -2000 if vr == "SS" else 63536)
    save(data, tmp_path / "1.dcm")
    (only,) = read_tree(tmp_path)
    assert (only.hu[0, :4] == -1000).all()
    assert np.array_equal(only.hu[0, 4:], stored[4:] - 1024)


def test_padding_range(tmp_path: Path) -> None:
    stored = image(0) + 100
    stored[0, :3] = [5, 6, 7]
    save(slice_of(0, stored, PixelPaddingValue=5, PixelPaddingRangeLimit=7), tmp_path / "1.dcm")
    (only,) = read_tree(tmp_path)
    assert (only.hu[0, 0, :3] == -1000).all()
    assert np.array_equal(only.hu[0, 1:], stored[1:] - 1024)


def packed(gdcm: ModuleType, plain: Path, folder: Path, syntax: str) -> None:
    """Write the two slices of a series again, compressed."""
    folder.mkdir()
    for i in range(2):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain / f"{i}.dcm"))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(folder / f"{i}.dcm"))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()


def test_rle_and_jpeg_lossless_give_the_same_values(tmp_path: Path) -> None:
    plain = series(tmp_path / "plain", 2)
    for i in range(2):
        data = slice_of(i)
        data.compress(RLELossless, generate_instance_uid=False)
        save(data, tmp_path / "rle" / f"{i}.dcm")
    (want,), (rle,) = read_tree(plain), read_tree(tmp_path / "rle")
    assert np.array_equal(want.hu, rle.hu)
    assert want.key == rle.key
    gdcm = pytest.importorskip("gdcm", reason="needs the package python-gdcm")
    packed(gdcm, plain, tmp_path / "jpeg", "JPEGLosslessProcess14_1")
    (jpeg,) = read_tree(tmp_path / "jpeg")
    assert jpeg.key == want.key
    cut = (tmp_path / "jpeg" / "1.dcm").read_bytes()
    (tmp_path / "jpeg" / "1.dcm").write_bytes(cut[: len(cut) * 3 // 4])
    assert "1.dcm: no pixel data" in refusal(tmp_path / "jpeg")


@pytest.mark.parametrize("syntax", ["JPEGLSLossless", "JPEG2000Lossless", "RLELossless", "JPEGLosslessProcess14"])
def test_compressed_slices_are_read_exactly(tmp_path: Path, syntax: str) -> None:
    gdcm = pytest.importorskip("gdcm", reason="needs the package python-gdcm")
    plain = series(tmp_path / "plain", 2)
    packed(gdcm, plain, tmp_path / "packed", syntax)
    (plain_series,), (compressed,) = read_tree(plain), read_tree(tmp_path / "packed")
    assert np.array_equal(plain_series.hu, compressed.hu)


def test_deflated_slices_are_read(tmp_path: Path) -> None:
    data = slice_of(0)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    save(data, tmp_path / "a.dcm")
    assert np.array_equal(read_tree(tmp_path)[0].hu[0], image(0) - 1024)


class NoDecoder:
    """Stands in for a decoder none of whose plug-ins is installed."""

    available_plugins: tuple[str, ...] = ()


def test_missing_decoder_names_syntax_and_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = slice_of(0)
    data.compress(RLELossless, generate_instance_uid=False)
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    save(data, tmp_path / "1.dcm")
    monkeypatch.setattr(pixels, "get_decoder", lambda uid: NoDecoder())
    message = refusal(tmp_path)
    assert message.startswith("1.dcm: no decoder for 'JPEG Lossless")
    assert "pip install python-gdcm" in message


def test_unknown_transfer_syntax_is_not_quoted(tmp_path: Path) -> None:
    data = slice_of(0)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = save(data, tmp_path / "1.dcm")
    known, unknown = ExplicitVRLittleEndian.encode() + b"\0", b"1.2.826.0.1.98765432"
    path.write_bytes(path.read_bytes().replace(known, unknown))
    with pytest.raises(InputError, match=r"1\.dcm: ") as caught:
        read_tree(tmp_path)
    assert "98765432" not in str(caught.value)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored_bits", "high"), [(8, 7), (10, 9), (12, 11), (12, 13), (12, 15), (15, 15), (16, 15)])
def test_hu_are_exact_for_any_bits(tmp_path: Path, signed: bool, stored_bits: int, high: int) -> None:
    """The stored value is the field that the tags say; bits beside it, such as an overlay, are not part of it."""
    rng = np.random.default_rng(stored_bits + high)
    half = 1 << (stored_bits - 1)
    values = rng.integers(-half if signed else 0, half if signed else 2 * half, (16, 16))
    values[0, :2] = (-half, half - 1) if signed else (0, 2 * half - 1)
    shift = high - stored_bits + 1
    mask = (1 << stored_bits) - 1
    noise = rng.integers(0, 1 << 16, values.shape) & ~(mask << shift)
    words = ((values & mask) << shift) | noise
    tags = {"BitsStored": stored_bits, "HighBit": high, "PixelRepresentation": int(signed), "RescaleSlope": "0.01"}
    save(slice_of(0, words, RescaleIntercept="-300", **tags), tmp_path / "in" / "1.dcm")
    (only,) = read_tree(tmp_path / "in")
    assert np.array_equal(only.hu[0], (values * 0.01 - 300).astype(np.float32))
    # Denoised by nothing, the words with what stands beside the values are as they were.
    assert main(["denoise", "--quiet", str(tmp_path / "in"), str(tmp_path / "out"), "--checkpoint", "identity"]) == 0
    made = dcmread(tmp_path / "out" / "1.dcm")
    assert np.array_equal(np.frombuffer(made.PixelData, "<u2").reshape(16, 16), words)


def test_other_values_leave_the_bits_beside_them(tmp_path: Path) -> None:
    bits = pixels.StoredBits(12, 13, True)
    words = np.random.default_rng(0).integers(0, 1 << 16, (64,)).astype(np.uint16)
    values = np.random.default_rng(1).integers(-2048, 2048, 64)
    made = bits.words(values, words)
    assert made.dtype == words.dtype and np.array_equal(bits.values(made), values)
    beside = np.uint16(~(0xFFF << 2) & 0xFFFF)
    assert np.array_equal(made & beside, words & beside)


@pytest.mark.parametrize(("stored", "high"), [(12, 10), (17, 16), (0, 0), (12, 16)])
def test_bits_that_cannot_be_are_named(tmp_path: Path, stored: int, high: int) -> None:
    save(slice_of(0, BitsStored=stored, HighBit=high), tmp_path / "1.dcm")
    assert f"BitsStored {stored} and HighBit {high} in 16 bits" in refusal(tmp_path)


@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "usual"])
def test_padding_is_air_to_us_and_stays_what_it_was(tmp_path: Path, tagged: bool) -> None:
    stored = image(0, 32) - 1024
    stored[:3] = -2000
    tags = {"PixelPaddingValue": -2000} if tagged else {}
    data = slice_of(0, stored, signed=True, RescaleIntercept="0")
    if tagged:
        data.add_new("PixelPaddingValue", "SS", tags["PixelPaddingValue"])
    save(data, tmp_path / "in" / "1.dcm")
    (only,) = read_tree(tmp_path / "in")
    assert (only.hu[0, :3] == -1000).all() and np.array_equal(only.hu[0, 3:], stored[3:])
    assert main(["denoise", "--quiet", str(tmp_path / "in"), str(tmp_path / "out"), "--checkpoint", "gaussian"]) == 0
    made = np.frombuffer(dcmread(tmp_path / "out" / "1.dcm").PixelData, "<i2").reshape(32, 32)
    assert (made[:3] == -2000).all() and (made[3:] != stored[3:]).mean() > 0.9


def test_a_few_dark_pixels_are_no_padding(tmp_path: Path) -> None:
    stored = image(0, 64) - 1024
    stored[5, 5] = -2000  # one pixel of noise
    save(slice_of(0, stored, signed=True, RescaleIntercept="0"), tmp_path / "1.dcm")
    (only,) = read_tree(tmp_path)
    assert only.hu[0, 5, 5] == -2000
