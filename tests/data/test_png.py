"""Grey PNG of 8 and 16 bit."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.data.findings import Unusable
from ipv2_bench.data.formats.png import read_png, write_png
from ipv2_bench.data.hu_images import STEPS_PER_HU, rounded_hu
from ipv2_bench.data.sources.paired_png import PairedPng
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window, from_8bit, from_16bit, from_network, to_8bit, to_16bit, to_network

WINDOWS = [Window(), Window(-1350, 150), Window(-160, 240), Window(-1024, 3071)]


@pytest.mark.parametrize("window", WINDOWS)
def test_every_stored_value_survives_every_range(window: Window) -> None:
    import torch

    for bits, to_unit, to_stored in ((8, from_8bit, to_8bit), (16, from_16bit, to_16bit)):
        stored = np.arange(2**bits).astype(np.uint8 if bits == 8 else np.uint16)
        unit = to_unit(stored)
        assert unit.dtype == np.float32 and unit[0] == 0 and unit[-1] == 1
        assert np.array_equal(to_stored(unit), stored)
        through_hu = window.unit(window.hu(unit.astype(np.float64)))
        assert np.array_equal(to_stored(through_hu), stored)
        network = from_network(to_network(torch.from_numpy(unit))).numpy()
        assert np.array_equal(to_stored(network), stored)


def test_grey_levels_are_rounded_or_truncated(tmp_path: Path) -> None:
    """Truncated as the public scripts' casts to uint8; a level that is read comes back as it was by either way."""
    unit = np.array([[0.0, 0.4999, 0.5, 0.9999, 1.0, 7.6 / 255, 7.4 / 255]])
    for grey, expected in (("round", [0, 127, 128, 255, 255, 8, 7]), ("truncate", [0, 127, 127, 254, 255, 7, 7])):
        write_png(tmp_path / "one.png", unit, 8, grey)
        with Image.open(tmp_path / "one.png") as image:
            assert np.asarray(image)[0].tolist() == expected
    for bits, to_unit, to_stored in ((8, from_8bit, to_8bit), (16, from_16bit, to_16bit)):
        stored = np.arange(2**bits).astype(np.uint8 if bits == 8 else np.uint16)
        assert np.array_equal(to_stored(to_unit(stored), truncate=True), stored)


@pytest.mark.parametrize("window", WINDOWS)
def test_whole_hu_survive_16_bit(window: Window) -> None:
    hu = np.arange(window.low, window.high + 1)
    again = window.hu(from_16bit(to_16bit(window.unit(hu))).astype(np.float64))
    assert np.abs(again - hu).max() <= 0.5 * window.width / 65535 + 1e-3
    assert np.array_equal(np.rint(again), hu)


@pytest.mark.parametrize("bits", [8, 16])
def test_files_hold_what_was_written(tmp_path: Path, bits: int) -> None:
    unit = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(64, 48)
    write_png(tmp_path / "a" / "b.png", unit, bits)
    image = read_png(tmp_path / "a" / "b.png")
    assert image.bits == bits
    assert np.abs(image.unit - unit).max() <= 0.5 / (2**bits - 1) + 1e-6


def test_colour_that_is_grey_passes_and_true_colour_does_not(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for mode in ("RGB", "RGBA", "P"):
        Image.fromarray(grey).convert(mode).save(tmp_path / f"{mode}.png")
        assert np.array_equal(to_8bit(read_png(tmp_path / f"{mode}.png").unit), grey)
    red = np.stack([grey, grey, 255 - grey], axis=-1)
    Image.fromarray(red).save(tmp_path / "red.png")
    with pytest.raises(Unusable, match="colour"):
        read_png(tmp_path / "red.png")


def png_of(channels: np.ndarray) -> bytes:
    """A PNG file of 16 bit of values [H, W, C]; Pillow writes none with several channels."""
    height, width, count = channels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[count]  # grey, grey and alpha, colour, colour and alpha

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_is_never_read_as_8_bit(tmp_path: Path, channels: int) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (16, 16))
    image = np.repeat(grey[..., None], channels, axis=-1)
    if channels in (2, 4):
        image[..., -1] = 2**16 - 1  # opaque
    (tmp_path / "a.png").write_bytes(png_of(image))
    if channels == 1:
        read = read_png(tmp_path / "a.png")
        assert read.bits == 16 and np.array_equal(to_16bit(read.unit), grey)
    else:
        with pytest.raises(Unusable, match="is 16 bit with colour or alpha channels: expected one grey channel"):
            read_png(tmp_path / "a.png")


@pytest.mark.parametrize("window", WINDOWS)
def test_a_level_survives_steps_of_hu_and_truncation(window: Window) -> None:
    levels = np.arange(256, dtype=np.uint8)
    hu = rounded_hu(window.hu(from_8bit(levels).astype(np.float64)))
    step = 1.0 / (STEPS_PER_HU * window.width)
    assert np.array_equal(to_8bit(window.unit(hu), truncate=True, step=step), levels)
    assert not np.array_equal(to_8bit(window.unit(hu), truncate=True), levels)
    # What is clearly between two levels goes down, as it does without steps.
    between = (np.arange(255) + 0.9) / 255
    assert np.array_equal(to_8bit(between, truncate=True, step=step), levels[:-1])
    # A level of 16 bit is finer than a step: the nearest, and no bias of several levels.
    fine = window.unit(hu)
    assert np.array_equal(to_16bit(fine, truncate=True, step=step), to_16bit(fine))


@pytest.mark.parametrize("alone", ["lq", "gt"])
def test_images_of_one_side_alone_are_reported(tmp_path: Path, alone: str) -> None:
    root = pairs(tmp_path / "p", parts=("train",), n=2)
    for i in range(3):
        write_png(root / "test" / alone / f"{i}.png", np.eye(32, dtype=np.float32), 8)
    other = "gt" if alone == "lq" else "lq"
    with pytest.raises(InputError, match=rf"^test/{alone}/0.png \(and 2 more here\): has no partner in {other}"):
        PairedPng(str(root)).pairs()


def test_pairs_are_found_whatever_the_case_of_their_ending(tmp_path: Path) -> None:
    root = pairs(tmp_path / "p", parts=("train",), n=2)
    for path in (*root.rglob("1.png"),):
        path.rename(path.with_suffix(".PNG"))
    assert [p.low.name for p in PairedPng(str(root)).pairs()] == ["0.png", "1.PNG"]


def pairs(root: Path, bits: int = 8, parts: tuple[str, ...] = ("train", "val", "test"), n: int = 4) -> Path:
    rng = np.random.default_rng(0)
    for part in parts:
        for i in range(n):
            for side in ("lq", "gt"):
                write_png(root / part / side / f"{i}.png", rng.random((32, 32), np.float32), bits)
    return root


def test_16_bit_pairs_are_read_finer_than_8_bit(tmp_path: Path) -> None:
    slices = PairedPng(str(pairs(tmp_path / "p", 16))).slices(tmp_path / "cache", Window(), 32)
    assert len(slices) == 12
    assert len(np.unique(np.asarray(slices.low))) > 5000
    first = read_png(tmp_path / "p" / "test" / "lq" / "0.png").unit
    assert np.abs(slices.low[0] - first).max() <= 0.5 / 8 / Window().width * 1.01  # half a stored step


@pytest.mark.parametrize("offset", [1024, 32768])
def test_hu_with_an_offset_is_never_taken_for_a_window(tmp_path: Path, offset: int) -> None:
    hu = np.random.default_rng(0).integers(-1024, 1800, (32, 32))
    Image.fromarray((hu + offset).astype(np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(Unusable) as caught:
        read_png(tmp_path / "a.png")
    assert f"look like HU + {offset}; expected grey levels" in caught.value.problem.text


def test_a_window_of_16_bit_is_read(tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    for part in (unit, unit * 0.4, 0.3 + 0.6 * unit):
        write_png(tmp_path / "a.png", part, 16)
        assert np.abs(read_png(tmp_path / "a.png").unit - part).max() <= 0.51 / 65535
