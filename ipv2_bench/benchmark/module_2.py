"""Module 2 of a benchmark: Add Noise with the configuration's settings, calibrated on training pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench import physics, purification
from ipv2_bench.benchmark.config import Config
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.stored import present, read_object, write_object

if TYPE_CHECKING:
    from ipv2_bench.purification.calibration import Calibration

CALIBRATED_ON = 32
"""Slices that measure the noise level to a percent, spread over all training patients."""


def module_2(config: Config, window: Window) -> AddNoise:
    """Module 2 with the configuration's photons, before any calibration.

    Raises
    ------
    InputError
        When a setting of ``noise`` is not usable.
    """
    from ipv2_bench.physics.acquisition import Acquisition

    noise = config.noise
    try:
        acquisition = Acquisition(
            photons=noise.photons,
            views=noise.views,
            filter_name=noise.filter_name,
            dose=noise.dose,
            inserted=True,
            quantum=noise.quantum,
        )
        return AddNoise(window, acquisition, noise.dose_model, noise.redraw)
    except ValueError as error:
        raise InputError(f"noise: {error}") from error


def calibrated(start: AddNoise, slices: SliceSet, train: np.ndarray, low_alone: bool = False) -> Calibration:
    """Module 2 calibrated on training slices.

    Parameters
    ----------
    start
        Module 2 as the search begins.
    slices, train
        The data, and places of the training slices in it.
    low_alone
        Do not use their NDCT.

    Raises
    ------
    InputError
        When the uLDCT are not noisier than the NDCT.
    """
    from ipv2_bench.purification.calibration import calibrate

    use = train[np.linspace(0, len(train) - 1, min(CALIBRATED_ON, len(train))).astype(int)]
    normal = None if low_alone else np.array(slices.normal[use])
    patient = [slices.patient[i] for i in use]
    calibration = calibrate(start, np.array(slices.low[use]), normal, slices.pixel_mm[use], seed=0, patient=patient)
    if calibration.add_noise.acquisition.photons > 1e4 * start.acquisition.photons:
        raise InputError(
            "the uLDCT are not noisier than the NDCT, so there is no noise to calibrate module 2 to: are the two swapped?"
        )
    return calibration


def calibrated_module_2(config: Config, slices: SliceSet, split: Split, window: Window) -> AddNoise:
    """Module 2 calibrated once for these slices and a split; the photons are kept on disk."""
    start = module_2(config, window)
    if not config.noise.calibrate or config.noise.dose_model == "published":
        return start
    versions = {"physics": physics.VERSION, "purification": purification.VERSION}
    identity = [start.identity(), split.train.tolist(), versions]
    path = slices.folder / f"calibration-{digest(identity)}.json"
    if not present(path):
        calibration = calibrated(start, slices, split.train)
        write_object(path, {"photons": calibration.add_noise.acquisition.photons})
    return replace(start, acquisition=replace(start.acquisition, photons=read_object(path)["photons"]))
