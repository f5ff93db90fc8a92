"""Seeds derived from what is drawn, so that neither the order of the draws nor the process changes them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(*key: int | str) -> int:
    """A 63-bit seed from a key such as ``(seed, "noise", epoch, slice)``; equal keys, equal seeds, on any machine.

    The type of each part counts: ``1``, ``"1"`` and ``np.int64(1)`` give different seeds, so NumPy's integers are turned into
    ``int`` first.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def torch_generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A new ``torch.Generator`` on ``device``, seeded by the key."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(*key))


def on_host(generator: torch.Generator | None) -> torch.Generator | None:
    """A generator on the CPU for draws that Python decides by: the same one, or of an accelerator's a new one of its seed.

    Reading a draw from an accelerator would wait for all of its work.
    """
    import torch

    if generator is None or generator.device.type == "cpu":
        return generator
    return torch.Generator().manual_seed(generator.initial_seed())


def numpy_generator(*key: int | str) -> np.random.Generator:
    """A new NumPy generator, seeded by the key."""
    return np.random.default_rng(derive_seed(*key))
