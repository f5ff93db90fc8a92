"""A denoiser from outside is tried on a few pixels before anything is trained: what cannot end in a row is refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipv2_bench.benchmark.cells.denoisers import DenoiserChoice
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.outside import same_folder

if TYPE_CHECKING:
    from ipv2_bench.denoisers.base import Denoiser

SIDE = 32
"""Pixels along a side of the trial's slices, or the next multiple of what the denoiser takes."""


def try_denoiser(choice: DenoiserChoice) -> None:
    """One training step, one denoised slice and one file of weights of a denoiser.

    Raises
    ------
    InputError
        It names the denoiser, what it did and what was expected.
    """
    import torch

    what, name = "its training step", f"denoiser {choice.key}"
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]), same_folder():
        denoiser: Any = choice.build(0)
        side = -(-max(SIDE, denoiser.smallest) // denoiser.divisor) * denoiser.divisor
        try:
            _train(denoiser, side, generator, name)
            what = "its denoising"
            _denoise(denoiser.eval(), side, generator, name)
            what = "the file of its weights"
            _save(denoiser, choice)
        except InputError:
            raise
        except Exception as error:  # whatever code from outside raises
            raise InputError(f"{name} fails in a trial on slices of {side}×{side}, in {what}: {cause_of(error)}") from error


def _train(denoiser: Denoiser, side: int, generator: Any, name: str) -> None:
    import torch

    from ipv2_bench.data.pair import TrainingPair

    smooth = torch.nn.functional.avg_pool2d(torch.rand(2, denoiser.context, side, side), 5, 1, 2)
    middle = denoiser.context // 2
    pair = TrainingPair((smooth + 0.05 * torch.randn_like(smooth)).clamp(0, 1), smooth[:, middle : middle + 1])
    if denoiser.fitted:
        denoiser.fit(pair)
        return
    if not list(denoiser.parameters()):
        return
    loss = denoiser.loss(pair, generator)
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        found = f"{loss.dtype} of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise InputError(f"the loss of {name} is {found}: expected one float, such as a mean over the batch")
    if not loss.requires_grad:
        raise InputError(f"the loss of {name} does not depend on its weights: compute it without torch.no_grad and detach")
    loss.backward()


def _denoise(denoiser: Denoiser, side: int, generator: Any, name: str) -> None:
    import torch

    low = torch.rand(2, denoiser.context, side, side)
    with torch.no_grad():
        out = denoiser.denoise(low, generator)
    expected = (2, 1, side, side)
    if not isinstance(out, torch.Tensor) or tuple(out.shape) != expected:
        found = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise InputError(f"{name} returned shape {found}: expected {expected}")
    if not out.is_floating_point():
        raise InputError(f"{name} returned {out.dtype}: expected float32 in [0, 1] of the HU window")
    denoiser.restore(low, generator)


def _save(denoiser: Denoiser, choice: DenoiserChoice) -> None:
    """Write the weights and read them again."""
    import tempfile
    from pathlib import Path

    from ipv2_bench.denoisers.shared.checkpoint import load_weights, save_denoiser

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_denoiser(denoiser, path, choice.registered, choice.options)
        load_weights(choice.build(1), path, choice.registered)
