"""Pictures of a cell's W&B run: slices in two windows, a zoom, differences, the worst slices, and the steps of sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.views.figures import WINDOWS, example_slices
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.physics.intensity import Window
from ipv2_bench.stored import read_array

DIFFERENCE_HU = 300.0
"""Differences are shown from minus to plus this."""

ZOOM = (0.30, 0.62, 0.12, 0.44)
"""Top, bottom, left and right of the zoomed region as shares of a slice: lung, chest wall and background of one side."""

WORST = 10
"""Slices in the panel of the worst."""

STATES = 12
"""Most states of sampling that are shown, spread over all steps."""

States = Callable[[np.ndarray], list[np.ndarray]]
"""A slice's uLDCT [N, N] in [0, 1] → the images after each step of sampling."""


@dataclass(frozen=True)
class Panel:
    """Some pictures, uint8 [H, W] each, with a caption for each; ``name`` is their media key without ``images/``."""

    name: str
    pictures: list[np.ndarray]
    captions: list[str]


@dataclass(frozen=True)
class CellImages:
    """The test slices of a cell.

    Attributes
    ----------
    low, denoised, normal
        uLDCT, output of the denoiser and NDCT, [n, N, N] in [0, 1].
    truth
        The same of the aligned truth; ``None`` where it is not known.
    """

    low: np.ndarray
    denoised: np.ndarray
    normal: np.ndarray
    truth: np.ndarray | None

    @property
    def by_title(self) -> dict[str, np.ndarray]:
        """The image sets in the order of the dashboard."""
        sets = {"uLDCT": self.low, "denoised": self.denoised, "NDCT": self.normal}
        return sets if self.truth is None else {**sets, "truth": self.truth}

    @property
    def target_title(self) -> str:
        """What denoised slices are compared with: the truth, or the NDCT where it is not known."""
        return "NDCT" if self.truth is None else "truth"

    @property
    def target(self) -> np.ndarray:
        """The images of :attr:`target_title`."""
        return self.normal if self.truth is None else self.truth


def cell_panels(slices: SliceSet, test: np.ndarray, window: Window, folder: Path) -> list[Panel]:
    """The pictures of a complete cell.

    Parameters
    ----------
    slices, test
        The data, and indices of the test slices in it.
    window
        HU of the images.
    folder
        Folder of the cell.
    """
    images = CellImages(
        low=slices.low[test],
        denoised=read_array(folder / "denoised.npy", mapped=True),
        normal=slices.normal[test],
        truth=None if slices.truth is None else slices.truth[test],
    )
    return panels(images, example_slices([slices.patient[i] for i in test]), window, sampler_states(folder / "model.safetensors"))


def panels(images: CellImages, chosen: np.ndarray, window: Window, states: States | None) -> list[Panel]:
    """The pictures of a cell.

    Parameters
    ----------
    images
        All test slices.
    chosen
        Indices of the test slices that are shown.
    window
        HU of the images.
    states
        Gives the states of sampling; ``None`` for denoisers without steps.
    """
    every = [_in_window(images, chosen, window, show) for show in WINDOWS]
    drawn = [panel for of_window in every for panel in of_window]
    drawn += [*_zoomed(images, chosen, window), _differences(images, chosen, window), worst(images, window)]
    return drawn if states is None else [*drawn, _sampling(images, chosen[0], window, states)]


def _in_window(images: CellImages, chosen: np.ndarray, window: Window, show: str) -> list[Panel]:
    return [
        Panel(f"{show}/{title}", [grey(x[i], window, show) for i in chosen], [f"slice {i}" for i in chosen])
        for title, x in images.by_title.items()
    ]


def _zoomed(images: CellImages, chosen: np.ndarray, window: Window) -> list[Panel]:
    """The region :data:`ZOOM`, each pixel twice as wide and high."""
    top, bottom, left, right = (round(share * images.denoised.shape[-1]) for share in ZOOM)
    return [
        Panel(
            f"zoom/{title}",
            [grey(x[i][top:bottom, left:right], window).repeat(2, 0).repeat(2, 1) for i in chosen],
            [f"slice {i}, rows {top} to {bottom}, columns {left} to {right}" for i in chosen],
        )
        for title, x in images.by_title.items()
    ]


def _differences(images: CellImages, chosen: np.ndarray, window: Window) -> Panel:
    return Panel(
        "lung/difference",
        [difference(images.denoised[i] - images.target[i], window) for i in chosen],
        [f"denoised minus {images.target_title}, ±{DIFFERENCE_HU:g} HU" for _ in chosen],
    )


def worst(images: CellImages, window: Window) -> Panel:
    """The slices that are furthest from their target, the worst first: uLDCT, denoised and target side by side."""
    pairs = zip(images.denoised, images.target, strict=True)
    rmse = np.array([np.sqrt(np.mean((d - t) ** 2)) for d, t in pairs]) * window.width
    order = np.argsort(-rmse, kind="stable")[:WORST]
    shown = (images.low, images.denoised, images.target)
    pictures = [np.concatenate([grey(x[i], window) for x in shown], axis=1) for i in order]
    return Panel("worst", pictures, [f"slice {i}: {rmse[i]:.0f} HU from the {images.target_title}" for i in order])


def _sampling(images: CellImages, i: int, window: Window, states: States) -> Panel:
    """A slice's uLDCT and states of its sampling as one strip."""
    low = np.asarray(images.low[i])
    after = states(low)
    steps = np.unique(np.linspace(0, len(after) - 1, min(STATES, len(after))).astype(int))
    strip = np.concatenate([grey(low, window), *(grey(after[step], window) for step in steps)], axis=1)
    numbers = ", ".join(str(step + 1) for step in steps)
    return Panel("states", [strip], [f"slice {i}: uLDCT and after steps {numbers} of {len(after)}"])


def grey(unit: np.ndarray, window: Window, show: str = "lung") -> np.ndarray:
    """A slice [H, W] in [0, 1] in a window of radiology, uint8."""
    low, high = WINDOWS[show]
    return (255 * ((window.hu(np.asarray(unit)) - low) / (high - low)).clip(0, 1)).astype(np.uint8)


def difference(unit: np.ndarray, window: Window) -> np.ndarray:
    """A difference [H, W] of slices in [0, 1], uint8; zero is mid grey."""
    return (255 * ((unit * window.width + DIFFERENCE_HU) / (2 * DIFFERENCE_HU)).clip(0, 1)).astype(np.uint8)


def sampler_states(weights: Path) -> States | None:
    """The states of sampling with a checkpoint; ``None`` without weights or steps, or where neighbouring slices are seen."""
    import torch

    from ipv2_bench.denoisers.base import IterativeDenoiser
    from ipv2_bench.denoisers.shared.checkpoint import load_denoiser

    if not weights.exists():
        return None
    denoiser, _ = load_denoiser(weights, outside=None)
    if not isinstance(denoiser, IterativeDenoiser) or denoiser.context > 1:
        return None

    def states(low: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [x[0, 0].numpy() for x in denoiser.states(torch.from_numpy(np.array(low))[None, None])]

    return states
