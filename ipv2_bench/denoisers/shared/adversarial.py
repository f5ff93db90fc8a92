"""What adversarial denoisers share: a critic that is asked with its weights held, and the losses of LSGAN (arXiv 1611.04076).

Denoiser and critic learn in one step of one optimizer: the denoiser's part of the loss sees the critic's weights as constants,
the critic's part sees the output as a constant. So both have the same steps, schedule, precision, checkpoints and processes as
any denoiser; published code updates the critic first and then the denoiser by the changed critic.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


def held(critic: nn.Module, *inputs: Any) -> Any:
    """The critic's output, with gradients to its inputs and none to its weights; its state stays as it is."""
    state = {name: weight.detach() for name, weight in critic.named_parameters()}
    state |= {name: buffer.clone() for name, buffer in critic.named_buffers()}
    return functional_call(critic, state, inputs)


def near(answers: tuple[Tensor, ...], wanted: Tensor | float) -> Tensor:
    """``Σ E(answer − wanted)²`` over the answers of a critic."""
    return torch.stack([(answer - wanted).square().mean() for answer in answers]).sum()


def refuse_negative(**weights: float) -> None:
    """Refuse weights of losses below zero.

    Raises
    ------
    ValueError
        It names the first.
    """
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"{name} is {weight}: expected 0 or more")
