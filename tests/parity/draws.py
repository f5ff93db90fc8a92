"""Generators whose first draw is known, so that a loss can be held to the fixture of one step."""

from itertools import count

import torch


def generator_that_draws(step: int, steps: int, number: int) -> torch.Generator:
    """A generator whose first ``number`` integers below ``steps``, drawn at once, are all ``step``."""
    for seed in count():
        drawn = torch.randint(0, steps, (number,), generator=torch.Generator().manual_seed(seed))
        if bool((drawn == step).all()):
            break
    return torch.Generator().manual_seed(seed)
