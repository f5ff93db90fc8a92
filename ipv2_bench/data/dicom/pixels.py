"""Pixels of a DICOM slice: stored values, and Hounsfield units (HU)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from ipv2_bench.data.dicom.tags import numbers, rescale, rescale_findings, shape_finding
from ipv2_bench.data.findings import Unusable
from ipv2_bench.physics.intensity import AIR_HU

DECODER_VERSION = 3
"""Version of the decoding of pixels, rescale and padding: raise when it gives other HU for the same file."""


@dataclass(frozen=True)
class StoredBits:
    """Which bits of a pixel's word are its stored value; the others may hold anything, such as an overlay.

    Attributes
    ----------
    stored, high
        Number of bits, and the place of the highest of them.
    signed
        Whether the highest of them is a sign.
    """

    stored: int
    high: int
    signed: bool

    @classmethod
    def of(cls, data: Dataset, allocated: int) -> StoredBits:
        """Those of a slice; the whole word where the tags are missing or cannot be.

        Raises
        ------
        Unusable
            When the tags contradict each other.
        """
        stored, high = (
            int(v[0]) if (v := numbers(data, k, 1)) is not None else usual
            for k, usual in (("BitsStored", allocated), ("HighBit", -1))
        )
        high = stored - 1 if high < 0 else high
        if not 1 <= stored <= high + 1 <= allocated:
            text = f"BitsStored {stored} and HighBit {high} in {allocated} bits; expected bits inside of the pixel's word"
            raise Unusable("tags", f"{text}; export the series again")
        signed = numbers(data, "PixelRepresentation", 1)
        return cls(stored, high, bool(signed is not None and signed[0]))

    @property
    def shift(self) -> int:
        """Place of the lowest bit."""
        return self.high - self.stored + 1

    @property
    def range(self) -> tuple[int, int]:
        """The least and the largest stored value."""
        half = 1 << (self.stored - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)

    def values(self, words: np.ndarray) -> np.ndarray:
        """Stored values of words, integers in any shape; int64."""
        field = (words.astype(np.int64) >> self.shift) & ((1 << self.stored) - 1)
        return np.where(field > self.range[1], field - (1 << self.stored), field) if self.signed else field

    def words(self, values: np.ndarray, words: np.ndarray) -> np.ndarray:
        """The words with other stored values, all of their other bits kept; of the words' type."""
        mask = ((1 << self.stored) - 1) << self.shift
        kept = words.astype(np.int64) & ~mask
        return (kept | ((values.astype(np.int64) << self.shift) & mask)).astype(words.dtype)


def _allocated(data: Dataset) -> int:
    """Bits of a pixel's word."""
    allocated = numbers(data, "BitsAllocated", 1)
    return int(allocated[0]) if allocated is not None else 16


def decode_words(data: FileDataset) -> np.ndarray:
    """The words [H, W] of a slice's pixels as they stand in the file, unsigned integers.

    Raises
    ------
    Unusable
        When they are too many, cut off, or in a transfer syntax that no installed decoder reads.
    """
    problem = shape_finding(data)
    if problem is not None:
        raise Unusable(*problem)
    StoredBits.of(data, _allocated(data))
    syntax = UID(str(data.file_meta.get("TransferSyntaxUID") or ""))
    # A UID without a public name could carry an identity.
    label = syntax.name if syntax.name != str(syntax) else "unknown"
    try:
        decoder = get_decoder(syntax)
        plugins = decoder.available_plugins if syntax.is_encapsulated else ("none needed",)
    except (NotImplementedError, ValueError):
        plugins = ()
    if not plugins:
        raise Unusable(
            "unreadable",
            f"no decoder for '{label}'; expected a transfer syntax that pydicom decodes; {_remedy(syntax)}",
        )
    try:
        # One fixed decoder where it is installed, so that pixels do not depend on which others are.
        as_they_are: Any = {"correct_unused_bits": False, "decoding_plugin": "gdcm" if "gdcm" in plugins else ""}
        words, _ = decoder.as_array(data, **as_they_are)
    except Exception as error:  # any type on damaged files; its text may quote tag values, so only the type
        text = f"pixels cannot be decoded ('{label}', {type(error).__name__})"
        raise Unusable("damaged", f"{text}; expected complete pixel data; copy the file again or remove it") from None
    if words.ndim != 2 or words.dtype.kind not in "iu":
        raise Unusable(
            "shape", f"pixels of shape {words.shape}; expected one grey slice of whole numbers; remove the file"
        )
    return words.view(words.dtype.str.replace("i", "u"))


def decode_stored(data: FileDataset) -> np.ndarray:
    """The stored values [H, W] of a slice, int64.

    Raises
    ------
    Unusable
        See :func:`decode_words`, and when the tags of its bits contradict each other.
    """
    words = decode_words(data)
    return StoredBits.of(data, 8 * words.dtype.itemsize).values(words)


def _remedy(syntax: UID) -> str:
    """How to make slices of a transfer syntax readable."""
    if syntax in (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL):
        return "install the extra htj2k (pip install 'ipv2-bench[htj2k]', or pylibjpeg and pylibjpeg-openjpeg)"
    if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
        return "install the package python-gdcm (pip install python-gdcm)"
    return "convert to Explicit VR Little Endian"


def decode_hu(data: FileDataset) -> np.ndarray:
    """The slice [H, W] in HU, of type and range as :attr:`ipv2_bench.data.dicom.ct_slice.CTSlice.hu`.

    Raises
    ------
    Unusable
        When the pixels cannot be decoded, are no finite HU, or are all equal.
    """
    stored = decode_stored(data)
    for problem in rescale_findings(data):
        raise Unusable(*problem)
    slope, intercept = rescale(data)
    with np.errstate(all="ignore"):
        hu = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(hu).all():
        raise Unusable("NaN", "NaN or infinite HU after rescale; expected finite HU; check the rescale tags")
    hu[padding(data, stored)] = AIR_HU
    if hu.min() == hu.max():
        raise Unusable("constant", f"constant slice of {hu.min():g} HU; expected an image; remove the file")
    whole = slope.is_integer() and intercept.is_integer()
    limits = np.iinfo(np.int16)
    return hu.astype(np.int16) if whole and limits.min <= hu.min() and hu.max() <= limits.max else hu


PADDING_HU, PADDING_SHARE = -1900.0, 0.001
"""A slice whose lowest value is at most this, in at least this share of its pixels, has padding of that value without a tag."""


def padding(data: Dataset, stored: np.ndarray) -> np.ndarray:
    """Padding outside of the scanner's field of view, bool [H, W]: where a tag says so, or the usual −2000 and below."""
    ends = [numbers(data, k, 1) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        scale = [numbers(data, k, 1) for k in ("RescaleSlope", "RescaleIntercept")]
        if scale[0] is None or scale[1] is None:
            return np.zeros(stored.shape, dtype=bool)
        return usual_padding(stored * scale[0] + scale[1])
    # Scanners write -2000 as 63536 and the reverse: only the bit pattern can be trusted.
    bits = StoredBits.of(data, _allocated(data))
    patterns = np.concatenate([e for e in ends if e is not None]).astype(np.int64) << bits.shift
    values = bits.values(patterns)
    return (stored >= values.min()) & (stored <= values.max())


def usual_padding(hu: np.ndarray) -> np.ndarray:
    """Padding that no tag tells: the lowest value where it is −1900 HU or less in many pixels; bool, like ``hu``."""
    lowest = hu == hu.min()
    return lowest if hu.min() <= PADDING_HU and lowest.mean() >= PADDING_SHARE else np.zeros(hu.shape, dtype=bool)
