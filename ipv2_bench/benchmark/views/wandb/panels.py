"""What a W&B run shows of a cell: slices in two windows, a zoom, differences, the worst slices, and the sampler's road."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.figures import WINDOWS, example_slices
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.physics.intensity import Window

DIFFERENCE_HU = 300.0
"""Differences are shown from minus to plus this."""

ZOOM = (0.30, 0.62, 0.12, 0.44)
"""Top, bottom, left and right of the zoomed region as shares of a slice: lung, chest wall and background of one side."""

WORST = 10
STATES = 12


@dataclass(frozen=True)
class Panel:
    """Some pictures, uint8 [H, W] each, with a caption for each; ``name`` is their place in the dashboard."""

    name: str
    pictures: list[np.ndarray]
    captions: list[str]


def panels(
    denoised: np.ndarray,
    others: dict[str, np.ndarray],
    chosen: np.ndarray,
    window: Window,
    states: Callable[[np.ndarray], list[np.ndarray]] | None,
) -> list[Panel]:
    """The pictures of a cell.

    Parameters
    ----------
    denoised
        All test slices [n, N, N] in [0, 1].
    others
        ``uLDCT``, ``NDCT`` and perhaps ``truth`` of the same slices.
    chosen
        Places of the slices that are shown.
    window
        HU of the images.
    states
        A slice's uLDCT [N, N] → the images after the steps of sampling; ``None`` for denoisers without steps.
    """
    sets = {"uLDCT": others["uLDCT"], "denoised": denoised, **{k: v for k, v in others.items() if k != "uLDCT"}}
    found = []
    for show in WINDOWS:
        found += [
            Panel(f"{show}/{title}", [grey(x[i], window, show) for i in chosen], [f"slice {i}" for i in chosen])
            for title, x in sets.items()
        ]
    n = denoised.shape[-1]
    top, bottom, left, right = (round(share * n) for share in ZOOM)
    found += [
        Panel(
            f"zoom/{title}",
            [grey(x[i][top:bottom, left:right], window).repeat(2, 0).repeat(2, 1) for i in chosen],
            [f"slice {i}, rows {top} to {bottom}, columns {left} to {right}" for i in chosen],
        )
        for title, x in sets.items()
    ]
    against = "truth" if "truth" in sets else "NDCT"
    found.append(
        Panel(
            "lung/difference",
            [difference(denoised[i] - sets[against][i], window) for i in chosen],
            [f"denoised less {against}, ±{DIFFERENCE_HU:g} HU" for _ in chosen],
        )
    )
    found.append(worst(sets, against, window))
    if states is not None:
        road = states(np.asarray(sets["uLDCT"][chosen[0]]))
        steps = np.unique(np.linspace(0, len(road) - 1, min(STATES, len(road))).astype(int))
        strip = np.concatenate(
            [grey(sets["uLDCT"][chosen[0]], window), *(grey(road[i], window) for i in steps)], axis=1
        )
        told = ", ".join(str(i + 1) for i in steps)
        found.append(Panel("states", [strip], [f"slice {chosen[0]}: uLDCT and after steps {told} of {len(road)}"]))
    return found


def cell_panels(slices: SliceSet, test: np.ndarray, window: Window, folder: Path) -> list[Panel]:
    """The pictures of the cell that lies in ``folder``; ``test`` are places of the test slices."""
    denoised = np.load(folder / "denoised.npy", mmap_mode="r", allow_pickle=False)
    others = {"uLDCT": slices.low[test], "NDCT": slices.normal[test]}
    if slices.truth is not None:
        others["truth"] = slices.truth[test]
    road = sampler_states(folder / "model.safetensors")
    return panels(denoised, others, example_slices(len(test)), window, road)


def worst(sets: dict[str, np.ndarray], against: str, window: Window) -> Panel:
    """The slices that are furthest from the truth, or from the NDCT where it is not known: uLDCT, denoised, target."""
    denoised, target = sets["denoised"], sets[against]
    rmse = np.array([np.sqrt(np.mean((d - t) ** 2)) for d, t in zip(denoised, target, strict=True)]) * window.width
    order = np.argsort(-rmse, kind="stable")[:WORST]
    pictures = [
        np.concatenate([grey(sets[k][i], window) for k in ("uLDCT", "denoised", against)], axis=1) for i in order
    ]
    return Panel("worst", pictures, [f"slice {i}: {rmse[i]:.0f} HU from the {against}" for i in order])


def grey(unit: np.ndarray, window: Window, show: str = "lung") -> np.ndarray:
    """A slice [H, W] in [0, 1] in a window of radiology, uint8."""
    low, high = WINDOWS[show]
    return (255 * ((window.hu(np.asarray(unit)) - low) / (high - low)).clip(0, 1)).astype(np.uint8)


def difference(unit: np.ndarray, window: Window) -> np.ndarray:
    """A difference [H, W] of slices in [0, 1], uint8: mid grey is none."""
    return (255 * ((unit * window.width + DIFFERENCE_HU) / (2 * DIFFERENCE_HU)).clip(0, 1)).astype(np.uint8)


def sampler_states(weights: Path) -> Callable[[np.ndarray], list[np.ndarray]] | None:
    """The road of a slice through the denoiser of a checkpoint; ``None`` where it takes no steps or sees neighbours."""
    import torch

    from ipv2_bench.denoisers.base import IterativeDenoiser
    from ipv2_bench.denoisers.checkpoint import load_denoiser

    if not weights.exists():
        return None
    denoiser, _ = load_denoiser(weights, outside=None)
    if not isinstance(denoiser, IterativeDenoiser) or denoiser.context > 1:
        return None

    def road(low: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [x[0, 0].numpy() for x in denoiser.states(torch.from_numpy(np.array(low))[None, None])]

    return road
