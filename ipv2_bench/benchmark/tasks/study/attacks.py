"""What measures say of the aligned truth when it is damaged by a known amount, and of a copy of the misaligned NDCT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from ipv2_bench.benchmark.measuring import measure_test_set
from ipv2_bench.benchmark.prepared import Prepared
from ipv2_bench.benchmark.tasks.study.report import Point, cost_of
from ipv2_bench.metrics.image_set import Measurements, distances
from ipv2_bench.metrics.signals import draw_signals, put_in
from ipv2_bench.physics.seeding import numpy_generator

BLUR_PX, NOISE_HU, CHECKERBOARD_HU, NODULE_MM = 1.0, 30.0, 15.0, 8.0
"""Sizes of the damage: deviation of a Gaussian and of white noise, amplitude of alternating pixels (±), and a diameter."""

ENDLESS = ("psnr_db", "nodule_cnr")
"""Measures whose value for the truth is infinite, so that no damage is a share of anything."""

COPY = "NDCT"
"""What is not made out of the truth."""


def attacked(prepared: Prepared) -> dict[str, np.ndarray]:
    """Image sets by what was done to the truth of the test slices, [n, N, N] in [0, 1] each; the misaligned NDCT is the last.

    Parameters
    ----------
    prepared
        Data whose truth is known.
    """
    slices, test, window = prepared.slices, prepared.split.test, prepared.window
    assert slices.truth is not None
    truth = slices.truth.hu(test).astype(np.float64)
    rng = numpy_generator("attacks")
    alternating = 1.0 - 2.0 * (np.indices(truth.shape[1:]).sum(0) % 2)
    damaged = {
        f"blur of {BLUR_PX:g} pixel": ndimage.gaussian_filter(truth, (0, BLUR_PX, BLUR_PX)),
        f"noise of {NOISE_HU:g} HU": truth + rng.normal(0.0, NOISE_HU, truth.shape),
        f"checkerboard of {CHECKERBOARD_HU:g} HU": truth + CHECKERBOARD_HU * alternating,
        f"nodule of {NODULE_MM:g} mm": np.stack([_with_nodule(prepared, int(i), hu) for i, hu in zip(test, truth, strict=True)]),
    }
    found = {name: window.unit(hu).astype(np.float32) for name, hu in damaged.items()}
    return {**found, COPY: np.array(slices.normal[test])}


def _with_nodule(prepared: Prepared, index: int, hu: np.ndarray) -> np.ndarray:
    """The slice with a solid nodule that it does not have, where its lung has room for one."""
    slices, mm = prepared.slices, float(prepared.slices.pixel_mm[index])
    rng = numpy_generator("attacks", "nodule", slices.key[index])
    return put_in(hu, mm, draw_signals(hu, prepared.window, mm, "solid", rng, (NODULE_MM,))[:1])


def attack_lines(
    prepared: Prepared, trained: Sequence[Point], reference: Measurements, label: str
) -> list[dict[str, str | float]]:
    """How much of a trained denoiser's error each damage is worth by each measure; a line for a measure.

    0 is what the measure says of the truth itself, 1 what it says of the median of the trained denoisers (of the worst, where the
    median is no worse than the truth), 2 twice as bad; below 0 the damage is better than the truth.
    :data:`ENDLESS` are left out.

    Parameters
    ----------
    prepared
        Data whose truth is known.
    trained
        Image sets of trained denoisers.
    reference, label
        What distances are taken to, and its name.
    """
    slices = prepared.slices
    assert slices.truth is not None

    def values(images: np.ndarray) -> dict[str, float]:
        measured = measure_test_set(prepared.measuring, slices, prepared.split, images)
        to_label = {f"{name} to {label}": value for name, value in distances(measured, reference).items()}
        return {**measured.fidelity(), **to_label}

    true = values(np.array(slices.truth[prepared.split.test]))
    damaged = {name: values(images) for name, images in attacked(prepared).items()}
    known = [c for c in trained[0].values if c in true and all(c in own for own in damaged.values())]
    columns = [c for c in known if c not in ENDLESS and not c.partition(" to ")[0].endswith("_se")]
    return [_line(prepared, column, trained, true, damaged) for column in columns]


def _line(
    prepared: Prepared,
    column: str,
    trained: Sequence[Point],
    true: Mapping[str, float],
    damaged: Mapping[str, Mapping[str, float]],
) -> dict[str, str | float]:
    def cost(value: float) -> float:
        return float(cost_of(prepared.catalogue, column, value))

    least = cost(true[column])
    costs = [cost(p.values[column]) for p in trained]
    most = max(costs) if np.median(costs) <= least else float(np.median(costs))
    line: dict[str, str | float] = {"measure": column, "truth": true[column]}
    for name, own in damaged.items():
        line[name] = (cost(own[column]) - least) / (most - least) if most > least else float("nan")
    return line
