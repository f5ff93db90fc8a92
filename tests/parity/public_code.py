"""The numbers of the authors' public code (``fixtures/README.md``) and the rule that sets a network's weights by their names."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Names:
    """A public network's state dict as names and shapes, its number of parameters, and what else its file holds."""

    shapes: Mapping[str, tuple[int, ...]]
    parameters: int
    losses: Mapping[str, float]


def numbers(name: str) -> dict[str, Tensor]:
    """The arrays of ``fixtures/<name>.npz`` in their own types."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays}


@cache
def names(name: str) -> Names:
    """What ``fixtures/<name>_names.json`` says."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}_names.json").read_text())
    shapes = {key: tuple(shape) for key, shape in content["shapes"].items()}
    return Names(shapes, content["parameters"], content.get("losses", {}))


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """Weight of the layer ``name`` in float64: normal draws seeded by the name, scaled by the tensor's kind."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) > 1:
        z = z / sqrt(prod(shape[1:]))
    elif name.endswith("weight"):
        z = 1 + 0.1 * z
    else:
        z = 0.1 * z
    return torch.from_numpy(z)


def weights(name: str) -> dict[str, Tensor]:
    """Every weight of the public network ``name``, by its public name."""
    return {key: weight(key, shape) for key, shape in names(name).shapes.items()}


def assert_close(ours: Tensor, theirs: Tensor, bound: float) -> None:
    """Largest difference at most ``bound``, in float64."""
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.float64
    difference = float((ours.detach() - theirs).abs().max())
    assert difference <= bound, f"differs from the fixture by {difference:.3g}, at most {bound:g} is allowed"
