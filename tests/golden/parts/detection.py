"""What model observers find: nodules that are put in, scores, detectability and its interval over patients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ipv2_bench.benchmark.tasks.study import detection
from ipv2_bench.metrics.signals import draw_signals, put_in
from ipv2_bench.physics.intensity import Window
from tests.golden.chests import SIZE, SLICES, chests
from tests.golden.golden import Part, summary

PIXEL_MM = 2.0
SIDE = 2 * round(detection.REGION_MM / 2 / PIXEL_MM) + 1


def _found() -> dict[str, Any]:
    """Solid nodules in noisy slices of four patients."""
    window, truths = Window(), Window().hu(chests().truth).astype(np.float64)
    signals = tuple(
        tuple(draw_signals(hu, window, PIXEL_MM, "solid", np.random.default_rng(i))) for i, hu in enumerate(truths)
    )
    noise = np.random.default_rng(3).standard_normal((2, SLICES, SIZE, SIZE))
    absent, present = truths, np.stack([put_in(hu, PIXEL_MM, own) for hu, own in zip(truths, signals, strict=True)])
    task = detection.Task("solid", signals, (detection.Reading(absent, present),), SIDE)
    patients = [str(i // 2) for i in range(SLICES)]
    line = detection._found(task, patients, [absent + 800.0 * noise[0]], [present + 800.0 * noise[1]])
    return {"put in": summary(present - absent), **{k: v for k, v in line.items() if v is not None and np.isfinite(v)}}


def _scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    original = detection.detectability

    def scaled(scores: Any) -> Any:
        found = original(scores)
        return replace(found, d_prime=1.001 * found.d_prime)

    monkeypatch.setattr(detection, "detectability", scaled)


PARTS = [
    Part(
        "detection",
        "ipv2_bench.benchmark.tasks.study.detection.VERSION",
        _found,
        {"detectability": _scaled},
        ("ipv2_bench.metrics.VERSION", "ipv2_bench.physics.VERSION"),
    ),
]
