"""Files that are mutated at random: what is not changed on purpose arrives byte for byte, and nothing is lost in silence."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from ipv2_bench.cli import main
from ipv2_bench.data.formats.png import write_png
from tests.data.dicom.ct_series import MARKER, slice_of
from tests.data.dicom.elements import (
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    Element,
    Encoding,
    file_of,
    of_file,
    tag_bytes,
    walked,
    written,
)

SEED = 20261126
DICOM_FILES, PNG_FILES = 500, 200

ENCODINGS = {
    ExplicitVRLittleEndian: Encoding(),
    ImplicitVRLittleEndian: Encoding(explicit=False),
    ExplicitVRBigEndian: Encoding(little=False),
    DeflatedExplicitVRLittleEndian: Encoding(),
    RLELossless: Encoding(),
}

CHANGED = {
    0x00080008: "ImageType", 0x00080018: "SOPInstanceUID", 0x0008103E: "SeriesDescription", 0x00082111: "DerivationDescription",
    0x00082112: "SourceImageSequence", 0x0020000E: "SeriesInstanceUID", 0x7FE00010: "PixelData",
}  # fmt: skip
"""What denoising changes on purpose."""

NEEDED = {
    "Modality", "SOPClassUID", "SOPInstanceUID", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation",
    "RescaleSlope", "RescaleIntercept", "PixelData", "NumberOfFrames",
}  # fmt: skip
"""Without these there is no slice, so that damage to them is a finding."""

CHARACTER_SETS = (b"ISO_IR 192", b"\\ISO 2022 IR 87 ", b"NO SUCH SET ", b"ISO_IR 100  ", b"")

TEXTS = (b"LO", b"SH", b"ST", b"LT", b"PN", b"UT", b"CS", b"DA", b"TM", b"UI", b"DS", b"IS", b"AE")
NUMBERS = (b"US", b"SS", b"UL", b"SL", b"FL", b"FD", b"AT", b"OW", b"OB", b"UN")


def base(index: int, syntax: str) -> list[Element]:
    """A slice's elements in an encoding."""
    data = slice_of(index)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    encoding = ENCODINGS[syntax]
    if not encoding.little:
        data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
    data["PixelData"].VR = "OB" if syntax == RLELossless else "OW"
    plain = Dataset()
    plain.update(data)
    plain.file_meta = FileMetaDataset()
    out = io.BytesIO()
    if syntax == RLELossless:
        plain.file_meta.TransferSyntaxUID = RLELossless
        dcmwrite(out, plain)
        raw = out.getvalue()
        elements = walked(raw, Encoding())
        return [e for e in elements if e.tag >> 16 != 2]
    dcmwrite(out, plain, implicit_vr=not encoding.explicit, little_endian=encoding.little)
    return walked(out.getvalue(), encoding)


def mutated(elements: list[Element], encoding: Encoding, rng: np.random.Generator) -> list[Element]:
    """The elements with some more and some spoiled, as scanners, anonymisers and exports leave them."""
    from pydicom.datadict import keyword_for_tag

    found = {e.tag: e for e in elements}

    def anything(most: int = 40) -> bytes:
        return rng.bytes(2 * int(rng.integers(0, most // 2)))

    def vr(code: bytes) -> bytes:
        return code if encoding.explicit else b""

    for _ in range(rng.integers(1, 5)):
        kind = rng.integers(7)
        group = int(rng.choice([0x0009, 0x0019, 0x0029, 0x7FE1]))
        element = int(rng.integers(0x1000, 0x10FF))
        if kind == 0:  # a private element whose text stands where a number is announced
            found[group << 16 | element] = Element(group << 16 | element, vr(b"FD"), b"not a number!".ljust(14))
        elif kind == 1:  # any private element, with its creator or without
            code = bytes(rng.choice([*TEXTS, *NUMBERS]))
            if rng.random() < 0.5:
                found[group << 16 | 0x0010] = Element(group << 16 | 0x0010, vr(b"LO"), b"ACME 1.1")
            found[group << 16 | element] = Element(group << 16 | element, vr(code), anything())
        elif kind == 2:  # a name in an odd character set
            found[0x00080005] = Element(0x00080005, vr(b"CS"), CHARACTER_SETS[int(rng.integers(len(CHARACTER_SETS)))])
            found[0x00100010] = Element(0x00100010, vr(b"PN"), anything())
        elif kind == 3:  # an overlay
            found[0x60000010] = Element(0x60000010, vr(b"US"), encoding.number(16, 2))
            found[0x60003000] = Element(0x60003000, vr(b"OW"), anything(64))
        elif kind == 4:  # a sequence of undefined length, with an item of undefined length and one of defined length
            inner = written([Element(0x00080100, vr(b"SH"), anything(16)), Element(0x00091001, vr(b"UN"), anything())], encoding)
            value = tag_bytes(ITEM, encoding) + b"\xff\xff\xff\xff" + inner + tag_bytes(ITEM_END, encoding) + bytes(4)
            value += tag_bytes(ITEM, encoding) + encoding.number(len(inner), 4) + inner
            value += tag_bytes(SEQUENCE_END, encoding) + bytes(4)
            found[0x00081032] = Element(0x00081032, vr(b"SQ"), value, undefined=True)
        elif kind == 5:  # a number of the wrong length
            found[0x00181152] = Element(0x00181152, vr(b"IS"), anything(8))
            found[0x00280106] = Element(0x00280106, vr(b"US"), rng.bytes(int(rng.choice([0, 4, 6]))))
            found.pop(0x00280106)  # it describes the pixels and is removed with them
            found[0x00189305] = Element(0x00189305, vr(b"FD"), rng.bytes(6))
        else:  # an element that is there, spoiled
            spoilable = [t for t in found if keyword_for_tag(t) not in NEEDED and not found[t].undefined and t not in CHANGED]
            tag = int(rng.choice(spoilable))
            found[tag] = found[tag]._replace(value=anything())
    return list(found.values())


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main([str(w) for w in words])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_mutated_dicom_files_pass_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(SEED)
    syntaxes = list(ENCODINGS)
    given: dict[str, list[Element]] = {}
    bases = {syntax: [base(i, syntax) for i in range(3)] for syntax in syntaxes}
    (tmp_path / "in").mkdir()
    for n in range(DICOM_FILES):
        syntax = syntaxes[n % len(syntaxes)]
        name = f"{n:03d}"
        given[name] = sorted(mutated(bases[syntax][n % 3], ENCODINGS[syntax], rng), key=lambda e: e.tag)
        (tmp_path / "in" / name).write_bytes(file_of(given[name], syntax, ENCODINGS[syntax]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, text = told(capsys, "denoise", tmp_path / "in", tmp_path / "out", "--checkpoint", "identity", "--quiet")
    assert code == 0, text
    assert "Traceback" not in text and MARKER not in text and f"{DICOM_FILES} slices denoised" in text
    for name, before in given.items():
        after, encoding = of_file((tmp_path / "out" / name).read_bytes())
        kept = [e for e in after if e.tag not in CHANGED]
        expected = [e for e in before if e.tag not in CHANGED]
        assert kept == expected, name
        assert {e.tag for e in after} - {e.tag for e in before} <= set(CHANGED), name
        stored = [next(e.value for e in elements if e.tag == 0x7FE00010) for elements in (before, after)]
        compressed = next(e for e in before if e.tag == 0x7FE00010).undefined
        assert compressed or stored[0] == stored[1], name
        assert not compressed or encoding == Encoding()


def test_mutated_png_files_are_denoised_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(SEED)
    source = tmp_path / "in"
    for n in range(PNG_FILES):
        path = source / f"{n:03d}.png"
        write_png(path, rng.random((24, 24), np.float32), 16 if n % 2 else 8)
        raw = bytearray(path.read_bytes())
        for _ in range(int(rng.integers(0, 4))):
            where = int(rng.integers(len(raw)))
            if rng.random() < 0.5:
                raw[where] = int(rng.integers(256))
            else:
                del raw[where : where + int(rng.integers(1, 30))]
            if not raw:
                break
        path.write_bytes(bytes(raw))
    code, text = told(capsys, "denoise", source, tmp_path / "out", "--checkpoint", "identity", "--quiet")
    assert code in (0, 1) and "Traceback" not in text
    made = {p.name for p in (tmp_path / "out").glob("*.png")}
    lost = [p.name for p in source.iterdir() if p.name not in made]
    named = sum(1 + int(more.partition(" more")[0]) for line in text.splitlines() for more in [
        line.partition("(and ")[2] or "0 more"] if ".png" in line)
    assert lost and made and named == len(lost), (named, len(lost))
