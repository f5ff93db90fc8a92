"""Module 2 fitted to data, with an interval, pictures, and a configuration that holds the result."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import OmegaConf

from ipv2_bench.benchmark.config import Config, read_yaml
from ipv2_bench.benchmark.module_2 import calibrated, module_2
from ipv2_bench.benchmark.prepared import Slices
from ipv2_bench.benchmark.views.figures import pyplot, save_figure
from ipv2_bench.errors import InputError
from ipv2_bench.files import write_json, write_text
from ipv2_bench.installed import find_configuration

if TYPE_CHECKING:
    from ipv2_bench.purification.calibration import Calibration

PATCH = 16
"""Side of the squares whose power spectra are averaged, in pixels."""


def calibrate(config: Config, name: str, low_alone: bool, write: Path | None, progress: bool = True) -> str:
    """Calibrate module 2 on the training slices of a configuration.

    Parameters
    ----------
    config, name
        The benchmark, and the name or path of its configuration.
    low_alone
        Do not use the NDCT.
    write
        Where a copy of the configuration with the calibrated photons is written; nowhere when ``None``.
    progress
        Show progress while the data is read.

    Returns
    -------
    str
        The result in words. The same as JSON and a picture are written as ``<run.out>/<name>/calibration.*``.

    Raises
    ------
    InputError
        When the data cannot be used, module 2 is ``published``, or ``write`` exists.
    """
    if config.noise.dose_model == "published":
        raise InputError("noise.dose_model is published: its flux is fixed, there is nothing to calibrate")
    if write is not None and write.exists():
        raise InputError(f"{write} exists: remove it or name another file")
    opened = Slices.open(config, progress)
    slices, train = opened.slices, opened.split.train
    calibration = calibrated(module_2(config, opened.window), slices, train, low_alone)
    acquisition, out = calibration.add_noise.acquisition, config.out
    result = {
        "photons": acquisition.photons,
        "interval_95": calibration.interval,
        "dose": acquisition.dose,
        "levels_hu": {k: {"uldct": v[0], "simulated": v[1]} for k, v in calibration.levels.items()},
        "slices": calibration.slices,
        "low_alone": low_alone,
        "data_manifest": slices.manifest,
    }
    write_json(out / "calibration.json", result)
    use = train[np.linspace(0, len(train) - 1, min(16, len(train))).astype(int)]
    _draw(calibration, np.array(slices.low[use]), np.array(slices.normal[use]), slices.pixel_mm[use], out)
    low, high = calibration.interval
    lines = [
        f"photons at full dose: {acquisition.photons:.4g} (95 %: {low:.4g} to {high:.4g}), dose {acquisition.dose:g}, "
        f"{calibration.slices} slices",
        *(f"noise in the {k}: uLDCT {v[0]:.3g} HU, simulated {v[1]:.3g} HU" for k, v in calibration.levels.items()),
        f"written to {out / 'calibration.json'} and {out / 'calibration.png'}",
    ]
    if write is not None:
        _write_configuration(config, find_configuration(name), acquisition.photons, write, lines[0])
        lines.append(f"configuration: {write}")
    return "\n".join(lines)


def _write_configuration(config: Config, path: Path, photons: float, write: Path, note: str) -> None:
    """A copy of a configuration whose noise is the calibrated one."""
    data = config.data.model_dump(mode="json")
    data |= data.pop("options")
    noise = {**config.noise.model_dump(mode="json"), "photons": photons, "calibrate": False}
    # Tables beside the configuration's file stay where they are; those of the program are found by name.
    tables = [
        os.path.relpath(config.folder / t, write.parent) if (config.folder / t).is_file() else t for t in config.tables
    ]
    tree = {**read_yaml(path), "data": data, "noise": noise, "tables": tables}
    text = OmegaConf.to_yaml(OmegaConf.create(tree))
    write_text(write, f"# {path.name} with module 2 calibrated: {note}.\n{text}")


def noise_power(images: np.ndarray, regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Radial mean of the power spectrum of :data:`PATCH`-sized squares that lie in the regions.

    Returns
    -------
    tuple
        Frequency in cycles per pixel, and power in squared units of the images times px²; empty where no square fits.
    """
    taper = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    powers = []
    for image, region in zip(images, regions, strict=True):
        for row in range(0, image.shape[0] - PATCH + 1, PATCH // 2):
            for column in range(0, image.shape[1] - PATCH + 1, PATCH // 2):
                at = np.s_[row : row + PATCH, column : column + PATCH]
                if region[at].mean() > 0.9:
                    patch = (image[at] - image[at].mean()) * taper
                    powers.append(np.abs(np.fft.fft2(patch)) ** 2 / (taper**2).sum())
    if not powers:
        return np.empty(0), np.empty(0)
    f = np.fft.fftfreq(PATCH)
    ring = np.rint(np.hypot(*np.meshgrid(f, f)) * PATCH).astype(int)
    mean = np.mean(powers, axis=0)
    rings = np.arange(1, PATCH // 2 + 1)
    return rings / PATCH, np.array([mean[ring == r].mean() for r in rings])


def noise_by_radius(images: np.ndarray, regions: Sequence[np.ndarray], rings: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Noise level against the distance from the image's centre: radius as a share of half the side, and level."""
    from ipv2_bench.purification.calibration import noise_level

    size = images.shape[-1]
    at = (np.arange(size) - (size - 1) / 2) / (size / 2)
    radius = np.hypot(at[:, None], at[None])
    edges = np.linspace(0.0, 1.0, rings + 1)
    levels = []
    for inner, outer in itertools.pairwise(edges):
        ring = (radius >= inner) & (radius < outer)
        squares = [noise_level(x, r & ring) ** 2 for x, r in zip(images, regions, strict=True) if (r & ring).sum() > 30]
        levels.append(np.sqrt(np.mean(squares)) if squares else np.nan)
    return (edges[1:] + edges[:-1]) / 2, np.array(levels)


def _draw(calibration: Calibration, low: np.ndarray, normal: np.ndarray, pixel_mm: np.ndarray, out: Path) -> None:
    """Noise power spectra and level against radius, of the uLDCT and of A(n), as a PNG."""
    import torch

    from ipv2_bench.physics.seeding import torch_generator
    from ipv2_bench.purification.calibration import lung_region, outside_region

    plt = pyplot()
    model, unit = calibration.add_noise, calibration.add_noise.window.width
    generators = [torch_generator(0, "calibration picture", i) for i in range(len(normal))]
    noisy = model(torch.from_numpy(normal)[:, None], torch.from_numpy(pixel_mm).float(), generators)[:, 0].numpy()
    lungs = [lung_region(u, n) for u, n in zip(low, normal, strict=True)]
    outsides = [outside_region(u, n) for u, n in zip(low, normal, strict=True)]
    both = [a | b for a, b in zip(lungs, outsides, strict=True)]
    figure, (spectrum, profile) = plt.subplots(1, 2, figsize=(9, 3.4))
    for title, images, style in (("uLDCT", low, "-"), ("A(n)", noisy, "--")):
        for name, regions, colour in (("lung", lungs, "tab:blue"), ("air outside", outsides, "tab:orange")):
            frequency, power = noise_power(images * unit, regions)
            if len(frequency):
                spectrum.plot(frequency, power, style, color=colour, label=f"{title}, {name}")
        radius, level = noise_by_radius(images * unit, both)
        profile.plot(radius, level, style, color="tab:green", label=title)
    spectrum.set(xlabel="cycles per pixel", ylabel="noise power, HU² px²", ylim=(0, None))
    profile.set(xlabel="distance from the centre, share of half the side", ylabel="noise level, HU", ylim=(0, None))
    for axis in (spectrum, profile):
        if axis.lines:
            axis.legend(fontsize=8)
    figure.tight_layout()
    save_figure(figure, out / "calibration.png")
