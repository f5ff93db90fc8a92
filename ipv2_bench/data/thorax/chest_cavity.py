"""The chest cavity: lungs with vessels and airways, mediastinum, heart, the organs below the diaphragm, and nodules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ipv2_bench.data.thorax.canvas import AIR, BLOOD, FAT, LIVER, MUSCLE, SPLEEN, Box, Canvas
from ipv2_bench.data.thorax.mediastinum import fissures, mediastinum
from ipv2_bench.data.thorax.patient import Patient
from ipv2_bench.data.thorax.segments import Segments
from ipv2_bench.data.thorax.shapes import Array, smooth_max


def paint_chest_cavity(canvas: Canvas, patient: Patient) -> Array:
    """Paint everything inside the rib cage but the nodules.

    Returns
    -------
    Array
        Share of each pixel inside the lungs, float64 [size, size].
    """
    box = canvas.box(0, 0, 150)
    x, y, inner = canvas.x[box], canvas.y[box], canvas.cage[box]
    middle = mediastinum(patient, x, y, canvas.z, inner)
    cavity = canvas.cover(inner)
    canvas.paint(cavity, FAT + 8 + 10 * canvas.fine[box], box)
    lungs = canvas.cover(smooth_max(inner, -middle.all, 9.0))
    slope = 0.22 * y
    parenchyma = patient.lung_hu + slope + 9 * canvas.coarse[box] + 11 * canvas.fine[box]
    fissure = canvas.cover(np.abs(fissures(patient, x, y, canvas.t)) - 0.35)
    canvas.paint(lungs, parenchyma + 110 * fissure, box)
    canvas.paint(canvas.rods(patient.vessels)[box] * cavity, BLOOD, box)
    _paint_airways(canvas, patient.bronchi)
    canvas.paint(canvas.cover(middle.heart) * cavity, BLOOD + 3 + 3 * canvas.coarse[box], box)
    canvas.paint(canvas.cover(middle.right_dome) * cavity, LIVER + 4 * canvas.coarse[box], box)
    _paint_left_dome(canvas, x, y, box, middle.left_dome, cavity)
    for vessel in patient.tubes.values():
        canvas.paint(canvas.rods(vessel), BLOOD)
    canvas.paint(canvas.rods(patient.oesophagus), MUSCLE - 14)
    canvas.paint(canvas.rods(patient.oesophagus.widened(0.28, -0.5)), -350.0 + 120 * canvas.coarse)
    _paint_airways(canvas, Segments.join(list(patient.airways.values())))
    share = np.zeros_like(canvas.hu)
    share[box] = lungs
    return share


def _paint_airways(canvas: Canvas, airways: Segments) -> None:
    """Paint air in a wall."""
    canvas.paint(canvas.rods(airways.widened(1.06, 0.6)), BLOOD - 20)
    canvas.paint(canvas.rods(airways), AIR + 8)


def _paint_left_dome(canvas: Canvas, x: Array, y: Array, box: Box, dome: Array, cavity: Array) -> None:
    """Paint the stomach with its gas bubble, and the spleen, in fat, below the left diaphragm."""
    if dome.min() > canvas.pixel:
        return
    inside = canvas.cover(dome) * cavity
    canvas.paint(inside, MUSCLE, box)
    inside = canvas.cover(dome + 2.5) * cavity
    canvas.paint(inside, FAT, box)
    border = y - 22 - 0.35 * (70 - x) - 3 * canvas.coarse[box]
    spleen = smooth_max(dome + 4, 4 - border, 14.0)
    canvas.paint(canvas.cover(spleen) * cavity, SPLEEN, box)
    stomach = smooth_max(dome + 6, border + 4, 22.0)
    canvas.paint(canvas.cover(stomach) * cavity, MUSCLE - 6, box)
    gas = np.maximum(stomach + 4, y + 12)
    canvas.paint(canvas.cover(gas) * cavity, AIR + 40, box)


def paint_nodules(canvas: Canvas, nodules: NDArray[np.float64], lungs: Array) -> NDArray[np.bool_]:
    """Paint the nodules [n, 5] of a patient inside the share ``lungs`` of the pixels.

    Returns
    -------
    NDArray
        Whether at least half of a pixel is nodule, bool [size, size].
    """
    is_nodule = np.zeros(canvas.hu.shape, bool)
    for x, y, z, radius, density in nodules:
        if abs(z - canvas.z) >= radius:
            continue
        box = canvas.box(x, y, radius + canvas.pixel)
        across = (canvas.x[box] - x) ** 2 + (canvas.y[box] - y) ** 2
        share = canvas.cover(np.sqrt(across + (z - canvas.z) ** 2) - radius)
        share *= lungs[box]
        # Vessels stay visible inside ground glass: it adds to the lung and never thins denser tissue.
        canvas.paint(share, np.maximum(canvas.hu[box], density), box)
        is_nodule[box] |= share >= 0.5
    return is_nodule
