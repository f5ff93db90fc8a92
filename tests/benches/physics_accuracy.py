"""Accuracy of the physics against closed forms, ours and scikit-image's on the same work."""

from __future__ import annotations

import numpy as np
import torch
from skimage.transform import iradon, radon

from ipv2_bench.physics import closed_form
from ipv2_bench.physics.projector import ParallelBeam


def accuracy(size: int = 512, views: int = 512) -> dict[str, float]:
    """Errors against closed forms, ours and scikit-image's on the same work."""
    beam = ParallelBeam(size, views)
    image = closed_form.ellipse_image(size)
    exact = closed_form.ellipse_sinogram(size, beam.angles, beam.detector_px)
    degrees = np.degrees(beam.angles)
    at = np.arange(size) - (size - 1) / 2
    inside = at[:, None] ** 2 + at**2 < (size / 2 - 2) ** 2

    def rms(x: np.ndarray) -> float:
        return float(np.sqrt(np.mean(x**2)))

    ours = beam.project(torch.from_numpy(image)[None])[0].numpy()
    # scikit-image's centre is pixel and cell N // 2.
    cells = np.arange(size) - size // 2
    shifted = closed_form.ellipse_sinogram(size, beam.angles, cells)
    theirs = radon(np.where(inside, image, 0), theta=degrees, circle=True).T
    back = beam.backproject(torch.from_numpy(exact).float()[None])[0].numpy()
    their_back = iradon(shifted.T, theta=degrees, filter_name="ramp", circle=True)
    odd = size + 1
    beam_odd, image_odd = ParallelBeam(odd, views), closed_form.ellipse_image(odd)
    at_odd = np.arange(odd) - odd // 2
    inside_odd = at_odd[:, None] ** 2 + at_odd**2 < (odd / 2 - 2) ** 2
    exact_odd = closed_form.ellipse_sinogram(odd, beam_odd.angles, beam_odd.detector_px)
    back_odd = beam_odd.backproject(torch.from_numpy(exact_odd).float()[None])[0].numpy()
    cells_odd = closed_form.ellipse_sinogram(odd, beam_odd.angles, at_odd)
    their_odd = iradon(cells_odd.T, theta=degrees, filter_name="ramp", circle=True)
    round_trip = beam.backproject(torch.from_numpy(ours)[None])[0].numpy()
    their_trip = iradon(theirs.T, theta=degrees, filter_name="ramp", circle=True)
    errors = {
        "projection, relative RMS": rms(ours - exact) / rms(exact),
        "projection, relative RMS, scikit-image": rms(theirs - shifted) / rms(shifted),
        "FBP of the closed form, RMSE": rms((back - image)[inside]),
        "FBP of the closed form, RMSE, scikit-image": rms((their_back - image)[inside]),
        f"FBP of the closed form at {odd}, RMSE": rms((back_odd - image_odd)[inside_odd]),
        f"FBP of the closed form at {odd}, RMSE, scikit-image": rms((their_odd - image_odd)[inside_odd]),
        "FBP of the closed form, error of the mean": abs(back[inside].mean() / image[inside].mean() - 1),
        "projection and FBP, RMSE": rms((round_trip - image)[inside]),
        "projection and FBP, RMSE, scikit-image": rms((their_trip - image)[inside]),
    }
    return {k: float(f"{v:.3g}") for k, v in errors.items()}


def noise_spectra(size: int = 128, views: int = 180, draws: int = 200, name: str = "cosine") -> dict[str, np.ndarray]:
    """Radial noise power of FBP of white noise: ours, scikit-image's and the closed form; frequency in cycles per pixel."""
    beam = ParallelBeam(size, views)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((draws, views, beam.detectors)).astype(np.float32)
    ours = beam.backproject(torch.from_numpy(noise), name).numpy()
    degrees, first = np.degrees(beam.angles), (beam.detectors - size) // 2
    few = noise[: max(1, draws // 4), :, first : first + size]
    half = size // 2
    middle = np.s_[half - half // 2 : half + half // 2, half - half // 2 : half + half // 2]
    theirs = np.stack([iradon(x.T, theta=degrees, filter_name=name, circle=True)[middle] for x in few])
    frequency, power = radial_power(ours)
    coarse, their_power = radial_power(theirs)
    return {
        "frequency": frequency,
        "ours": power,
        "closed form": closed_form.noise_power(frequency, views, name),
        "frequency, scikit-image": coarse,
        "scikit-image": their_power,
    }


def radial_power(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean radial power spectrum of images [n, N, N] under a Hann window, at whole multiples of 1/N up to 0.5."""
    size = images.shape[-1]
    taper = np.outer(np.hanning(size), np.hanning(size))
    mean = (np.abs(np.fft.fft2(images * taper)) ** 2).mean(0) / (taper**2).sum()
    f = np.fft.fftfreq(size)
    radius = np.hypot(f[:, None], f[None]) * size
    ring = np.rint(radius).astype(int)
    rings = np.arange(1, size // 2 + 1)
    return np.array([radius[ring == r].mean() for r in rings]) / size, np.array([mean[ring == r].mean() for r in rings])
