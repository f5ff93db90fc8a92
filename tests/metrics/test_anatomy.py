"""Anatomy of a slice: regions away from edges, the rim of the body, the border of the lung, nodules in bare lung."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics.anatomy import anatomy, edge_bins, lung_edge, regions, rim
from ipv2_bench.metrics.base import REGIONS
from tests.metrics.chest import WINDOW, blurred, chest, disc, radius


def test_regions_keep_a_distance_from_every_edge() -> None:
    truth, pixels = chest()
    masks = regions(truth, WINDOW)
    assert tuple(masks) == REGIONS
    for name in REGIONS:
        inside = masks[name]
        assert not (ndimage.binary_dilation(inside, iterations=1 if name == "bone" else 2) & ~pixels[name]).any()
        assert inside.sum() > 0.75 * pixels[name].sum()
    assert masks["background"][0].all()  # the border of the image is no edge


def test_the_phantom_has_every_region(phantom: SliceSet) -> None:
    assert phantom.truth is not None
    for truth in np.array(phantom.truth):
        masks = regions(truth, WINDOW)
        shares = {name: region.mean() for name, region in masks.items()}
        assert shares["background"] > 0.2 and shares["lung"] > 0.02, shares
        assert shares["tissue"] > 0.05 and shares["bone"] > 0.003, shares
        assert np.median(WINDOW.hu(truth)[masks["lung"]]) < -700


def test_the_rim_is_on_both_sides_of_the_outline() -> None:
    border = rim(chest()[0])
    assert border[(radius() > 67.5) & (radius() < 72.5)].all()
    assert not border[(radius() < 64) | (radius() > 76)].any()


def test_bins_of_the_lungs_border_are_distances_to_it() -> None:
    pixels, bins = lung_edge(blurred(0.5), WINDOW)
    row, column = np.unravel_index(pixels, (160, 160))
    # The lungs are circles of 22 pixels around columns 49.5 and 109.5; the contour is at −400 HU, near the middle of the edge.
    outside = np.hypot(row - 79.5, np.abs(column - 79.5) - 30) - 22
    np.testing.assert_allclose(-7 + 0.25 * (bins + 0.5), outside, atol=0.5)
    assert set(bins) == set(range(edge_bins()))


def test_the_border_of_an_airway_is_none_of_the_lung() -> None:
    body = chest(lung=False)[0] > 0
    truth = np.where(body, WINDOW.unit(np.array(0.0)), 0.0)
    truth[disc(0, 0, 5)] = WINDOW.unit(np.array(-850.0))  # 31 pixels around
    assert anatomy(truth, WINDOW).edge_pixels.size == 0


def test_nodules_of_two_pixels_or_without_lung_around_are_left_out() -> None:
    truth, _ = chest()
    share = disc(0, 30, 4).astype(np.float32)
    truth = np.where(share > 0, WINDOW.unit(np.array(-50.0)), truth)
    (nodule,) = anatomy(truth, WINDOW, 1.0, share).nodules
    assert (nodule.inside == (share > 0)).all() and not (nodule.around & nodule.inside).any()
    assert nodule.around[disc(0, 30, 13.5) & ~disc(0, 30, 7.5)].all()
    assert not nodule.around[disc(0, 30, 6.5) | ~disc(0, 30, 14.5)].any()
    tiny, walled = np.zeros_like(truth), np.zeros_like(truth)
    tiny[80, 110:112] = 1.0
    walled[20:25, 78:84] = 1.0  # in the chest wall
    assert anatomy(truth, WINDOW, 1.0, tiny).nodules == anatomy(truth, WINDOW, 1.0, walled).nodules == ()
    assert anatomy(truth, WINDOW).nodules == ()  # where nodules are not known
