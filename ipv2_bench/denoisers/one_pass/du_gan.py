"""DU-GAN (Huang et al., IEEE TIM 2022, arXiv 2108.10772): U-Nets judge the image and its gradient, whole and pixel by pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.networks.unet_critic import UNetCritic
from ipv2_bench.denoisers.one_pass.unet import UNetDenoiser
from ipv2_bench.denoisers.shared.adversarial import held, near, refuse_negative
from ipv2_bench.physics.seeding import on_host


class DUGAN(UNetDenoiser):
    """The U-Net in one pass, trained with DU-GAN's two discriminators, which only training needs.

    The paper's generator is RED-CNN; here it is FFM's U-Net without frequency mixers, as for ``unet``, so that the two differ in
    their objective. Weights are those of the paper; the public code was run with others.

    Parameters
    ----------
    adversarial, pixel, gradient
        Weights of the adversarial loss in either domain, of the pixels' error, and of the mean absolute error of the gradient.
    cutmix
        Share of the steps whose discriminators see a mix of both images as well, reached after ``cutmix_warmup`` steps.
    cutmix_warmup
        See ``cutmix``.
    consistency
        Weight of the demand that the pixels of a mix are judged as those of the images that it is made of.
    critic_width, critic_levels
        See :class:`~ipv2_bench.denoisers.networks.unet_critic.UNetCritic`.
    options
        See :class:`~ipv2_bench.denoisers.one_pass.unet.UNetDenoiser`; ``criterion`` is the pixels' error, and ``lr`` that of all
        three networks.
    """

    version = 1
    title = "DU-GAN"

    def __init__(
        self,
        adversarial: float = 0.1,
        pixel: float = 1.0,
        gradient: float = 20.0,
        cutmix: float = 0.5,
        cutmix_warmup: int = 1000,
        consistency: float = 1.0,
        critic_width: int = 64,
        critic_levels: int = 6,
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        refuse_negative(adversarial=adversarial, pixel=pixel, gradient=gradient, consistency=consistency)
        if not 0 <= cutmix <= 1 or cutmix_warmup < 1:
            raise ValueError(f"cutmix is {cutmix} and cutmix_warmup {cutmix_warmup}: expected a share, and at least 1 step")
        self.adversarial, self.pixel, self.gradient, self.consistency = adversarial, pixel, gradient, consistency
        self.cutmix, self.cutmix_warmup = cutmix, cutmix_warmup
        self.smallest = 2**critic_levels
        self.critic = nn.ModuleDict({name: UNetCritic(critic_width, critic_levels) for name in ("image", "edges")})

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``Σ_D adversarial·‖D(ŷ) − 1‖² + pixel·‖ŷ − y‖² + gradient·‖∇ŷ − ∇y‖₁``, and what the discriminators learn by.

        D has two answers, of the whole and of each pixel, in the domains of images and of gradients; images are in [0, 1].
        """
        output = self.denoise(pair.input)
        mask = self._mixed_pixels(output, on_host(generator))
        judged = {"image": (pair.input, output, pair.target)}
        judged["edges"] = (sobel(pair.input), sobel(output), sobel(pair.target))
        loss = self.pixel * self.error(output, pair.target)
        loss = loss + self.gradient * F.l1_loss(judged["edges"][1], judged["edges"][2])
        assert isinstance(self.critic, nn.ModuleDict)
        for name, critic in self.critic.items():
            low, own, target = judged[name]
            loss = loss + self.adversarial * near(held(critic, own), 1.0)
            loss = loss + self._learned_by(critic, low, own.detach(), target, mask)
        return loss

    def _learned_by(self, critic: nn.Module, low: Tensor, own: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        """Loss of a discriminator: the target is real, and uLDCT and output are not; of a mix each pixel as it is."""
        of_target, of_own, of_low = critic(target), critic(own), critic(low)
        loss = near(of_target, 1.0) + near(of_own, 0.0) + near(of_low, 0.0)
        if mask is None:
            return loss
        whole, each = critic(torch.where(mask, target, own))
        loss = loss + near((whole,), 0.0) + near((each,), mask.to(each.dtype))
        return loss + self.consistency * F.mse_loss(each, torch.where(mask, of_target[1], of_own[1]))

    def _mixed_pixels(self, image: Tensor, generator: torch.Generator | None) -> Tensor | None:
        """Pixels [H, W] that a mix takes from the target: all but a rectangle, as in CutMix; ``None`` for a step without."""
        share, area, row, column = torch.rand(4, generator=generator).tolist()
        if share >= self.cutmix * min(1.0, self.global_step / self.cutmix_warmup):
            return None
        half = (1.0 - area) ** 0.5 / 2
        inside = []
        for centre, n in zip((row, column), image.shape[-2:], strict=True):
            place = torch.arange(n, device=image.device)
            inside.append((place >= round((centre - half) * n)) & (place < round((centre + half) * n)))
        return ~(inside[0][:, None] & inside[1])


def sobel(image: Tensor) -> Tensor:
    """Length of the gradient of images [B, 1, H, W] by Sobel's filters over 4, with 1e-4 under the root as in the public code."""
    across = image.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    both = F.conv2d(image, torch.stack([across, across.T])[:, None], padding=1)
    return (both.square().sum(dim=1, keepdim=True) + 1e-4).sqrt()
