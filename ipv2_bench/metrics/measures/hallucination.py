"""Structure that is invented, that is noise taken for structure, and structure that is lost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ipv2_bench.metrics.base import Column, SliceTruth, Statistics, TruthMeasure
from ipv2_bench.physics.intensity import Window

FINE_MM, COARSE_MM = 1.2, 3.0
"""Standard deviations of the Gaussians whose difference shows structure of about 3 to 8 mm."""

CONTRAST_HU = 60.0
"""Of that difference, above which a pixel is structure. What has less than half of it anywhere near has none."""

NEAR_MM = 1.5
"""How far a structure may be displaced and still be there."""


class Hallucination(TruthMeasure):
    """Shares of the body's structure, denser and thinner than its surroundings, pooled over slices."""

    version = 1
    order = 70
    columns = (
        Column(
            "invented_structure", "invented structure %", "%", "detail", "lower", ("truth",),
            explanation="Share of the image's structure of 3 to 8 mm that neither the uLDCT nor the truth has.",
        ),
        Column(
            "noise_structure", "noise as structure %", "%", "detail", "lower", ("truth",),
            explanation="Share of the image's structure of 3 to 8 mm that the truth lacks, but the noise of the uLDCT has.",
        ),
        Column(
            "lost_structure", "lost structure %", "%", "detail", "lower", ("truth",),
            explanation="Share of the truth's structure of 3 to 8 mm that the image lacks.",
        ),
    )  # fmt: skip

    def of_slice(self, hu: np.ndarray, truth: SliceTruth) -> Statistics:
        """Numbers of pixels, [2] for denser and thinner structure; NaN outside of any body."""
        from scipy import ndimage

        body = ~ndimage.binary_dilation(truth.anatomy.regions["background"], iterations=4)
        names = ("shown", "invented", "noise", "true", "lost")
        if not body.any():
            return {name: np.full(2, np.nan) for name in names}
        image, low, true = (_band(truth.window, x, truth.pixel_mm) for x in (hu, truth.low_hu, truth.hu))
        counts: dict[str, list[float]] = {name: [] for name in names}
        for sign in (1.0, -1.0):
            shown, is_true = body & (sign * image > CONTRAST_HU), body & (sign * true > CONTRAST_HU)
            in_image, in_low, in_truth = (_near(sign * x, truth.pixel_mm) for x in (image, low, true))
            for name, mask in zip(
                names,
                (shown, shown & ~in_truth & ~in_low, shown & ~in_truth & in_low, is_true, is_true & ~in_image),
                strict=True,
            ):
                counts[name].append(float(mask.sum()))
        return {name: np.array(each) for name, each in counts.items()}

    def combine(self, statistics: Mapping[str, np.ndarray], pixel_mm: float) -> dict[str, float]:
        """See :class:`~ipv2_bench.metrics.base.TruthMeasure`."""
        of = {"invented": "shown", "noise": "shown", "lost": "true"}
        totals = {name: float(np.sum(value)) for name, value in statistics.items()}
        # An image without structure has invented none; a truth without structure has none to lose.
        shares = {name: 100.0 * totals[name] / totals[whole] if totals[whole] else 0.0 for name, whole in of.items()}
        return {f"{name}_structure": share for name, share in shares.items()}


def _band(window: Window, hu: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Structure of an image in HU, clipped to the window: difference of two Gaussians."""
    from scipy import ndimage

    shown = window.hu(window.unit(hu.astype(np.float64)))
    fine, coarse = (ndimage.gaussian_filter(shown, mm / pixel_mm) for mm in (FINE_MM, COARSE_MM))
    return fine - coarse


def _near(band: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Pixels that have at least half of the contrast of structure somewhere near."""
    from scipy import ndimage

    reach = max(1, round(NEAR_MM / pixel_mm))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return ndimage.binary_dilation(band > CONTRAST_HU / 2, y**2 + x**2 <= reach**2)
