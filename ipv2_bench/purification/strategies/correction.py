"""A small network, trained along with the denoiser, explains the deformation between its output and the NDCT (RegGAN)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Correction(Strategy):
    """The pair ``u → n``, with the correction loss ``‖x∘φ − n‖₁ + smoothness·‖∇φ‖²`` for the denoiser's own.

    RegGAN's (Kong et al., NeurIPS 2021, arXiv 2110.06465), whose weights are 20 and 10: x is what the denoiser takes n to be
    (:meth:`ipv2_bench.denoisers.base.Denoiser.estimate`; of an iterative one at a random step). φ comes from a network R(x, n)
    that learns with it, and is left away after training.

    Attributes
    ----------
    smoothness
        Weight of the mean squared gradient of φ (in pixels); RegGAN's 10 : 20.
    width
        Channels of R's first layer.
    """

    summary = "the uLDCT as it is; a network trained along bends the output onto the NDCT"

    smoothness: float = 0.5
    width: int = 16

    def __post_init__(self) -> None:
        if self.smoothness < 0 or self.width < 1:
            raise ValueError(f"smoothness is {self.smoothness} and width {self.width}: expected 0 or more, and at least 1")

    def correction(self) -> nn.Module:
        """R with its loss; at the beginning φ is the identity."""
        from ipv2_bench.purification.correction_network import CorrectionNetwork

        return CorrectionNetwork(self.width, self.smoothness)
