"""Anatomy of a slice: regions away from edges and inside of the window, the rim of the body, nodules in bare lung."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.metrics import anatomy as module
from ipv2_bench.metrics.anatomy import anatomy, regions, rim
from ipv2_bench.metrics.base import REGIONS
from ipv2_bench.purification.masks import body_mask
from tests.metrics.chest import WINDOW, chest, disc, radius


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


def test_a_region_holds_only_what_is_inside_of_the_window() -> None:
    hu = WINDOW.hu(chest()[0])
    hu[disc(45, 0, 5)] = 700.0  # the middle of the spine
    hu[disc(0, 30, 5)] = -1010.0
    hu[:3] = -1024.0
    masks, before = anatomy(hu, WINDOW).regions, regions(WINDOW.unit(hu), WINDOW)
    outside = (hu < -1000.0) | (hu > 400.0)
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, before[name] & ~outside)
    assert masks["bone"].any() and masks["background"][3:].any()


def test_the_body_mask_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, calls = chest()[0], []
    monkeypatch.setattr(module, "body_mask", lambda image: calls.append(image) or body_mask(image))
    whole = anatomy(WINDOW.hu(truth), WINDOW)
    assert len(calls) == 1
    for name, region in regions(truth, WINDOW).items():
        np.testing.assert_array_equal(whole.regions[name], region)
    np.testing.assert_array_equal(whole.rim, rim(truth))


def test_the_rim_is_on_both_sides_of_the_outline() -> None:
    border = rim(chest()[0])
    assert border[(radius() > 67.5) & (radius() < 72.5)].all()
    assert not border[(radius() < 64) | (radius() > 76)].any()


def test_nodules_of_two_pixels_or_without_lung_around_are_left_out() -> None:
    truth, _ = chest()
    share = disc(0, 30, 4).astype(np.float32)
    truth = np.where(share > 0, WINDOW.unit(np.array(-50.0)), truth)
    hu = WINDOW.hu(truth)
    (nodule,) = anatomy(hu, WINDOW, 1.0, share).nodules
    assert (nodule.inside == (share > 0)).all() and not (nodule.around & nodule.inside).any()
    assert nodule.around[disc(0, 30, 13.5) & ~disc(0, 30, 7.5)].all()
    assert not nodule.around[disc(0, 30, 6.5) | ~disc(0, 30, 14.5)].any()
    tiny, walled = np.zeros_like(truth), np.zeros_like(truth)
    tiny[80, 110:112] = 1.0
    walled[20:25, 78:84] = 1.0  # in the chest wall
    assert anatomy(hu, WINDOW, 1.0, tiny).nodules == anatomy(hu, WINDOW, 1.0, walled).nodules == ()
    assert anatomy(hu, WINDOW).nodules == ()  # where nodules are not known
