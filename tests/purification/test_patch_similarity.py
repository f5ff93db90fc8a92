"""The strategy ``patch_similarity`` against its formula, written out."""

from __future__ import annotations

import numpy as np
import pytest

from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Crops
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.errors import InputError
from ipv2_bench.purification.masks import dark_mask
from ipv2_bench.purification.strategies.patch_similarity import PatchSimilarity, agreeing
from tests.data.conftest import EVERYTHING, trainer_at


def test_patches_are_those_whose_masks_agree(phantom: SliceSet) -> None:
    low, normal = phantom.low[0], phantom.normal[0]
    same = dark_mask(low) == dark_mask(normal)
    kept = agreeing(low, normal, 32, 0.9)
    expected = [[same[i : i + 32, j : j + 32].mean() >= 0.9 for j in range(0, 97, 8)] for i in range(0, 97, 8)]
    assert kept.tolist() == np.array(expected).astype(int).tolist() and 0 < kept.mean() < 1


def test_crops_are_kept_patches_and_as_many_pixels(phantom: SliceSet) -> None:
    strategy = PatchSimilarity(patch=32, threshold=0.95)
    kept = strategy.patches(phantom)
    data = PairedCTDataModule(phantom, EVERYTHING, strategy, batch_size=1, seed=2)
    assert data.used == pytest.approx(kept.kept[EVERYTHING.train].mean()) and 0 < data.used < 1
    assert data.crops == Crops(32, per_slice=16)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))
    seen = set()
    for batches in range(6):
        data.trainer = trainer_at(batches)
        pair = data.on_after_batch_transfer(raw, 0)
        i, corners = data.latest[0], kept.corners(data.latest[0])
        own = {phantom.low[i][r : r + 32, c : c + 32].tobytes(): (r, c) for r, c in corners.tolist()}
        places = [own[x[0].numpy().tobytes()] for x in pair.input]
        for (r, c), target in zip(places, pair.target, strict=True):
            assert np.array_equal(target[0].numpy(), phantom.normal[i][r : r + 32, c : c + 32])
        seen |= set(places)
    assert len(seen) > 20
    with pytest.raises(InputError, match="train on none of the training slices"):
        PairedCTDataModule(phantom, Split(np.array([0]), np.array([1]), np.array([2])), Nothing())


class Nothing(PatchSimilarity):
    """No patch is kept."""

    def usable(self, slices: SliceSet) -> np.ndarray:
        return np.zeros(len(slices))
