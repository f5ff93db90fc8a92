"""Pixels of a DICOM slice: stored values, and Hounsfield units (HU)."""

from __future__ import annotations

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

DECODER_VERSION = 1
"""Version of the decoding of pixels, rescale and padding: raise when it gives other HU for the same file."""

LOWEST_HU = -1024.0


def decode_stored(data: FileDataset) -> np.ndarray:
    """The stored values [H, W] of a slice, integers.

    Raises
    ------
    Unusable
        When they are too many, cut off, or in a transfer syntax that no installed decoder reads.
    """
    problem = shape_finding(data)
    if problem is not None:
        raise Unusable(*problem)
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
        stored, _ = decoder.as_array(data, decoding_plugin="gdcm" if "gdcm" in plugins else "")
    except Exception as error:  # any type on damaged files; its text may quote tag values, so only the type
        text = f"pixels cannot be decoded ('{label}', {type(error).__name__})"
        raise Unusable("damaged", f"{text}; expected complete pixel data; copy the file again or remove it") from None
    if stored.ndim != 2 or stored.dtype.kind not in "iu":
        raise Unusable(
            "shape", f"pixels of shape {stored.shape}; expected one grey slice of whole numbers; remove the file"
        )
    return stored


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
    np.maximum(hu, LOWEST_HU, out=hu)
    if hu.min() == hu.max():
        raise Unusable("constant", f"constant slice of {hu.min():g} HU; expected an image; remove the file")
    whole = slope.is_integer() and intercept.is_integer()
    return hu.astype(np.int16) if whole and hu.max() <= np.iinfo(np.int16).max else hu


def padding(data: Dataset, stored: np.ndarray) -> np.ndarray:
    """Padding outside of the scanner's field of view, bool [H, W]."""
    ends = [numbers(data, k, 1) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return np.zeros(stored.shape, dtype=bool)
    # Scanners write -2000 as 63536 and the reverse: only the bit pattern can be trusted.
    values = np.concatenate([e for e in ends if e is not None]).astype(np.int64).astype(stored.dtype)
    return (stored >= values.min()) & (stored <= values.max())
