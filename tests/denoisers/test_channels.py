"""Grey images in several equal channels, and back."""

from __future__ import annotations

import pytest
import torch

from ipv2_bench.denoisers.base import grey, repeated


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_image_is_itself_again(channels: int) -> None:
    image = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    several = repeated(image, channels)
    assert several.shape == (2, channels, 4, 5)
    torch.testing.assert_close(grey(several), image, rtol=0, atol=1e-15)
    weights = torch.arange(1, channels + 1, dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(grey(several * weights), image * weights.mean(), rtol=0, atol=1e-15)
