"""A small network, trained along with the denoiser, bends the NDCT onto the uLDCT (after RegGAN's correction loss)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipv2_bench.purification.strategy import Strategy

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Correction(Strategy):
    """The pair ``u → n∘φ``, with φ from a network R(u, n) that learns with the denoiser; it is left away after training.

    After RegGAN (Kong et al., NeurIPS 2021, arXiv 2110.06465), whose loss is ``20·‖G(u)∘φ − n‖₁ + 10·‖∇φ‖²``: the deformation is
    fitted by what the denoiser cannot explain, and held smooth. Two things differ, so that every denoiser can use it, iterative
    ones too: the NDCT is bent and not the output, and R sees the pair and not the output, which exists only after sampling.

    Attributes
    ----------
    smoothness
        Weight of the mean squared gradient of φ (in pixels) beside the denoiser's loss; RegGAN's 10 : 20.
    width
        Channels of R's first layer.
    """

    summary = "the uLDCT, and the NDCT as a network bends it that is trained along"

    trains_more = True

    smoothness: float = 0.5
    width: int = 16

    def __post_init__(self) -> None:
        if self.smoothness < 0 or self.width < 1:
            raise ValueError(f"smoothness is {self.smoothness} and width {self.width}: expected 0 or more, and at least 1")

    def correction(self) -> nn.Module:
        """R with its loss; at the beginning φ is the identity."""
        from ipv2_bench.purification.correction_network import CorrectionNetwork

        return CorrectionNetwork(self.width, self.smoothness)
