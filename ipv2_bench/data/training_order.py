"""Order of the training slices, which an interrupted run continues at any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from ipv2_bench.physics.seeding import derive_seed, numpy_generator


class TrainingOrder(Sampler[int]):
    """Positions of slices in the training part, batch after batch, in a new permutation at every pass.

    The content of a batch depends on the seed and the number of the batch alone, so that an interrupted run continues with
    the next batch.

    Parameters
    ----------
    length
        Number of slices.
    batch_size
        Slices in a batch.
    batches
        Batches until the loader ends, counted from the last multiple of this number.
    seed
        Seed of the permutations.
    done
        Returns the number of batches that are done; called when the loader starts.
    rank, world
        Number of this process and of all processes: each takes every ``world``-th batch.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        batches: int,
        seed: int,
        done: Callable[[], int],
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.length, self.batch_size, self.batches = length, batch_size, batches
        self.seed, self.done, self.rank, self.world = derive_seed(seed, "order"), done, rank, world

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        batches_per_pass = self.length // self.batch_size
        first = self.done()
        end = (first // self.batches + 1) * self.batches
        current_pass, order = -1, np.zeros(0, int)
        for batch in range(first, end):
            number, position = divmod(batch * self.world + self.rank, batches_per_pass)
            if number != current_pass:
                current_pass, order = number, numpy_generator(self.seed, number).permutation(self.length)
            yield from order[position * self.batch_size : (position + 1) * self.batch_size].tolist()
