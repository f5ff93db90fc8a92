"""Every conversion of intensity, there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipv2_bench.physics.intensity import (
    MU_WATER_PER_MM,
    Window,
    at_kilovolt,
    attenuation,
    from_8bit,
    from_network,
    hounsfield,
    to_8bit,
    to_network,
)


@pytest.mark.parametrize("window", [Window(), Window(-160.0, 240.0)])
def test_window_round_trip(window: Window) -> None:
    hu = torch.linspace(window.low, window.high, 101)
    torch.testing.assert_close(window.hu(window.unit(hu)), hu, rtol=0, atol=1e-3)
    unit = np.linspace(0, 1, 101)
    np.testing.assert_allclose(window.unit(window.hu(unit)), unit, atol=1e-12)


def test_window_ends_and_clipping() -> None:
    window = Window(-1000.0, 400.0)
    assert window.width == 1400.0
    np.testing.assert_allclose(window.unit(np.array([-3000.0, -1000.0, -300.0, 400.0, 3000.0])), [0, 0, 0.5, 1, 1])
    assert window.hu(np.array([-0.5]))[0] == -1700.0  # nothing is clipped on the way back
    assert window.unit(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("low,high", [(5.0, 5.0), (10.0, -10.0), (float("nan"), 1.0)])
def test_empty_windows_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"HU window \["):
        Window(low, high)


def test_network_range_round_trip() -> None:
    unit = torch.linspace(0, 1, 33, dtype=torch.float64)
    assert to_network(unit)[[0, 16, -1]].tolist() == [-1.0, 0.0, 1.0]
    torch.testing.assert_close(from_network(to_network(unit)), unit, rtol=0, atol=1e-15)
    x = torch.linspace(-1, 1, 33, dtype=torch.float64)
    torch.testing.assert_close(to_network(from_network(x)), x, rtol=0, atol=1e-15)


def test_8bit_round_trip_and_rounding() -> None:
    grays = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_8bit(from_8bit(grays)), grays)
    assert from_8bit(grays).dtype == np.float32 and from_8bit(grays)[[0, -1]].tolist() == [0.0, 1.0]
    rounded = to_8bit(np.array([-1.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 7.0]))
    np.testing.assert_array_equal(rounded, [0, 0, 1, 255, 255])
    unit = np.random.default_rng(0).random(1000)
    assert np.abs(from_8bit(to_8bit(unit)) - unit).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("kilovolt", MU_WATER_PER_MM)
def test_attenuation_round_trip(kilovolt: int) -> None:
    mu = MU_WATER_PER_MM[kilovolt]
    hu = torch.linspace(-1000, 3000, 81, dtype=torch.float64)
    torch.testing.assert_close(hounsfield(attenuation(hu, mu), mu), hu, rtol=0, atol=1e-9)
    assert attenuation(torch.tensor([-1000.0, 0.0]), mu).tolist() == pytest.approx([0.0, mu])


def test_nothing_absorbs_less_than_air() -> None:
    assert attenuation(torch.tensor([-1024.0, -5000.0]), 0.02).tolist() == [0.0, 0.0]


def test_a_lower_voltage_shows_bone_brighter_and_nothing_else() -> None:
    hu = np.array([-1000.0, -850.0, -100.0, 0.0, 60.0, 100.0, 851.0, 1602.0])
    low = at_kilovolt(hu, 80)
    np.testing.assert_array_equal(low[:6], hu[:6])
    # Cortical bone as the attenuation tables give it, 0.8145/cm against water's 0.2269/cm at 50 keV, and half of it.
    assert low[-1] == pytest.approx((0.8145 / 0.2269 - 1) * 1000, abs=1.0)
    assert low[-2] == pytest.approx((low[-1] + 100) / 2)
    np.testing.assert_array_equal(at_kilovolt(hu, 120), hu)
