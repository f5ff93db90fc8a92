"""Labels of the test slices, and the numbers of a row: measures, intervals and draws."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ipv2_bench.benchmark.cells import labels
from ipv2_bench.benchmark.rows import make
from ipv2_bench.metrics.catalogue import Catalogue, catalogue
from ipv2_bench.metrics.image_set import Measurements, Measuring
from ipv2_bench.metrics.uncertainty import draw_slices
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.strategies.purified import Purified
from tests.golden.chests import PIXEL_MM, SLICES, chests
from tests.golden.golden import Part, summary
from tests.golden.parts.training import SPLIT, slice_set

MEASURES = Catalogue({k: m for k, m in catalogue().measures.items() if k in ("region_noise", "nodules", "randconv")})


def _labels() -> dict[str, Any]:
    """The NDCT, and labels of strategies without module 3, which need no trained denoiser."""
    with slice_set() as slices:
        prepared: Any = SimpleNamespace(slices=slices, split=SPLIT)
        strategies = {name: Strategy.from_name(name) for name in ("IPv1", "IPv1+1")}
        return {
            "NDCT": summary(labels._label(prepared, None, None)),
            **{name: summary(labels._label(prepared, strategy, None)) for name, strategy in strategies.items()},
        }


def _rows() -> dict[str, Any]:
    """A row of denoised images, with nodules in some slices only."""
    measuring = Measuring(MEASURES, chests().slice_truths(), chests().normal[:2])
    images: Measurements = measuring.measure(chests().denoised, PIXEL_MM)
    reference = measuring.measure(chests().normal, PIXEL_MM)
    draws = draw_slices([str(i // 2) for i in range(SLICES)], 30)
    row = make.measure_row(images, reference, draws)
    return {
        **row.measures,
        **{f"{name}, interval": ends for name, ends in row.intervals.items()},
        **{f"{name}, units": number for name, number in row.n_units.items()},
        **{f"{name}, draws": summary(values[np.isfinite(values)]) for name, values in row.replicates.items()},
    }


def _label(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Purified.test_label
    monkeypatch.setattr(Purified, "test_label", lambda self, *given, **named: 0.999 * original(self, *given, **named))


def _distances(monkeypatch: pytest.MonkeyPatch) -> None:
    original = make.distances
    monkeypatch.setattr(make, "distances", lambda *given: {k: 1.001 * v for k, v in original(*given).items()})


def _draws(monkeypatch: pytest.MonkeyPatch) -> None:
    original = make.distance_replicates
    monkeypatch.setattr(
        make, "distance_replicates", lambda *given: {k: 1.001 * v for k, v in original(*given).items()}
    )


PARTS = [
    Part(
        "labels",
        "ipv2_bench.benchmark.cells.labels.VERSION",
        _labels,
        {"label": _label},
        ("ipv2_bench.purification.VERSION",),
    ),
    Part(
        "rows",
        "ipv2_bench.benchmark.rows.make.VERSION",
        _rows,
        {"distances": _distances, "draws": _draws},
        (
            "ipv2_bench.metrics.VERSION",
            *(f"{type(m).__module__}.{type(m).__qualname__}.version" for m in MEASURES.measures.values()),
        ),
    ),
]
