"""Registration first: the NDCT is warped to the uLDCT, slice by slice, before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.fingerprint import digest
from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    import numpy as np

    from ipv2_bench.data.slices import SliceSet


@dataclass(frozen=True)
class Registered(Strategy):
    """The pair ``u → n∘φ``, with φ of cubic B-splines (Rueckert et al., IEEE TMI 1999) by SimpleITK.

    Offline, once for each slice: three levels, Mattes' mutual information, L-BFGS-B. Noise at 2 % dose would hide the anatomy
    from any registration at full resolution; averaged to pixels of about 3 mm and smoothed it does not.

    Attributes
    ----------
    grid_mm
        Pixels in which the motion is sought, in mm; never smaller than those of the slices.
    smooth
        Standard deviation of the Gaussian that both slices are smoothed with, in such pixels.
    knots_mm
        Distance of the splines' knots in mm; larger means a smoother motion.
    folded
        Largest share of pixels at which the motion may fold (its Jacobian is not positive); slices with more are left out.
    """

    summary = "the uLDCT, and the NDCT that is registered to it"

    grid_mm: float = 3.0
    smooth: float = 1.0
    knots_mm: float = 40.0
    folded: float = 0.02

    def __post_init__(self) -> None:
        for name in ("grid_mm", "knots_mm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if self.smooth < 0 or not 0 <= self.folded <= 1:
            raise ValueError(f"smooth is {self.smooth} and folded {self.folded}: expected 0 or more, and a share up to 1")

    def targets(self, slices: SliceSet) -> np.ndarray:
        """The registered NDCT of every slice, [n, N, N] float32 in [0, 1]."""
        motion = self.motion(slices)
        return slices.derive(f"registered-{self._digest}", lambda i: warped(slices.normal[i], motion[i]))

    def usable(self, slices: SliceSet) -> np.ndarray:
        """1 for a slice whose motion does not fold, or hardly, and 0 for others, [n]."""
        import numpy as np

        return np.array([float(folded_share(m) <= self.folded) for m in self.motion(slices)])

    def motion(self, slices: SliceSet) -> np.ndarray:
        """From each pixel of a grid of about ``grid_mm`` to its place in the NDCT, [n, 2, k, k] float32 (rows, columns).

        In pixels of that grid, N/k of the slices'.
        """
        k, knots = self.grid(slices)

        def of_slice(i: int) -> np.ndarray:
            return registration(slices.low[i], slices.normal[i], k, self.smooth, knots)

        return slices.derive(f"motion-{self._digest}", of_slice)

    def grid(self, slices: SliceSet) -> tuple[int, int]:
        """Pixels along a side of the grid, and intervals of the splines."""
        import numpy as np

        side_mm = slices.size * float(np.median(slices.pixel_mm))
        return max(16, min(slices.size, round(side_mm / self.grid_mm))), max(2, round(side_mm / self.knots_mm))

    @property
    def _digest(self) -> str:
        return digest([self.version, self.grid_mm, self.smooth, self.knots_mm])


def registration(low: np.ndarray, normal: np.ndarray, k: int, smooth: float, knots: int) -> np.ndarray:
    """The motion from the uLDCT [N, N] to the NDCT on a grid of k×k pixels and in its pixels, [2, k, k] float32.

    ``knots`` is the number of the splines' intervals along a side.
    """
    import numpy as np
    import SimpleITK as sitk
    import torch
    from scipy import ndimage

    both = torch.from_numpy(np.stack([low, normal]))[:, None]
    coarse = torch.nn.functional.interpolate(both, size=(k, k), mode="area")[:, 0].numpy()
    fixed, moving = (sitk.GetImageFromArray(ndimage.gaussian_filter(x, smooth) if smooth else x) for x in coarse)
    splines = sitk.BSplineTransformInitializer(fixed, [knots, knots], 3)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in one order
    method.SetMetricAsMattesMutualInformation(32)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=60)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0, 0.0])
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(splines, True)
    method.Execute(fixed, moving)
    grid = (fixed.GetSize(), fixed.GetOrigin(), fixed.GetSpacing(), fixed.GetDirection())
    field = sitk.GetArrayFromImage(sitk.TransformToDisplacementField(splines, sitk.sitkVectorFloat64, *grid))
    return np.stack([field[..., 1], field[..., 0]]).astype(np.float32)


def at_full_size(motion: np.ndarray, size: int) -> np.ndarray:
    """A motion on a grid [2, k, k] on and in the pixels of a slice, [2, N, N] float32, linear between the grid's."""
    import numpy as np
    import torch

    grid = torch.from_numpy(np.array(motion))[None] * (size / motion.shape[-1])
    return torch.nn.functional.interpolate(grid, size=(size, size), mode="bilinear", align_corners=False)[0].numpy()


def warped(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """A slice [N, N] at the places that a motion [2, k, k] points to, cubic, clipped to the slice's range; float32."""
    import numpy as np
    from scipy import ndimage

    size = image.shape[-1]
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    dense = at_full_size(motion, size)
    moved = ndimage.map_coordinates(image, [rows + dense[0], columns + dense[1]], order=3, mode="nearest")
    return moved.clip(image.min(), image.max()).astype(np.float32)


def folded_share(motion: np.ndarray) -> float:
    """Share of the pixels of a grid at which ``x + motion(x)`` folds: the determinant of its Jacobian is not positive."""
    import numpy as np

    by_row, by_column = np.gradient(motion, axis=(1, 2))
    determinant = (1 + by_row[0]) * (1 + by_column[1]) - by_column[0] * by_row[1]
    return float((determinant <= 0).mean())
