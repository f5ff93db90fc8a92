"""Axial sections of a patient: the complete picture, with the scanner's table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.canvas import Canvas
from ipv2_bench.data.thorax.chest_cavity import paint_chest_cavity, paint_nodules
from ipv2_bench.data.thorax.chest_wall import paint_chest_wall, paint_spine
from ipv2_bench.data.thorax.outlines import ANGLES, outlines
from ipv2_bench.data.thorax.patient import Patient
from ipv2_bench.data.thorax.shapes import Array

# Levels 0 and 1 stay inside the lungs, so that every section shows lung.
_FIRST, _LAST = 0.06, 0.95


@dataclass(frozen=True, eq=False)
class Section:
    """One axial cut.

    ``hu`` is float64 [size, size], noise free, -1000..1000 HU, row 0 in front; ``nodules`` is bool [size, size], true on the
    pixels of lung nodules, all false where the cut meets none.
    """

    hu: Array
    nodules: NDArray[np.bool_]


def draw_section(patient: Patient, level: float, size: int, pixel_mm: float) -> Section:
    """The axial cut of ``patient`` at ``level``.

    Parameters
    ----------
    patient
        From :meth:`Patient.draw`.
    level
        0 (lung apex) to 1 (lung base).
    size
        Rows and columns of the picture, 8..4096.
    pixel_mm
        Side of a pixel in mm, above 0 and at most 20. The picture is centred on the scanner's axis.

    Returns
    -------
    Section
        The same arguments always give the same section.

    Raises
    ------
    ValueError
        ``level``, ``size`` or ``pixel_mm`` is not in its range; the message quotes the value.
    """
    if not 0.0 <= level <= 1.0:
        raise ValueError(f"level must lie in 0..1 (lung apex to base), got {level!r}")
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 8 <= size <= 4096:
        raise ValueError(f"size must be a whole number in 8..4096, got {size!r}")
    if not 0.0 < pixel_mm <= 20.0:
        raise ValueError(f"pixel_mm must be above 0 and at most 20, got {pixel_mm!r}")
    canvas = Canvas(patient, (_FIRST + (_LAST - _FIRST) * level) * patient.height, int(size), float(pixel_mm))
    _paint_table(canvas)
    paint_chest_wall(canvas)
    lungs = paint_chest_cavity(canvas, patient)
    paint_spine(canvas)
    nodules = paint_nodules(canvas, patient.nodules, lungs)
    return Section(canvas.hu, nodules)


def _paint_table(canvas: Canvas) -> None:
    """Paint the scanner's table: a thin shell below the patient, curved up at the sides, over a flatter one."""
    gap, curvature, depth, shell = canvas.body.table
    across, down = canvas.axis[None, :], canvas.axis[:, None]
    skin = outlines(canvas.body, 0.6).skin
    lowest = np.max(-np.cos(ANGLES) * skin + curvature * (np.sin(ANGLES) * skin) ** 2)
    top = canvas.body.shift[1] + lowest + gap
    upper = top - curvature * across**2
    lower = top + depth - 0.2 * curvature * across**2
    inside = np.maximum(upper - down, down - lower)
    inside = np.maximum(inside, np.abs(across) - 212)
    canvas.paint(canvas.cover(inside), shell)
    canvas.paint(canvas.cover(inside + 2.4), -940.0)
