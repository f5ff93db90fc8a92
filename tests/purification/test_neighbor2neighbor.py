"""The strategy ``neighbor2neighbor``: pairs are neighbours in cells of the uLDCT alone."""

from __future__ import annotations

import pytest
import torch

from ipv2_bench.data.pair import Pair
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy


def test_pairs_are_neighbours_in_cells_of_the_uldct_alone() -> None:
    places = torch.arange(64.0).reshape(1, 1, 8, 8) / 64  # every pixel tells its place
    pair = Pair(places, torch.full_like(places, torch.nan), torch.zeros_like(places), torch.ones(1), torch.arange(1))
    strategy, counts = Strategy.from_name("neighbor2neighbor"), torch.zeros(4, 4)
    for draw in range(400):
        first, second = strategy.training_pair(pair, None, [torch_generator("n2n", draw)])
        assert first.shape == second.shape == (1, 1, 4, 4)
        (r1, c1), (r2, c2) = ((x[0, 0] * 64 // 8, x[0, 0] * 64 % 8) for x in (first, second))
        for r, c in ((r1, c1), (r2, c2)):
            assert torch.equal(r // 2, torch.arange(4.0)[:, None].expand(4, 4))
            assert torch.equal(c // 2, torch.arange(4.0)[None].expand(4, 4))
        assert ((r1 - r2).abs() + (c1 - c2).abs() == 1).all()
        in_cell = ((r1 % 2 * 2 + c1 % 2).long().flatten(), (r2 % 2 * 2 + c2 % 2).long().flatten())
        counts.index_put_(in_cell, torch.ones(16), accumulate=True)
    # Eight ordered pairs, each an eighth of 6,400 draws: four standard deviations are 106.
    assert (counts[counts > 0] - 800).abs().max() < 106 and int((counts > 0).sum()) == 8
    with pytest.raises(ValueError, match="give a generator"):
        strategy.training_pair(pair)
