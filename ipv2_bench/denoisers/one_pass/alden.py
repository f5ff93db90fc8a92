"""ALDEN (arXiv 2508.07788) after its abstract: neither its full text nor its code is public, so the details are ours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.backbones.base import PACKAGE as BACKBONES
from ipv2_bench.backbones.base import Backbone, backbone
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.networks.attending_critic import AttendingCritic
from ipv2_bench.denoisers.one_pass.unet import UNetDenoiser
from ipv2_bench.denoisers.shared.adversarial import held, near, refuse_negative
from ipv2_bench.errors import InputError


class ALDEN(UNetDenoiser):
    """The U-Net in one pass with an anatomy-aware discriminator and a semantic contrastive loss, which only training needs.

    From the abstract: a discriminator that fuses hierarchical features of a pretrained vision model of the reference NDCT by
    cross-attention; and a contrast of the model's features of uLDCT, output and NDCT, with positive pairs and two kinds of
    negatives. Ours: the networks, LSGAN, that the negatives are the uLDCT at the same place and the NDCT at others, the weights,
    and the pretrained model, which is ImageNet's.

    Parameters
    ----------
    adversarial, contrastive, pixel
        Weights of the adversarial and of the contrastive loss, and of the pixels' error.
    temperature, places
        Of the contrast, and the places of each map that it is drawn at.
    backbone
        The pretrained model.
    critic_width
        See :class:`~ipv2_bench.denoisers.networks.attending_critic.AttendingCritic`.
    options
        See :class:`~ipv2_bench.denoisers.one_pass.unet.UNetDenoiser`; ``criterion`` is the pixels' error, and ``lr`` that of both
        networks.
    """

    version = 1
    title = "ALDEN (after the abstract)"

    def __init__(
        self,
        adversarial: float = 0.01,
        contrastive: float = 0.01,
        pixel: float = 1.0,
        temperature: float = 0.07,
        places: int = 64,
        backbone: str = "efficientnet_lite0",
        critic_width: int = 32,
        criterion: str = "l1",
        **options: object,
    ) -> None:
        super().__init__(criterion=criterion, **options)  # type: ignore[arg-type]
        refuse_negative(adversarial=adversarial, contrastive=contrastive, pixel=pixel)
        if temperature <= 0 or places < 1:
            raise ValueError(f"temperature is {temperature} and places {places}: expected a positive number, and at least 1")
        self.adversarial, self.contrastive, self.pixel = adversarial, contrastive, pixel
        self.temperature, self.places, self.backbone = temperature, places, backbone
        network = registry.find(BACKBONES, backbone, Backbone)  # type: ignore[type-abstract]
        if not getattr(network, "channels", ()):
            raise InputError(f"backbone {backbone} does not state the channels of its maps: give its class channels = (…)")
        self.critic = AttendingCritic(network.channels, critic_width)

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """``pixel·‖ŷ − y‖ + adversarial·‖D(ŷ|y) − 1‖² + contrastive·C(x, ŷ, y)``, and ``‖D(y|y) − 1‖² + ‖D(ŷ|y)‖²`` for D.

        ŷ is a constant for D, and D's weights are for the U-Net. See :func:`contrast`.
        """
        output, network = self.denoise(pair.input), backbone(self.backbone, str(pair.input.device))
        with torch.no_grad():
            of_low, of_target = network(pair.input.float()), network(pair.target.float())
        known = [m.to(output.dtype) for m in of_target]
        assert self.critic is not None
        loss = self.pixel * self.error(output, pair.target)
        loss = loss + self.adversarial * near((held(self.critic, output, known),), 1.0)
        if self.contrastive:
            of_own = network(output.float())
            loss = loss + self.contrastive * contrast(of_low, of_own, of_target, self.temperature, self.places, generator)
        learned_by = near((self.critic(pair.target, known),), 1.0) + near((self.critic(output.detach(), known),), 0.0)
        return loss + learned_by


def contrast(
    low: Sequence[Tensor],
    own: Sequence[Tensor],
    target: Sequence[Tensor],
    temperature: float,
    places: int,
    generator: torch.Generator,
) -> Tensor:
    """InfoNCE of maps of features [B, C, h, w], mean over some places of each image and over scales.

    The output's features at a place are to be those of the target there (positive), and neither those of the uLDCT there,
    which carry the artefacts, nor those of the target elsewhere, which are another tissue (negatives); by the cosine over
    ``temperature``.
    """
    losses = []
    for maps in zip(low, own, target, strict=True):
        n = maps[0][0, 0].numel()
        at = torch.randperm(n, generator=generator, device=generator.device)[:places].to(maps[0].device, non_blocking=True)
        of_low, of_own, of_target = (F.normalize(m.flatten(2)[..., at].transpose(1, 2), dim=-1) for m in maps)  # [B, P, C]
        alike = of_own @ of_target.mT / temperature  # the diagonal is positive
        noisy = (of_own * of_low).sum(dim=-1, keepdim=True) / temperature
        wanted = torch.arange(len(at), device=alike.device).expand(len(alike), -1)
        losses.append(F.cross_entropy(torch.cat([alike, noisy], dim=2).flatten(0, 1), wanted.flatten()))
    return torch.stack(losses).mean()
