"""Masks against an implementation in OpenCV, and each option on an example made by hand."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu

from ipv2_bench.data.dicom.tree import read_tree
from ipv2_bench.data.lung import lung_slices
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window, to_8bit
from ipv2_bench.physics.scanner import scan_noise
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import masks
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.masks import body_mask, common_mask, connected_to_corners, dark_mask


def opencv_dark(image: np.ndarray) -> np.ndarray:
    gray = np.clip(np.round(image * 255), 0, 255).astype(np.uint8)
    _, dark = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    dark = cv2.morphologyEx(dark, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    around = np.ones((3, 3), np.float32)
    around[1, 1] = 0
    neighbours = cv2.filter2D((dark > 0).astype(np.float32), -1, around)
    return np.where(neighbours > 0.5, dark, 0)


def opencv_common(low: np.ndarray, normal: np.ndarray, remove_background: bool) -> np.ndarray:
    mask = cv2.bitwise_or(opencv_dark(low), opencv_dark(normal))
    if remove_background:
        height, width = mask.shape
        for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
            if mask[y, x]:
                cv2.floodFill(mask, None, (x, y), 0)
    return mask


def iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a > 0, b > 0
    return float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0


def check_against_opencv(low: np.ndarray, normal: np.ndarray) -> None:
    for image in (low, normal):
        assert iou(dark_mask(image), opencv_dark(image)) >= 0.995
    for remove_background in (False, True):
        ours, theirs = (f(low, normal, remove_background) for f in (common_mask, opencv_common))
        assert ours.dtype == np.uint8 and set(np.unique(ours)) <= {0, 255}
        assert iou(ours, theirs) >= 0.995


def test_the_noise_of_a_body_is_smoothed_by_a_median_of_a_mirrored_window(
    phantom: SliceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(masks, "threshold_otsu", lambda gray: seen.append(gray) or threshold_otsu(gray))
    rng = np.random.default_rng(0)
    for image in (*(np.array(x) for x in phantom.low), rng.random((33, 47)), rng.random((5, 9))):
        body_mask(image, smooth=True)
        np.testing.assert_array_equal(seen.pop(), ndimage.median_filter(to_8bit(image), 5, mode="reflect"))


@pytest.mark.parametrize("i", range(6))
def test_masks_of_the_phantom_are_opencvs(phantom: SliceSet, i: int) -> None:
    check_against_opencv(phantom.low[i], phantom.normal[i])
    # The comparison would be empty if nothing were left to compare.
    assert (common_mask(phantom.low[i], phantom.normal[i], True) > 0).mean() > 0.02


def test_masks_of_noise_are_opencvs() -> None:
    rng = np.random.default_rng(0)
    low, normal = rng.random((2, 65, 64)).astype(np.float32)
    check_against_opencv(low, normal)


@pytest.fixture(scope="module")
def real_slices() -> np.ndarray:
    """Four lung slices of one real series, [4, 512, 512] in [0, 1]."""
    root = os.environ.get("IPV2_BENCH_CT", "")
    if not root:
        pytest.skip("IPV2_BENCH_CT is not set: no real CT to read")
    folder = min(path.parent for path in Path(root).rglob("*.dcm"))
    series = read_tree(folder)[0]
    shows_lung = np.flatnonzero(lung_slices(series.hu, series.spacing_mm, 0.05))
    chosen = shows_lung[np.linspace(0, len(shows_lung) - 1, 6).astype(int)[1:-1]]
    return Window().unit(series.hu[chosen].astype(np.float32))


def test_masks_of_real_slices_are_opencvs(real_slices: np.ndarray) -> None:
    window = Window()
    hu = torch.from_numpy(window.hu(real_slices))
    noise = scan_noise(
        hu, torch.full((len(hu),), 0.7), Acquisition(3e4), [torch_generator(0, i) for i in range(len(hu))]
    )
    for low, normal in zip(window.unit(hu + noise).numpy(), real_slices, strict=True):
        check_against_opencv(low, normal)


def test_dark_mask_by_hand() -> None:
    image = np.full((14, 14), 0.8, np.float32)
    image[2:11, 2:11] = 0.1
    image[6, 6] = 0.8  # a bright speck stays bright
    image[12, 5] = 0.1  # alone: the opening takes it away
    expected = np.zeros((14, 14), bool)
    expected[2:11, 2:11] = True
    expected[6, 6] = False
    # A square loses its corners to the opening with a cross.
    expected[[2, 2, 10, 10], [2, 10, 2, 10]] = False
    np.testing.assert_array_equal(dark_mask(image), expected)


def test_a_cross_alone_in_the_middle_survives_and_a_line_does_not() -> None:
    image = np.full((11, 11), 0.9, np.float32)
    image[5, 4:7] = image[4:7, 5] = 0.0
    image[1, 1:9] = 0.0
    dark = dark_mask(image)
    assert dark[5, 4:7].all() and dark[4:7, 5].all() and dark.sum() == 5


def slab(left: int = 0, right: int = 32) -> np.ndarray:
    """A body with a lung in rows 8–23; with the defaults it touches both sides and parts the background in two."""
    image = np.zeros((32, 32), np.float32)
    image[8:24, left:right] = 0.8
    image[12:20, 10:22] = 0.0
    return image


LUNG, ABOVE, BELOW = np.s_[13:19, 11:21], np.s_[1:7, 1:31], np.s_[25:31, 1:31]


def test_four_corners_clear_what_one_corner_leaves() -> None:
    four, one = (common_mask(slab(), slab(), True, MaskRule(seeds=s)) for s in ("four_corners", "one_corner"))
    for mask, below in ((four, 0), (one, 255)):
        assert (mask[LUNG] == 255).all() and (mask[ABOVE] == 0).all() and (mask[BELOW] == below).all()


def test_the_fill_does_not_pass_a_corner() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = mask[4:7, 4:7] = True  # they touch at a corner alone
    expected = np.zeros((8, 8), bool)
    expected[:4, :4] = True
    np.testing.assert_array_equal(connected_to_corners(mask), expected)


def test_without_module_1_the_background_stays() -> None:
    mask = common_mask(slab(), slab())
    assert all((mask[part] == 255).all() for part in (LUNG, ABOVE, BELOW))
    assert (mask[9:11] == 0).all()


def test_fill_then_or_puts_the_background_back() -> None:
    low, normal = slab(), slab(left=4, right=28)
    filled = common_mask(low, normal, True)
    put_back = common_mask(low, normal, True, MaskRule(order="fill_then_or"))
    assert (filled[ABOVE] == 0).all() and (put_back[ABOVE] == 255).all() and (put_back[BELOW] == 255).all()
    np.testing.assert_array_equal(put_back == 255, common_mask(low, normal) == 255)  # here all of low's is normal's too


def test_fill_then_or_still_clears_what_only_the_low_dose_shows() -> None:
    low, normal = slab(left=6), slab()
    rim = np.s_[9:23, 1:5]  # air in the uLDCT alone
    assert (common_mask(low, normal)[rim] == 255).all()
    assert (common_mask(low, normal, True, MaskRule(order="fill_then_or"))[rim] == 0).all()


@pytest.mark.parametrize("remove_background", [False, True])
def test_uint8_wrap_weighs_254_on_the_overlap_alone(remove_background: bool) -> None:
    low, normal = slab(), slab()
    low[12:20, 7:22] = 0.0  # its lung is wider by three columns
    logical = common_mask(low, normal, remove_background)
    wrapped = common_mask(low, normal, remove_background, MaskRule(union="uint8_wrap"))
    np.testing.assert_array_equal(wrapped > 0, logical > 0)
    both = dark_mask(low) & dark_mask(normal) & (logical > 0)
    one = (logical > 0) & ~both
    assert both.sum() > 50 and one.sum() > 10
    assert (wrapped[both] == 254).all() and (wrapped[one] == 255).all()


def shifted_bodies() -> tuple[np.ndarray, np.ndarray]:
    low, normal = np.zeros((2, 64, 64), np.float32)
    low[10:54, 8:48], normal[10:54, 14:54] = 0.8, 0.8
    low[22:42, 24:38] = normal[22:42, 24:38] = 0.0
    return low, normal


def test_both_outside_keeps_the_rim_that_flood_fill_eats() -> None:
    low, normal = shifted_bodies()
    fill, both = (common_mask(low, normal, True, MaskRule(background=b)) for b in ("flood_fill", "both_outside"))
    rims = np.s_[16:48, 9:13], np.s_[16:48, 49:53]  # body in the uLDCT alone, in the NDCT alone
    for rim in rims:
        assert (common_mask(low, normal)[rim] == 255).all()
        assert (fill[rim] == 0).all()
        assert (both[rim] == 255).all()
    for mask in (fill, both):
        assert (mask[24:40, 26:36] == 255).all()  # the lung
        assert (mask[:8] == 0).all() and (mask[:, :6] == 0).all() and (mask[:, 57:] == 0).all()


def test_body_is_the_largest_part_with_its_holes_filled() -> None:
    image = np.zeros((64, 64), np.float32)
    image[10:50, 10:50] = 0.8
    image[20:40, 20:40] = 0.0  # lung
    image[10:30, 54:60] = 0.8  # an arm of its own
    image[50:53, 20:22] = 0.8  # too thin for the opening
    expected = np.zeros((64, 64), bool)
    expected[10:50, 10:50] = True
    np.testing.assert_array_equal(body_mask(image), expected)


@pytest.mark.parametrize(
    "rule", [MaskRule(), MaskRule(background="both_outside"), MaskRule(order="fill_then_or", seeds="one_corner")]
)
def test_a_disc_without_lung_leaves_nothing_but_background(rule: MaskRule) -> None:
    at = np.arange(48) - 23.5
    disc = np.where(at[:, None] ** 2 + at**2 < 20**2, 0.8, 0.0).astype(np.float32)
    inside = at[:, None] ** 2 + at**2 < 17**2
    assert (common_mask(disc, disc)[inside] == 0).all()
    assert (common_mask(disc, disc, True, rule)[inside] == 0).all()
    if rule.order == "or_then_fill":
        outside = at[:, None] ** 2 + at**2 > 23**2
        assert (common_mask(disc, disc, True, rule)[outside] == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_slices_are_refused(value: float) -> None:
    constant = np.full((16, 16), value, np.float32)
    with pytest.raises(ValueError, match="constant"):
        dark_mask(constant)
    with pytest.raises(ValueError, match="constant"):
        common_mask(slab(), np.full((32, 32), value, np.float32), True)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(32, 32\).*\(16, 32\)"):
        common_mask(slab(), slab()[:16])
    with pytest.raises(ValueError, match=r"\[N, N\]"):
        common_mask(slab()[None], slab()[None])


@pytest.mark.parametrize("option", ["background", "order", "seeds", "union"])
def test_unknown_rules_are_refused_by_name(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} 'guess' is unknown: use one of {getattr(MaskRule(), option)}"):
        MaskRule(**{option: "guess"})
