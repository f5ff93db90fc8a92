"""Our masks with the published options against those of the authors' code on two real slices."""

import numpy as np
import pytest

from ipv2_bench.physics.intensity import from_8bit
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.masks import common_mask, dark_mask
from tests.parity.public_code import numbers

PUBLISHED = MaskRule(order="or_then_fill", seeds="one_corner", union="uint8_wrap", background="flood_fill")
MASKS = {name: array.numpy() for name, array in numbers("masks").items()}


@pytest.mark.parametrize("i", range(2))
@pytest.mark.parametrize("name", ["low", "normal"])
def test_dark_masks(name: str, i: int) -> None:
    np.testing.assert_array_equal(255 * dark_mask(from_8bit(MASKS[name][i])).astype(np.uint8), MASKS[f"dark_{name}"][i])


@pytest.mark.parametrize("i", range(2))
@pytest.mark.parametrize("module_1", [False, True])
def test_common_masks(module_1: bool, i: int) -> None:
    expected = MASKS["common_background_removed" if module_1 else "common"][i]
    ours = common_mask(from_8bit(MASKS["low"][i]), from_8bit(MASKS["normal"][i]), module_1, PUBLISHED)
    np.testing.assert_array_equal(ours, expected)
