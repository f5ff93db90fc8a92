"""Broken, odd and malicious files: a clear line or a listed exclusion, never a trace, a hang or a flood of memory."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from ipv2_bench.cli import main
from ipv2_bench.data.formats.png import write_png
from tests.data.dicom.ct_series import MARKER, image, save, series, slice_of

SECONDS = 1200
BOUND_MB = 1200
"""Peak of a process that is handed all the bombs; a third of it is torch and its friends."""


def dicom_bytes(data: Dataset) -> bytes:
    out = io.BytesIO()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        data.SOPClassUID,
        data.SOPInstanceUID,
    )
    dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


def plain() -> bytes:
    return dicom_bytes(slice_of(9))


def compressed() -> bytes:
    data = slice_of(9)
    data.compress(RLELossless, generate_instance_uid=False)
    return dicom_bytes(data)


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(image(3, 64).astype(np.uint8)).save(out, format="png")
    return out.getvalue()


def tenth(make: Callable[[], bytes], k: int) -> Callable[[], bytes]:
    return lambda: make()[: len(make()) * k // 10]


def deflate_bomb() -> bytes:
    """A deflated data set whose pixels are hundreds of megabytes of zeros."""
    data = slice_of(9)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = dicom_bytes(data)
    length = struct.unpack("<I", whole[140:144])[0]
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    zeros = b"\0" * 2**24
    return whole[: 144 + length] + b"".join(pack.compress(zeros) for _ in range(20)) + pack.flush()


def png_bomb() -> bytes:
    """A PNG whose header promises 60000×60000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(b"\0" * 2**24)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tags(**changed: object) -> Callable[[], bytes]:
    return lambda: dicom_bytes(slice_of(9, **changed))


DICOM: dict[str, Callable[[], bytes]] = {
    **{f"plain, {k} tenths": tenth(plain, k) for k in range(10)},
    **{f"compressed, {k} tenths": tenth(compressed, k) for k in range(10)},
    "text": lambda: f"{MARKER} is no image".encode(),
    "only a preamble": lambda: b"\0" * 128 + b"DICM",
    "marker and noise": lambda: b"\0" * 128 + b"DICM" + np.random.default_rng(0).bytes(4096),
    "a PNG called .dcm": png,
    "unknown syntax": lambda: plain().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"),
    "video syntax": lambda: plain().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.100"[:20]),
    "pixels too short": tags(PixelData=b"\0" * 10),
    "no pixels": tags(PixelData=None),
    "no rows": tags(Rows=None),
    "rows of zero": tags(Rows=0),
    "huge rows and columns": tags(Rows=65535, Columns=65535),
    "colour": tags(SamplesPerPixel=3),
    "many frames": tags(NumberOfFrames=2_000_000_000),
    "negative frames": tags(NumberOfFrames=-3),
    "no slope": tags(RescaleSlope=None),
    "slope nan": tags(RescaleSlope="nan"),
    "slope zero": tags(RescaleSlope="0"),
    "slope of a giant": tags(RescaleSlope="1e200"),
    "bits of nothing": tags(BitsAllocated=0),
    "bits beyond the pixel": tags(BitsStored=60, HighBit=59),
    "one bit": tags(BitsAllocated=1, BitsStored=1, HighBit=0),
    "no photometric": tags(PhotometricInterpretation=None),
    "constant": lambda: dicom_bytes(slice_of(9, np.full((16, 16), 7))),
    "deflate bomb": deflate_bomb,
}
"""Files that cannot be slices, one beside three good ones."""

PNG: dict[str, Callable[[], bytes]] = {
    **{f"{k} tenths": tenth(png, k) for k in range(10)},
    "bomb": png_bomb,
    "text": lambda: b"no image",
    "a DICOM called .png": plain,
    "colour": lambda: _saved(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)),
    "constant": lambda: _saved(np.full((64, 64), 9, np.uint8)),
    "other size": lambda: _saved(image(1, 48).astype(np.uint8)),
}


def _saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, format="png")
    return out.getvalue()


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"not done within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main([str(w) for w in words])
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert "Traceback" not in text and MARKER not in text
    return code, text


@pytest.mark.parametrize("case", DICOM)
def test_a_bad_file_among_good_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    series(tmp_path / "in", 3)
    (tmp_path / "in" / "bad.dcm").write_bytes(DICOM[case]())
    code, text = told(capsys, "check", tmp_path / "in", "--quiet")
    assert code == 2 and "bad.dcm: " in text
    code, text = told(capsys, "denoise", tmp_path / "in", tmp_path / "out", "--checkpoint", "identity", "--quiet")
    if case == "constant":  # nothing speaks against denoising it
        assert code == 0
        return
    assert code == 1 and "bad.dcm: " in text and "3 slices denoised" in text
    assert not (tmp_path / "out" / "bad.dcm").exists()


@pytest.mark.parametrize("case", PNG)
def test_a_bad_png_among_good_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    root = tmp_path / "in"
    for i in range(3):
        for side in ("lq", "gt"):
            write_png(
                root / side / f"{i}.png", np.random.default_rng(i + 9 * (side == "gt")).random((64, 64), np.float32), 8
            )
    (root / "lq" / "2.png").write_bytes(PNG[case]())
    code, text = told(capsys, "check", root, "--quiet")
    assert code == 2 and ("lq/2.png" in text or case == "other size")
    code, text = told(capsys, "denoise", root, tmp_path / "out", "--checkpoint", "identity", "--quiet")
    fine = case in ("constant", "other size")
    assert code == (0 if fine else 1) and (fine or "lq/2.png: " in text)


TRICKS = [
    "..dcm",
    "a\nb.dcm",
    "%s%n{0}.dcm",
    "-rf.dcm",
    "$(touch x).dcm",
    " .dcm",
    "ä" * 100 + ".dcm",
    "a;b|c&d.dcm",
    "…​.dcm",
]


@pytest.mark.parametrize("name", TRICKS)
def test_odd_names_stay_in_their_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    save(slice_of(0), tmp_path / "in" / "deep" / "x.dcm").rename(tmp_path / "in" / "deep" / name)
    code, _ = told(capsys, "denoise", tmp_path / "in", tmp_path / "out", "--checkpoint", "identity", "--quiet")
    assert code == 0
    made = [
        p.relative_to(tmp_path / "out")
        for p in (tmp_path / "out").rglob("*")
        if p.is_file() and p.name != ".ipv2-bench.json"
    ]
    assert made == [Path("deep", name)]
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out"}


def test_undecodable_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(slice_of(0), tmp_path / "in" / "x.dcm")
    (tmp_path / "in" / "x.dcm").rename(tmp_path / "in" / os.fsdecode(b"\xff\xfe.dcm"))
    assert told(capsys, "check", tmp_path / "in", "--quiet")[0] == 0
    assert told(capsys, "denoise", tmp_path / "in", tmp_path / "out", "--checkpoint", "identity", "--quiet")[0] == 0


def test_links_that_loop_and_things_that_are_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = series(tmp_path / "in", 3)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "self.dcm").symlink_to(root / "self.dcm")
    (root / "folder.dcm").mkdir()
    os.mkfifo(root / "pipe")
    code, text = told(capsys, "check", root, "--quiet")
    assert code == 2 and "self.dcm: cannot be opened" in text and "3 slices" in text
    code, text = told(capsys, "denoise", root, tmp_path / "out", "--checkpoint", "identity", "--quiet")
    assert code == 1 and "3 slices denoised" in text and not (tmp_path / "out" / "loop").exists()


def test_a_file_larger_than_any_slice_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = series(tmp_path / "in", 3)
    with (root / "big.dcm").open("wb") as file:
        file.write(plain())
        file.truncate(3 * 2**30)
    code, text = told(capsys, "check", root, "--quiet")
    assert code == 2 and "big.dcm: a file of 3072 MB; expected a slice" in text


def test_swapped_trees_of_pairs_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "in"
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 32
    body = np.where(x**2 + y**2 < 28**2, 0.75, 0.0)
    body[(abs(x) - 12) ** 2 / 60 + y**2 / 200 < 1] = 0.1
    for i in range(3):
        for side, noise in (("lq", 0.005), ("gt", 0.05)):
            write_png(root / side / f"{i}.png", (body + noise * rng.standard_normal(body.shape)).clip(0, 1), 8)
    code, text = told(capsys, "check", root, "--quiet")
    assert code == 2 and "[swapped]" in text


HANDLER = """
import sys
from pathlib import Path
from ipv2_bench.cli import main
code = main(["check", sys.argv[1], "--quiet"])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print("peak", int(peak.split()[1]) / 1024)
sys.exit(code)
"""
"""Its own peak: the one that the kernel hands to a parent begins with the parent's."""


def test_bombs_do_not_fill_the_memory(tmp_path: Path) -> None:
    root = series(tmp_path / "in", 3)
    for name in ("huge rows and columns", "many frames", "deflate bomb"):
        (root / f"{name}.dcm").write_bytes(DICOM[name]())
    command = [sys.executable, "-c", HANDLER, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 2, done.stderr
    assert float(done.stdout.split("peak ")[1]) < BOUND_MB
