"""Outlines of rib cage, flesh and skin at a height of the chest, as radii over the angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.body import Body

ANGLES = np.linspace(-np.pi, np.pi, 721)
"""Angles of the outlines: 0 in front, positive to the patient's left."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """Radii in mm over :data:`ANGLES`, each outline inside the next."""

    cage: NDArray[np.float64]
    flesh: NDArray[np.float64]
    skin: NDArray[np.float64]


def outlines(body: Body, t: float) -> Outlines:
    """Outlines of rib cage, flesh and skin at ``t``."""
    turn = np.abs(ANGLES)

    def bump(centre: float, width: float) -> NDArray[np.float64]:
        return np.exp(-(((turn - centre) / width) ** 2))

    waves = np.arange(1, 6)[:, None] * ANGLES
    wobble = 1 + body.wobble[0] @ np.cos(waves) + body.wobble[1] @ np.sin(waves)
    cage = wobble * _oval(
        body.half_width * growth(t, 0.06),
        body.front * growth(t, 0.25),
        body.back * growth(t, 0.62),
        2.15,
    )
    upper = 1 / (1 + np.exp((t - 0.42) / 0.07))
    girdle = 27 * bump(2.2, 0.5) + 13 * bump(0.6, 0.4) + 10 * bump(1.5, 0.4)
    muscle = 17 + 15 * bump(2.75, 0.3) - 5 * bump(0, 0.2) + upper * girdle
    fat = body.fat * (0.75 + 0.5 * bump(1.5, 0.6) + 0.35 * bump(0.5, 0.5) - 0.1 * bump(np.pi, 0.3))
    shoulder = 1 - 0.16 * np.exp(-((t / 0.16) ** 2))
    trunk = wobble * _oval(
        (body.half_width + 24) * shoulder,
        (body.front + 10) * (0.62 + 0.38 * growth(t, 0)),
        body.back + 24,
        2.3,
    )
    inner = cage + 6 + (muscle - 6) * body.muscle
    flesh = _smooth_maximum(inner, trunk, 8.0)
    breast = body.breast * np.exp(-(((t - 0.56) / 0.17) ** 2)) * bump(0.72, 0.3)
    return Outlines(cage, flesh, flesh + fat + breast + 1.8)


def growth(t: float, least: float) -> float:
    """Size of the rib cage at ``t`` as a share of its largest, from ``least`` above the apex to 1."""
    top = (1 - (1 - min(max(t, 0.0) / 0.55, 1.0)) ** 2.3) ** 0.62
    return float(least + (1 - least) * top)


def spine_y(body: Body, t: float) -> float:
    """``y`` of the middle of the vertebral bodies at ``t``."""
    return body.back * (0.48 + 0.16 * growth(t, 0.0))


def _oval(half_width: float, front: float, back: float, power: float) -> NDArray[np.float64]:
    """Radius over :data:`ANGLES` of an oval that is blunter behind than in front."""
    across, ahead = np.abs(np.sin(ANGLES)), np.cos(ANGLES)
    power_at = power + 0.5 * np.clip(-ahead, 0, 1)
    depth = np.where(ahead > 0, front, back)
    return ((across / half_width) ** power_at + (np.abs(ahead) / depth) ** power_at) ** (-1 / power_at)


def _smooth_maximum(a: NDArray[np.float64], b: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """The larger of two profiles, rounded where they cross."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + width**2)) - 0.5 * width
