"""Projection, filtered back-projection, dose to noise, and the published dose model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ipv2_bench.physics import closed_form, filters, intensity, projector, published, scanner, seeding
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.gridding import GriddedBeam
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import derive_seed, numpy_generator, torch_generator
from tests.golden.golden import Part, field_defaults, numbers_of_defaults, summary
from tests.golden.inputs import PIXEL_MM, slices

VIEWS = 24

# Photons are few, so that no count depends on the last bits of a float32 line integral.
SCANS = {
    "poisson": Acquisition(photons=400.0, views=VIEWS),
    "gaussian": Acquisition(photons=400.0, views=VIEWS, quantum="gaussian", filter_name="hann", kilovolt=80),
    "inserted": Acquisition(
        photons=4000.0, electronic=2.0, bowtie=1.5, views=VIEWS, filter_name="cosine", dose=0.1, inserted=True
    ),
}


def _values() -> dict[str, Any]:
    normal = torch.from_numpy(slices()[1])
    hu, mm = Window().hu(normal), torch.full((2,), PIXEL_MM)
    numbers: dict[str, Any] = {
        **numbers_of_defaults(field_defaults(Acquisition)),
        "seeds": [derive_seed(3, "noise", 1) % 10**9, numpy_generator(3, "x").integers(10**9)],
        "draws": torch_generator(3, "x").initial_seed() % 10**9,
    }
    integrals = scanner.line_integrals(hu, mm, SCANS["poisson"])
    numbers["line integrals"] = summary(integrals)
    for size in (63, 64):
        beam = projector.ParallelBeam(size, VIEWS)
        sinogram = beam.project(normal[:, :size, :size])
        numbers[f"projection {size}"] = summary(sinogram)
        row, column, phase = beam._lines
        gridded = GriddedBeam(size, row, column, phase, beam._weights, torch.device("cpu"))
        numbers[f"projection {size}, gridded"] = summary(gridded.project(normal[:, :size, :size]))
        response = torch.from_numpy(filters.ramp_response(2 * beam.detectors, "cosine")).float()
        numbers[f"back-projection {size}, gridded"] = summary(gridded.backproject(sinogram, response))
        for name in filters.FILTERS:
            numbers[f"back-projection {size}, {name}"] = summary(beam.backproject(sinogram, name))
    for name, scan in SCANS.items():
        generators = [torch_generator("golden", i) for i in range(2)]
        numbers[f"noise, {name}"] = summary(scanner.scan_noise(hu, mm, scan, generators))
    frequency = np.linspace(0.02, 0.48, 5)
    for name in filters.FILTERS:
        numbers[f"noise power, {name}"] = closed_form.noise_power(frequency, VIEWS, name)
        numbers[f"noise variance, {name}"] = closed_form.noise_variance(VIEWS, name)
    return numbers


def _published() -> dict[str, Any]:
    path = torch.linspace(0.0, 12.0, 64)
    unit = torch.from_numpy(slices()[1][:, ::2, ::2].copy())
    return {
        "counts": published.published_counts(path, torch_generator("golden")),
        "slices": summary(published.published_low_dose(unit, [torch_generator("golden", i) for i in range(2)])),
    }


def _conversions() -> dict[str, Any]:
    hu = torch.linspace(-1100.0, 500.0, 9, dtype=torch.float64)
    unit, window = torch.linspace(-0.1, 1.1, 9, dtype=torch.float64), Window()
    return {
        **numbers_of_defaults(field_defaults(Window)),
        "unit": window.unit(hu),
        "HU": window.hu(unit),
        "network": intensity.to_network(unit),
        "from network": intensity.from_network(hu),
        "8 bit": intensity.to_8bit(unit.numpy()),
        "from 8 bit": intensity.from_8bit(np.arange(0, 256, 51, dtype=np.uint8)),
        "16 bit": intensity.to_16bit(unit.numpy()),
        "from 16 bit": intensity.from_16bit(np.arange(0, 65536, 13107, dtype=np.uint16)),
        "attenuation": intensity.attenuation(hu, 0.0193),
        "HU of attenuation": intensity.hounsfield(torch.linspace(0.0, 0.04, 5, dtype=torch.float64), 0.0193),
        "water": list(intensity.MU_WATER_PER_MM.values()),
    }


def _filter_response(monkeypatch: pytest.MonkeyPatch) -> None:
    original = projector.ramp_response
    monkeypatch.setattr(projector, "ramp_response", lambda *given: 1.001 * original(*given))


def _filter_window(monkeypatch: pytest.MonkeyPatch) -> None:
    original = filters.filter_window
    monkeypatch.setattr(filters, "filter_window", lambda nu, name: original(1.001 * nu, name))


def _attenuation(monkeypatch: pytest.MonkeyPatch) -> None:
    original = scanner.attenuation
    monkeypatch.setattr(scanner, "attenuation", lambda hu, mu_water: 1.001 * original(hu, mu_water))


def _sinogram_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    original = scanner.sinogram_noise
    monkeypatch.setattr(scanner, "sinogram_noise", lambda *given: 1.001 * original(*given))


def _bowtie(monkeypatch: pytest.MonkeyPatch) -> None:
    original = scanner.incident_photons
    monkeypatch.setattr(scanner, "incident_photons", lambda scan, at, mm: original(scan, 1.001 * at, 1.001 * mm))


def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "derive_seed", lambda *key: derive_seed(*key) ^ 1)


def _flux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "FLUX", 1.001 * published.FLUX)


def _water(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(intensity.MU_WATER_PER_MM, 80, 1.001 * intensity.MU_WATER_PER_MM[80])


def _window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "width", property(lambda self: 1.001 * (self.high - self.low)))


PARTS = [
    Part(
        "physics",
        "ipv2_bench.physics.VERSION",
        _values,
        {
            "filter response": _filter_response,
            "filter window": _filter_window,
            "attenuation": _attenuation,
            "noise of the sinogram": _sinogram_noise,
            "bow-tie": _bowtie,
            "seed": _seed,
        },
    ),
    # 8-bit steps of the published slices: a rounding error may move some pixels by one step.
    Part("physics_published", "ipv2_bench.physics.VERSION", _published, {"flux": _flux}, rtol=2e-4),
    Part(
        "physics_conversions",
        "ipv2_bench.physics.VERSION",
        _conversions,
        {"attenuation of water": _water, "width of the window": _window},
        rtol=1e-7,
    ),
]
