"""Volumes in one file: NIfTI (.nii, .nii.gz) with its affine, and NumPy arrays (.npy, .npz); all in HU."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.data.findings import Unusable
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_whole

MOST_VALUES = 2**31
"""Most values that a volume may have."""

NIFTI_ENDINGS = (".nii", ".nii.gz")


class Volume(ABC):
    """A volume that can be written again with other HU.

    Attributes
    ----------
    hu
        Axial slices from the feet up, each with the patient's left at the right and the front at the top, as CT is shown, where
        the file tells that; [n, H, W] float32 in HU.
    pixel_mm
        Side of a pixel in mm; ``None`` where it is not told or pixels are oblong.
    """

    hu: np.ndarray
    pixel_mm: float | None = None

    @abstractmethod
    def write(self, path: Path, change_hu: np.ndarray) -> None:
        """Write the volume with a change [n, H, W] in HU added to it; where that is 0, values stay what they are."""


def read_volume(path: Path) -> Volume:
    """Read a volume by its ending.

    Raises
    ------
    Unusable
        When it cannot be read, is no volume of slices, or is not in HU.
    """
    try:
        volume = NiftiVolume(path) if path.name.lower().endswith(NIFTI_ENDINGS) else NumpyVolume(path)
    except Unusable:
        raise
    except ImportError:
        raise InputError("NIfTI needs the package nibabel: pip install nibabel") from None
    except Exception as error:  # libraries raise many types on damaged files
        raise Unusable("unreadable", f"cannot be read ({type(error).__name__}); expected a volume; copy it again") from None
    if not np.isfinite(volume.hu).all():
        raise Unusable("NaN", "holds NaN or infinity; expected finite HU; repair it")
    low, high = float(volume.hu.min()), float(volume.hu.max())
    if low == high:
        raise Unusable("constant", f"all values are {low:g}; expected an image; remove the file")
    if low >= 0.0 and high <= 1.0:
        raise Unusable("HU range", f"lies between {low:g} and {high:g}; expected HU, such as −1000 for air; convert it to HU")
    return volume


def slices_of(path: Path) -> int:
    """Number of axial slices of a volume as its header tells, for progress; 1 where it does not."""
    try:
        if path.name.lower().endswith(NIFTI_ENDINGS):
            import nibabel
            from nibabel.orientations import io_orientation

            image: Any = nibabel.load(path)
            return int(image.shape[int(np.flatnonzero(io_orientation(image.affine)[:, 0] == 2)[0])])
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        return int(shape[0]) if len(shape) == 3 else 1
    except Exception:  # what cannot be read is reported when it is denoised
        return 1


def _checked(shape: tuple[int, ...]) -> None:
    if len(shape) not in (2, 3) or min(shape) < 1:
        text = f"has the shape {'×'.join(map(str, shape))}; expected slices [n, H, W] or one slice [H, W]; save a single volume"
        raise Unusable("shape", text)
    if np.prod(shape, dtype=np.int64) > MOST_VALUES:
        raise Unusable("shape", f"has more than {MOST_VALUES} values; expected a volume of one scan; split it")


def _stored(values: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Stored values with a change in their own unit, rounded and clipped where they are integers."""
    if values.dtype.kind == "f":
        return values + change.astype(values.dtype)
    limits = np.iinfo(values.dtype)
    changed = (values.astype(np.int64) + np.rint(change).astype(np.int64)).clip(limits.min, limits.max)
    return np.where(change == 0, values, changed).astype(values.dtype)


class NumpyVolume(Volume):
    """An array [n, H, W] or [H, W] in HU; of ``.npz`` the only one in it."""

    def __init__(self, path: Path) -> None:
        self.name = ""
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                if len(loaded.files) != 1:
                    text = f"holds {len(loaded.files)} arrays; expected one volume in HU; save it alone"
                    raise Unusable("shape", text)
                self.name = loaded.files[0]
                loaded = loaded[self.name]
        self.values = np.asarray(loaded)
        if self.values.dtype.kind not in "iuf":
            raise Unusable("shape", f"is of type {self.values.dtype}; expected numbers in HU; save it as int16 or float32")
        _checked(self.values.shape)
        self.hu = self.values.reshape(-1, *self.values.shape[-2:]).astype(np.float32)

    def write(self, path: Path, change_hu: np.ndarray) -> None:
        """See :meth:`Volume.write`; the type and shape of the array are kept."""
        made = _stored(self.values, change_hu.reshape(self.values.shape))
        if self.name:
            named: Any = {self.name: made}
            write_whole(path, lambda file: np.savez_compressed(file, **named))
        else:
            write_whole(path, lambda file: np.save(file, made, allow_pickle=False))


class NiftiVolume(Volume):
    """A NIfTI file; its stored type, scale, header and affine are kept."""

    def __init__(self, path: Path) -> None:
        import nibabel
        from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

        image: Any = nibabel.load(path)
        if len(image.shape) != 3:
            raise Unusable("shape", f"has {len(image.shape)} dimensions; expected one volume of three; save a single one")
        _checked(image.shape)
        self.image = image
        self.values = np.asanyarray(image.dataobj.get_unscaled())
        if self.values.dtype.kind not in "iuf":
            raise Unusable("shape", f"is of type {self.values.dtype}; expected numbers in HU; save it as int16 or float32")
        self.slope, self.inter = float(image.dataobj.slope), float(image.dataobj.inter)
        # To the patient's left, back and head, as CT is shown.
        self.turn = ornt_transform(io_orientation(image.affine), axcodes2ornt("LPS"))
        hu = (self.values.astype(np.float64) * self.slope + self.inter).astype(np.float32)
        self.hu = np.ascontiguousarray(self._turned(hu).transpose(2, 1, 0))
        sides = np.asarray(image.header.get_zooms()[:3], dtype=np.float64)[np.argsort(self.turn[:, 0])][:2]
        self.pixel_mm = float(sides[0]) if np.isclose(sides[0], sides[1], rtol=1e-3) and sides[0] > 0 else None

    def _turned(self, values: np.ndarray) -> np.ndarray:
        from nibabel.orientations import apply_orientation

        return apply_orientation(values, self.turn)

    def write(self, path: Path, change_hu: np.ndarray) -> None:
        """See :meth:`Volume.write`."""
        from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

        back = ornt_transform(axcodes2ornt("LPS"), io_orientation(self.image.affine))
        change = apply_orientation(change_hu.transpose(2, 1, 0), back)
        made = type(self.image)(_stored(self.values, change / self.slope), self.image.affine, self.image.header)
        made.header.set_data_dtype(self.values.dtype)
        made.header.set_slope_inter(self.slope, self.inter)
        content = made.to_bytes()
        if path.name.lower().endswith(".gz"):
            import gzip

            packed = io.BytesIO()
            with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
                file.write(content)
            content = packed.getvalue()
        write_whole(path, lambda file: file.write(content))
