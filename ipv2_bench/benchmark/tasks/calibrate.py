"""The command ``calibrate``: module 2 fitted to data, with an interval, pictures, and a configuration that holds it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from ipv2_bench.benchmark.config import Config, read_yaml
from ipv2_bench.benchmark.figures import pyplot, save_figure
from ipv2_bench.benchmark.plan import calibrated, module_2, open_slices
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.calibration import Calibration, lung_region, noise_level, outside_region

PATCH = 16
"""Side of the squares whose power spectra are averaged, in pixels."""


def calibrate_command(config: Config, config_path: Path, low_alone: bool, write: Path | None, progress: bool) -> str:
    """Calibrate module 2 on the training slices of a configuration.

    Parameters
    ----------
    config, config_path
        The benchmark, and the file that it came from.
    low_alone
        Do not use the NDCT.
    write
        Where a copy of the configuration with the photons found is put; nowhere when ``None``.
    progress
        Show progress bars while the data is read.

    Returns
    -------
    str
        What was found, in words. The same as JSON and a picture lie under ``<run.out>/<name>/calibration.*``.

    Raises
    ------
    InputError
        When the data cannot be used, module 2 is ``published``, or ``write`` exists.
    """
    if config.noise.dose_model == "published":
        raise InputError("noise.dose_model is published: its flux is fixed, there is nothing to calibrate")
    if write is not None and write.exists():
        raise InputError(f"{write} exists: remove it or name another file")
    window, slices, split = open_slices(config, progress)
    start = module_2(config, window)
    found = calibrated(start, slices, split.train, low_alone)
    photons = found.add_noise.acquisition.photons
    out = Path(config.run.out) / config.name
    result = {
        "photons": photons,
        "interval_95": found.interval,
        "dose": found.add_noise.acquisition.dose,
        "levels_hu": {k: {"uldct": v[0], "simulated": v[1]} for k, v in found.levels.items()},
        "slices": found.slices,
        "low_alone": low_alone,
        "data_manifest": slices.manifest,
    }
    write_whole(out / "calibration.json", lambda file: file.write(json.dumps(result, indent=1).encode()))
    use = split.train[np.linspace(0, len(split.train) - 1, min(16, len(split.train))).astype(int)]
    _picture(found, np.array(slices.low[use]), np.array(slices.normal[use]), slices.pixel_mm[use], out)
    lines = [
        f"photons at full dose: {photons:.4g} (95 %: {found.interval[0]:.4g} to {found.interval[1]:.4g}), dose "
        f"{found.add_noise.acquisition.dose:g}, {found.slices} slices",
        *(f"noise in the {k}: uLDCT {v[0]:.3g} HU, simulated {v[1]:.3g} HU" for k, v in found.levels.items()),
        f"written to {out / 'calibration.json'} and {out / 'calibration.png'}",
    ]
    if write is not None:
        noise = {**asdict(config.noise), "photons": photons, "calibrate": False}
        data = {k: v for k, v in asdict(config.data).items() if k != "options"} | config.data.options
        tables = [os.path.relpath(config.folder / t, write.parent) for t in config.tables]
        tree = {**read_yaml(config_path), "data": data, "noise": noise, "tables": tables}
        text = OmegaConf.to_yaml(OmegaConf.create(tree))
        note = f"# {config_path.name} with module 2 calibrated: {lines[0]}.\n"
        write_whole(write, lambda file: file.write((note + text).encode()))
        lines.append(f"configuration: {write}")
    return "\n".join(lines)


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


def _picture(found: Calibration, low: np.ndarray, normal: np.ndarray, pixel_mm: np.ndarray, out: Path) -> None:
    """Noise power spectra and level against radius, of the uLDCT and of A(n), as a PNG."""
    plt = pyplot()
    model, unit = found.add_noise, found.add_noise.window.width
    generators = [torch_generator(0, "calibration picture", i) for i in range(len(normal))]
    made = model(torch.from_numpy(normal)[:, None], torch.from_numpy(pixel_mm).float(), generators)[:, 0].numpy()
    lungs = [lung_region(u, n) for u, n in zip(low, normal, strict=True)]
    outsides = [outside_region(u, n) for u, n in zip(low, normal, strict=True)]
    both = [a | b for a, b in zip(lungs, outsides, strict=True)]
    figure, (spectrum, profile) = plt.subplots(1, 2, figsize=(9, 3.4))
    for title, images, line in (("uLDCT", low, "-"), ("A(n)", made, "--")):
        for name, regions, colour in (("lung", lungs, "tab:blue"), ("air outside", outsides, "tab:orange")):
            frequency, power = noise_power(images * unit, regions)
            if len(frequency):
                spectrum.plot(frequency, power, line, color=colour, label=f"{title}, {name}")
        radius, level = noise_by_radius(images * unit, both)
        profile.plot(radius, level, line, color="tab:green", label=title)
    spectrum.set(xlabel="cycles per pixel", ylabel="noise power, HU² px²", ylim=(0, None))
    profile.set(xlabel="distance from the centre, share of half the side", ylabel="noise level, HU", ylim=(0, None))
    for axis in (spectrum, profile):
        if axis.lines:
            axis.legend(fontsize=8)
    figure.tight_layout()
    save_figure(figure, out / "calibration.png")
