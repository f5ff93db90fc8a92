"""Intervals over seeds, patients and slices: how often they contain the truth, and what they are where too little is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import stdtrit

from ipv2_bench.metrics.base import Scale
from ipv2_bench.metrics.uncertainty import draw_slices, interval, student


def drawn(
    rng: np.random.Generator, seeds: int, patients: int, slices: int, spread: tuple[float, float, float, float]
) -> np.ndarray:
    """Values [seeds, patients·slices] with mean 0 and deviations over seeds, patients, both together, and slices."""
    of_seed, of_patient, of_both, of_slice = spread
    values = (
        of_seed * rng.normal(size=(seeds, 1, 1))
        + of_patient * rng.normal(size=(1, patients, 1))
        + of_both * rng.normal(size=(seeds, patients, 1))
        + of_slice * rng.normal(size=(seeds, patients, slices))
    )
    return values.reshape(seeds, -1)


SPREADS = [(1.0, 1.0, 0.5, 1.0), (0.3, 1.0, 0.3, 2.0), (1.0, 0.3, 0.3, 1.0), (0.0, 1.0, 0.0, 1.0)]


# Seeds and patients of the presets: two and two (virtual scan), one and six (phantom), and of a larger study.
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize(("seeds", "patients", "slices"), [(2, 2, 58), (1, 6, 6), (3, 6, 6), (5, 20, 4)])
def test_the_interval_holds_the_mean_as_often_as_it_says(
    seeds: int, patients: int, slices: int, spread: tuple[float, float, float, float]
) -> None:
    rng = np.random.default_rng(seeds + 10 * patients)
    draws = draw_slices([str(p) for p in range(patients) for _ in range(slices)])
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    if seeds == 1:
        spread = (0.0, *spread[1:])  # it holds for that seed alone, and says so
    trials, hits = 3000, 0
    for _ in range(trials):
        x = drawn(rng, seeds, patients, slices, spread)
        ends = interval(x.mean(1).tolist(), x @ weight.T, draws.sample)
        hits += ends.low <= 0.0 <= ends.high
        assert ends.over_seeds == (seeds > 1)
    assert 0.91 <= hits / trials <= 0.975


SCALES: list[tuple[Scale, Callable[[np.ndarray], np.ndarray]]] = [
    ("log", lambda x: 70.0 * np.exp(x)),  # such as noise in HU
    ("fisher", lambda x: np.tanh(1.2 + x)),  # such as an SSIM of 0.83
]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


@pytest.mark.parametrize(("scale", "measure"), SCALES, ids=["log", "fisher"])
@pytest.mark.parametrize(("seeds", "patients", "slices"), [(2, 2, 58), (1, 6, 6), (3, 6, 6), (5, 20, 4)])
def test_the_interval_of_a_skewed_measure_holds_its_mean_as_often(
    seeds: int, patients: int, slices: int, scale: Scale, measure: Callable[[np.ndarray], np.ndarray]
) -> None:
    rng = np.random.default_rng(seeds + 10 * patients)
    draws = draw_slices([str(p) for p in range(patients) for _ in range(slices)])
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    total = 0.2  # deviation of a slice on the scale: a fifth of the value, more than on any board
    expected = float(measure(total * NODES) @ WEIGHTS / WEIGHTS.sum())
    trials, hits, asymmetric = 4000, 0, 0
    for trial in range(trials):
        spread = SPREADS[trial % len(SPREADS)]
        if seeds == 1:
            spread = (0.0, *spread[1:])
        x = measure(total / np.linalg.norm(spread) * drawn(rng, seeds, patients, slices, spread))
        ends = interval(x.mean(1).tolist(), x @ weight.T, draws.sample, scale=scale)
        hits += ends.low <= expected <= ends.high
        longer, shorter = ends.high - ends.mean, ends.mean - ends.low
        asymmetric += longer > shorter if scale == "log" else longer < shorter
        assert ends.low < ends.mean < ends.high and (ends.low > 0.0 if scale == "log" else abs(ends.high) < 1.0)
    assert 0.92 <= hits / trials <= 0.97
    assert asymmetric == trials


def synthetic(rng: np.random.Generator, scale: Scale) -> np.ndarray:
    """A measure of one to three seeds and eight slices of two patients, spread more widely than on any board."""
    widest = 1.0 if scale == "log" else 0.4
    x = rng.uniform(0.1, widest) * drawn(rng, int(rng.integers(1, 4)), 2, 4, SPREADS[rng.integers(4)])
    return np.exp(x) if scale == "log" else np.tanh(x)


@pytest.mark.parametrize(("scale", "low", "high"), [("log", 0.0, np.inf), ("fisher", -1.0, 1.0)])
def test_no_interval_holds_an_impossible_value(scale: Scale, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    draws = draw_slices(["a"] * 4 + ["b"] * 4)
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    impossible = 0
    for _ in range(300):
        x = synthetic(rng, scale)
        values, replicates = x.mean(1).tolist(), x @ weight.T
        ends = interval(values, replicates, draws.sample, scale=scale)
        assert low < ends.low < ends.mean < ends.high < high or np.isnan(ends.low)
        before = interval(values, replicates, draws.sample)
        assert before.mean == ends.mean
        impossible += before.low <= low or before.high >= high
    assert impossible > 50  # on the identity's scale many would


def test_a_draw_that_the_scale_does_not_have_takes_the_identity() -> None:
    draws = draw_slices([str(p) for p in range(6)])
    contrast = np.array([0.9, 0.5, 0.8, -0.4, 0.7, 0.6])
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    replicates = (weight @ contrast)[None] - 0.4
    assert (replicates < 0).any() and contrast.mean() - 0.4 > 0
    given = ([contrast.mean() - 0.4], replicates, draws.sample)
    assert interval(*given, scale="log") == interval(*given)
    equal_images = ([1.0], np.ones_like(replicates), draws.sample)  # SSIM
    assert np.isnan(interval(*equal_images, scale="fisher").low)


def test_two_seeds_that_differ_more_than_six_patients_are_the_hardest_case() -> None:
    # Two seeds may be alike by chance, and the spread over patients then seems to be all: a little below 90 %.
    rng = np.random.default_rng(3)
    draws = draw_slices([str(p) for p in range(6) for _ in range(6)])
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    values = [drawn(rng, 2, 6, 6, (1.0, 0.3, 0.3, 1.0)) for _ in range(1500)]
    intervals = [interval(x.mean(1).tolist(), x @ weight.T, draws.sample) for x in values]
    assert 0.86 <= np.mean([i.low <= 0.0 <= i.high for i in intervals]) <= 0.92


def test_a_bootstrap_of_slices_alone_would_be_far_too_narrow() -> None:
    rng = np.random.default_rng(0)
    draws = draw_slices([str(i) for i in range(36)])
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    values = [drawn(rng, 2, 6, 6, (1.0, 1.0, 0.5, 1.0)) for _ in range(300)]
    intervals = [interval([v.mean()], v.mean(0)[None] @ weight.T, draws.sample) for v in values]
    assert np.mean([i.low <= 0.0 <= i.high for i in intervals]) < 0.6


def test_patients_are_drawn_with_all_of_their_slices() -> None:
    draws = draw_slices(["a", "a", "a", "b", "b", "c"], replicates=50)
    assert draws.counts.shape == (50, 6) and (draws.units, draws.patients) == (3, 3)
    assert (draws.counts[:, 0] == draws.counts[:, 2]).all() and (draws.counts[:, 3] == draws.counts[:, 4]).all()
    assert (draws.counts[:, [0, 3, 5]].sum(1) == 3).all()
    again, other = (
        draw_slices(["a", "a", "a", "b", "b", "c"], 50),
        draw_slices(["a", "a", "a", "b", "b", "c"], 50, seed=1),
    )
    assert (again.counts == draws.counts).all() and (other.counts != draws.counts).any()


def test_slices_of_a_single_patient_are_drawn_and_say_nothing_about_others() -> None:
    draws = draw_slices(["a"] * 8)
    assert (draws.units, draws.patients) == (8, 1) and (draws.counts.sum(1) == 8).all()
    unknown = draw_slices([""] * 8)
    assert (unknown.units, unknown.patients) == (8, 0) and (unknown.counts == draws.counts).all()
    ends = interval([0.0, 1.0], np.random.default_rng(0).normal(size=(2, 200)), draws.sample)
    assert ends.over_seeds and not ends.over_patients and not ends.tells


def test_a_paired_difference_has_a_narrower_interval_than_its_sides() -> None:
    rng = np.random.default_rng(1)
    draws = draw_slices([str(p) for p in range(6) for _ in range(6)])
    weight = draws.counts / draws.counts.sum(1, keepdims=True)
    base = drawn(rng, 3, 6, 6, (0.1, 3.0, 0.1, 0.2))
    other = base + 0.5 + drawn(rng, 3, 6, 6, (0.1, 0.1, 0.1, 0.1))
    alone = interval(base.mean(1).tolist(), base @ weight.T, draws.sample)
    paired = interval((other - base).mean(1).tolist(), (other - base) @ weight.T, draws.sample)
    assert paired.excludes_zero and paired.mean == pytest.approx(0.5, abs=0.3)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_what_only_one_patient_shows_has_no_interval() -> None:
    draws = draw_slices(["a", "b", "c"])
    only = np.where(draws.counts[:, 0] > 0, 5.0, np.nan)  # a measure that only patient a has
    ends = interval([5.0], only[None], draws.sample)
    assert ends.mean == 5.0 and np.isnan(ends.low) and np.isnan(ends.high) and not ends.excludes_zero


@pytest.mark.parametrize("shown", [2, 3])
def test_what_few_patients_show_has_the_interval_of_few_patients(shown: int) -> None:
    rng = np.random.default_rng(shown)
    patient = [str(p) for p in range(6) for _ in range(4)]
    draws = draw_slices(patient)
    has = np.arange(24) < 4 * shown
    assert draws.units_with(has) == shown
    hits, trials = 0, 1000
    for _ in range(trials):
        x = drawn(rng, 1, 6, 4, (0.0, 1.0, 0.0, 1.0))[0]
        number = draws.counts[:, has].sum(1)
        drawn_means = np.divide(
            draws.counts[:, has] @ x[has], number, out=np.full(len(number), np.nan), where=number > 0
        )
        ends = interval([x[has].mean()], drawn_means[None], draws.sample, draws.units_with(has))
        hits += ends.low <= 0.0 <= ends.high
    assert 0.88 <= hits / trials <= 0.99


def test_shapes_that_do_not_match_are_refused() -> None:
    draws = draw_slices(["a", "b"], replicates=20)
    with pytest.raises(ValueError, match=r"expected \[S\] and \[S, 20\]"):
        interval([1.0, 2.0], np.zeros((1, 20)), draws.sample)
    with pytest.raises(ValueError, match="one slice was measured"):
        interval([1.0], np.zeros((1, 20)), draw_slices(["a"], replicates=20).sample)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_students_quantile_is_scipys(level: float) -> None:
    degrees = [1.0, 1.0001, 1.3, 1.7, 2.0, 2.5, 5.0, 30.0, 1e3, *np.random.default_rng(0).uniform(1.0, 60.0, 200)]
    ours = [student(float(d), level) for d in degrees]
    np.testing.assert_allclose(ours, stdtrit(degrees, 0.5 + level / 2.0), rtol=1e-11)
