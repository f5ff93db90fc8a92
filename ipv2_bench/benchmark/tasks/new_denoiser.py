"""A commented file with a denoiser that runs, to be changed into one's own."""

from __future__ import annotations

import re
from pathlib import Path

from ipv2_bench.errors import InputError
from ipv2_bench.files import write_text

TEMPLATE = '''"""A denoiser for IPv2-Bench: NAME. Every method that is needed is here; change what you like."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser


class NAME(Denoiser):
    """One line that says what it is."""

    title = "NAME"  # its name in the tables
    divisor = 1  # height and width that the network takes are multiples of this; slices are padded and cropped for you
    # Results are known by the text of this file and trained anew when it changes. Once it is settled, write
    # `version = 1` here: then only a higher version trains anew, and you may document and tidy the file freely.

    def __init__(self, width: int = 32, depth: int = 5, **options: object) -> None:
        # Keyword options can be set from the command line: denoisers."MODULE:NAME".width=64
        super().__init__(**options)  # lr, schedule, seed, averaging: leave them to the base class
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1))

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        """Training loss of a batch. ``pair.input`` and ``pair.target`` are [B, 1, H, W] in [0, 1] of the HU window."""
        # Draw random numbers from `generator` alone, so that a run can be repeated.
        return F.mse_loss(self._restored(pair.input), pair.target)

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """uLDCT [B, 1, H, W] in [0, 1] → denoised, the same shape. Iterative ones set ``network_calls``, too."""
        return self._restored(low)

    def _restored(self, x: Tensor) -> Tensor:
        return x - self.network(x)
'''


def new_denoiser(name: str, folder: Path) -> str:
    """Write a file with a denoiser that runs; the commands that use it, in words.

    Raises
    ------
    InputError
        When the name is no class name, or the file exists.
    """
    if not name.isidentifier() or name.startswith("_"):
        raise InputError(f"'{name}' is no name of a class: use letters and digits, such as MyDenoiser")
    name = name[0].upper() + name[1:]
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    path = folder / f"{module}.py"
    if path.exists():
        raise InputError(f"{path.name} exists already: choose another name, or remove it")
    write_text(path, TEMPLATE.replace("MODULE", module).replace("NAME", name))
    return (
        f"wrote {path.name}; from this folder:\n"
        f"  ipv2-bench compare --denoiser {module}:{name} --strategy IPv2\n"
        f"  ipv2-bench train --denoiser {module}:{name} --strategy IPv2"
    )
