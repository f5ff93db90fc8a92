"""Every file of a folder is read, or counted under a reason with an example: what people's folders hold."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ipv2_bench.cli import main
from ipv2_bench.data.dicom.reading import looks_like_dataset
from ipv2_bench.data.dicom.tree import Wanted, scan_tree
from ipv2_bench.data.findings import Findings, LeftOut
from ipv2_bench.data.formats.listing import files_below
from ipv2_bench.data.formats.png import write_png
from ipv2_bench.data.sources.paired_png import PairedPng
from ipv2_bench.folders.pairs import pairs_config
from ipv2_bench.physics.intensity import Window
from tests.data.dicom.ct_series import image, save, slice_of

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def without_marker(index: int, syntax: str, meta: bool = False) -> bytes:
    """A slice as a bare data set, as old scanners and some exports write it."""
    data = slice_of(index)
    data.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        data.PixelData = image(index).astype(">u2").tobytes()
    data["PixelData"].VR = "OW"
    out = io.BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    own_meta = data.file_meta
    data.file_meta = FileMetaDataset()
    dcmwrite(out, data, implicit_vr=implicit, little_endian=little)
    if not meta:
        return out.getvalue()
    data.file_meta = own_meta
    whole = io.BytesIO()
    dcmwrite(whole, data, enforce_file_format=True)
    return whole.getvalue()[132:]


def no_syntax(index: int) -> bytes:
    """A slice with marker whose file meta information lacks the transfer syntax."""
    body = without_marker(index, ImplicitVRLittleEndian)
    class_uid = b"1.2.840.10008.5.1.4.1.1.2\0"
    element = b"\x02\x00\x02\x00UI" + len(class_uid).to_bytes(2, "little") + class_uid
    group = b"\x02\x00\x00\x00UL\x04\x00" + len(element).to_bytes(4, "little")
    return bytes(128) + b"DICM" + group + element + body


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("meta", [False, True], ids=["bare", "with meta"])
@pytest.mark.parametrize("ending", ["", ".IMA", ".dcm", ".0001"])
def test_slices_without_marker_or_ending_are_read(tmp_path: Path, syntax: str, meta: bool, ending: str) -> None:
    if meta and syntax == ExplicitVRBigEndian:
        syntax = ExplicitVRLittleEndian
    for i in range(3):
        (tmp_path / f"{i}{ending}").write_bytes(without_marker(i, syntax, meta))
    found = scan_tree(tmp_path)
    assert not found.findings and not found.left_out
    (only,) = found.series
    assert np.array_equal(only.hu, np.stack([image(i) for i in range(3)]) - 1024)


def test_a_transfer_syntax_that_is_not_written_is_implicit_little_endian(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / "in" / f"{i}").write_bytes(no_syntax(i))
    (only,) = scan_tree(tmp_path / "in").series
    assert np.array_equal(only.hu[1], image(1) - 1024)
    assert main(["denoise", str(tmp_path / "in"), str(tmp_path / "out"), "--checkpoint", "identity", "--quiet"]) == 0
    (only,) = scan_tree(tmp_path / "out", wanted=Wanted(derived=True)).series
    assert np.array_equal(only.hu[2], image(2) - 1024)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("x", "y")
    return out.getvalue()


OTHERS = {
    "._slice0.dcm": (b"\x00\x05\x16\x07" + bytes(100), "a companion file of macOS or Windows"),
    ".DS_Store": (b"\x00\x00\x00\x01Bud1", "a companion file of macOS or Windows"),
    "__MACOSX/._x": (b"\x00\x05\x16\x07", "a companion file of macOS or Windows"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0", "a companion file of macOS or Windows"),
    "notes.txt": (b"hello", "no image"),
    "empty": (b"", "empty"),
    "scans.zip": (zipped(), "an archive, which has to be unpacked"),
    "Übersicht der Untersuchung.pdf": (b"%PDF-1.7", "no image"),
    ".ipv2-bench.json": (b"{}", "a note of ipv2-bench"),
    "volume.nii": (bytes(344) + b"n+1\0", "no DICOM"),
    "a.npy": (b"\x93NUMPY\x01\x00", "no DICOM"),
}


def test_what_is_no_slice_is_counted_under_a_reason_with_an_example(tmp_path: Path) -> None:
    for i in range(3):
        save(slice_of(i), tmp_path / f"{i}.dcm")
    write_png(tmp_path / "picture.png", np.random.default_rng(0).random((8, 8), np.float32), 8)
    for name, (content, _) in OTHERS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = scan_tree(tmp_path)
    assert len(found.series) == 1 and not found.findings
    expected = [*(reason for _, reason in OTHERS.values()), "no DICOM"]
    for reason in set(expected):
        assert found.left_out[reason] == expected.count(reason)
    assert "2 no image (such as notes.txt)" in str(found.left_out)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert 3 + len(expected) == len(files)


@pytest.mark.parametrize("command", ["check", "denoise", "simulate"])
def test_commands_say_what_they_leave_out(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, ct_tree: Path
) -> None:
    (ct_tree / "notes.txt").write_text("x")
    words = [command, "--quiet", str(ct_tree)]
    if command != "check":
        words.append(str(tmp_path / "out"))
    words += {"denoise": ["--checkpoint", "identity"], "simulate": ["--size", "32", "data.photons=17000"]}.get(command, [])
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "1 no image (such as notes.txt)" in shown.out + shown.err + caplog.text


@pytest.mark.parametrize("name", ["A.DCM", "b.Dicom", "c.ima", "ä" * 80, "患者.dcm", "with space", "#1=2"])
def test_names_of_any_kind_are_read(tmp_path: Path, name: str) -> None:
    save(slice_of(0), tmp_path / "in" / "x.dcm").rename(tmp_path / "in" / name)
    listing = files_below(tmp_path / "in", Findings(), LeftOut())
    assert listing.dicom == [name] and not listing.png and not listing.volumes


def test_text_and_other_bytes_do_not_look_like_data_sets() -> None:
    rng = np.random.default_rng(0)
    for i in range(2000):
        head = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
        assert not looks_like_dataset(head, 10**6), i
    for head in (b"", b"\x08\x00", b"\x08\x00\x05\x00CS" + bytes(300), b"<html>" * 50, bytes(400)):
        assert not looks_like_dataset(head, len(head))
    assert looks_like_dataset(without_marker(0, ImplicitVRLittleEndian)[:352], 10**6)


def test_what_is_left_out_of_pairs_of_png_is_said_again_in_a_later_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for side in ("lq", "gt"):
        for i in range(2):
            write_png(tmp_path / "in" / side / f"{i}.png", rng.random((32, 32), np.float32), 16)
    write_png(tmp_path / "in" / "Jane Doe (1), left" / "x.png", rng.random((32, 32), np.float32), 16)
    (tmp_path / "in" / "lq" / "notes.txt").write_text("nothing")
    (tmp_path / "in" / "gt" / "0.jpg").write_bytes(b"\xff\xd8\xff")
    assert main(["check", str(tmp_path / "in"), "--quiet"]) == 0
    said = "1 PNG outside of lq and gt (such as Jane Doe (1), left/x.png), 2 no image (such as gt/0.jpg)"
    assert f"left out: {said}" in capsys.readouterr().out
    with caplog.at_level("WARNING"):
        PairedPng(str(tmp_path / "in")).slices(tmp_path / "cache", Window(), 32)
    assert f"left out of the data set: {said}" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING"):
        PairedPng(str(tmp_path / "in")).slices(tmp_path / "cache", Window(), 32)
    assert "left out of the data set: 1 PNG outside of lq and gt, 2 no image" in caplog.text
    assert not any("Jane" in path.read_text(errors="replace") for path in (tmp_path / "cache").rglob("*.json"))


def test_links_of_png_pairs_are_followed_wherever_they_lead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for side in "ab":
        for i in range(3):
            write_png(tmp_path / "in" / "store" / side / f"{i}.PNG", rng.random((32, 32), np.float32), 16)
    for part in ("train", "val"):
        (tmp_path / "in" / part).mkdir()
        (tmp_path / "in" / part / "lq").symlink_to("../store/a")
        (tmp_path / "in" / part / "gt").symlink_to("../store/b")
    (tmp_path / "in" / "store" / "a" / "lq").symlink_to("../..")  # back to where it is
    pairs = PairedPng(str(tmp_path / "in")).pairs()
    assert [(p.part, p.low.name) for p in pairs] == [(part, f"{i}.PNG") for part in ("train", "val") for i in range(3)]
    assert main(["check", str(tmp_path / "in"), "--quiet"]) == 2  # the same pixels in two parts of the split
    assert "6 PNG pairs of 32×32, 16 bit; 3 in train, 3 in val" in capsys.readouterr().out


def test_png_without_ending_are_pairs_and_companions_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for side in ("lq", "gt"):
        for i in range(8):
            path = tmp_path / "in" / side / f"{i}.png"
            write_png(path, rng.random((32, 32), np.float32), 16)
            path.rename(path.with_suffix(""))
        (tmp_path / "in" / "__MACOSX" / side).mkdir(parents=True)
        (tmp_path / "in" / "__MACOSX" / side / "._0.png").write_bytes(b"Mac OS X")
    assert main(["check", str(tmp_path / "in"), "--quiet"]) == 0
    assert "8 PNG pairs of 32×32" in capsys.readouterr().out
    config = pairs_config(tmp_path / "in", None, [])
    assert (config.data.source, config.data.size, config.data.split) == ("paired_png", 32, "slice")
    (tmp_path / "in" / "lq" / "0").write_bytes((tmp_path / "in" / "lq" / "0").read_bytes()[:60])
    assert pairs_config(tmp_path / "in", None, []).data.size == 32
