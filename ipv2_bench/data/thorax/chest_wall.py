"""The chest wall: skin, fat, muscles, ribs with cartilage, sternum, clavicles, shoulder blades, and the spine."""

from __future__ import annotations

import numpy as np

from ipv2_bench.data.thorax.canvas import CARTILAGE, CORD, CORTEX, FAT, MARROW, MUSCLE, SKIN, Canvas
from ipv2_bench.data.thorax.outlines import growth, spine_y
from ipv2_bench.data.thorax.segments import Knots, tube
from ipv2_bench.data.thorax.shapes import bar, ellipse, smooth_max

_CLAVICLE: Knots = ((20, -60, 0.17, 7.5), (58, -58, 0.10, 6), (104, -36, 0.03, 5.5), (140, -8, -0.04, 6.5))


def paint_chest_wall(canvas: Canvas) -> None:
    """Paint skin, fat, muscles, ribs, shoulder blades, sternum and clavicles; the inside of the cage is painted over later."""
    _paint_soft_tissue(canvas)
    _paint_ribs(canvas)
    _paint_shoulder_blades(canvas)
    _paint_sternum(canvas)
    _paint_clavicles(canvas)


def _paint_soft_tissue(canvas: Canvas) -> None:
    """Paint skin, subcutaneous fat, and muscles with the fat between them."""
    canvas.paint(canvas.cover(canvas.skin), SKIN)
    canvas.paint(canvas.cover(canvas.skin + 1.8), FAT + 7 * canvas.coarse + 4 * canvas.fine)
    flesh = canvas.cover(canvas.flesh)
    canvas.paint(flesh, MUSCLE + 4 * canvas.fine)
    # Fat between the muscles: a broken sheet around the rib cage, septa farther out, the armpits.
    sheet = np.abs(canvas.cage - 15 - 3 * canvas.coarse) - (0.5 + 0.9 * canvas.fine)
    septa = 9 * np.abs(canvas.coarse) - 0.35 - 0.7 * canvas.fine
    deep = 15 * np.exp(-(((canvas.t - 0.22) / 0.13) ** 2))
    armpit = np.hypot(0.8 * (canvas.cage - 26), 75 * (np.abs(canvas.angle) - 1.4)) - deep + 3 * canvas.coarse
    fatty = canvas.cover(np.minimum(np.minimum(sheet, septa), armpit)) * (canvas.cage > 10)
    canvas.paint(flesh * fatty, FAT)


def _paint_sternum(canvas: Canvas) -> None:
    """Paint the sternum, which is broader at the top."""
    t = canvas.t
    fade = min(1.0, max(0.0, (0.86 - t) / 0.05), max(0.0, (t - 0.14) / 0.04))
    if fade <= 0:
        return
    front = -canvas.body.front * growth(t, 0.25) - 8
    wide = 17 + 14 * np.exp(-(((t - 0.17) / 0.06) ** 2))
    box = canvas.box(0, front, wide + 8)
    plate = ellipse(canvas.x[box], canvas.y[box], 0, front, wide * fade, 7 * fade)
    canvas.paint_bone(plate, box, 1.4, 140 + 30 * canvas.fine[box])


def _paint_clavicles(canvas: Canvas) -> None:
    """Paint both clavicles, below the skin."""
    body = canvas.body
    for side in (-1, 1):
        scale = np.array([side * body.half_width / 125, body.front / 77, body.height, 1.0])
        clavicle = tube(_CLAVICLE, scale, 0.0, None)
        below_skin = canvas.cover(canvas.flesh + 3)
        canvas.paint(canvas.rods(clavicle) * below_skin, CORTEX * body.bone)
        canvas.paint(canvas.rods(clavicle.widened(1, -2.0)) * below_skin, MARROW + 80)


def _paint_ribs(canvas: Canvas) -> None:
    """Paint the ribs, which slope down from spine to sternum, so that a section cuts each of them obliquely."""
    body = canvas.body
    near = np.nonzero(np.abs(canvas.cage - 6) < 9)
    angle, out = canvas.angle[near], canvas.cage[near] - 6
    x, y = canvas.x[near], canvas.y[near]
    forward = 1 - np.abs(angle) / np.pi
    phase = np.where(x < 0, *body.rib_phase)
    height = canvas.z - body.rib_drop * forward - phase
    rise = height - body.rib_gap * np.rint(height / body.rib_gap)
    slope = body.rib_drop / (np.pi * np.hypot(x, y))
    thick, tall = 4.4, 6.2
    u, v = out / thick, rise / tall
    norm = np.sqrt(u**2 + v**2)
    distance = norm * (norm - 1) / (np.sqrt((u / thick) ** 2 + (v * slope / tall) ** 2) + 1e-6)
    at_spine = np.abs(x) < 26
    distance = np.where(at_spine, 30.0, distance)
    hard = np.clip((0.84 - forward) / 0.03, 0, 1)  # bone, and cartilage near the sternum
    shell = CARTILAGE + hard * (CORTEX * body.bone - CARTILAGE)
    core = CARTILAGE - 30 + hard * (MARROW + 30 - CARTILAGE)
    values = canvas.hu[near]
    values += canvas.cover(distance) * (shell - values)
    values += canvas.cover(distance + 1.5) * (core - values)
    canvas.hu[near] = values


def _paint_shoulder_blades(canvas: Canvas) -> None:
    """Paint the shoulder blades: a thin plate over the ribs at the back, with its spine at the top, down to half height."""
    t = canvas.t
    length = 0.30 * min(1.0, (0.52 - t) / 0.2)
    if length <= 0:
        return
    for side in (-1, 1):
        centre = side * (2.28 - 0.35 * t)
        turn = canvas.angle - centre
        near = np.nonzero((np.abs(turn) < 0.5) & (canvas.cage > 8) & (canvas.cage < 70))
        out, along = canvas.cage[near], turn[near] * side
        middle = 22 + 14 * along + 26 * np.clip(-along, 0, 1) * max(0.0, 0.3 - t) * 4
        reach = (np.abs(along) - length) * 110
        thick = 2.2 + 2.2 * np.exp(-(((along + length) / 0.08) ** 2))
        plate = np.maximum(np.abs(out - middle) - thick, reach)
        if t < 0.28:
            ridge = np.maximum(np.abs((along + 0.02 + (out - middle) * 0.006) * 100) - 2.6, middle - out)
            plate = np.minimum(plate, np.maximum(ridge, out - middle - 170 * (0.28 - t)))
        plate = np.maximum(plate, canvas.flesh[near] + 4)
        values = canvas.hu[near]
        values += canvas.cover(plate) * (CORTEX * canvas.body.bone * 0.9 - values)
        values += canvas.cover(plate + 1.6) * (MARROW + 60 - values)
        canvas.hu[near] = values


def paint_spine(canvas: Canvas) -> None:
    """Paint a vertebra or a disc, with arch and processes; the arches alternate with the openings between them along z."""
    body, t = canvas.body, canvas.t
    middle = spine_y(body, t)
    box = canvas.box(0, middle + 20, 70)
    x, y = np.abs(canvas.x[box]), canvas.y[box] - middle
    phase = (canvas.z - body.rib_phase[0]) / body.rib_gap
    # 1 in the upper half of a vertebra, where pedicles and ribs join it, and 0 at the disc.
    arch = float(np.clip(0.5 + 0.9 * np.cos(2 * np.pi * phase), 0, 1))
    disc = float(np.clip(-1.6 - 2.6 * np.cos(2 * np.pi * phase), 0, 1))
    wide = 15.5 + 3.5 * t
    vertebra = smooth_max(ellipse(x, y, 0, 0, wide, wide - 1), y - (wide - 3), 4.0)
    processes = bar(x, y, (12, 13), (14, 22), 3.6 * arch)
    processes = np.minimum(processes, bar(x, y, (14, 22), (36, 31), 5.0 * arch))
    processes = np.minimum(processes, bar(x, y, (12, 24), (1, 36), 3.4))
    processes = np.minimum(processes, bar(x, y, (0, 36), (0, 50 + 6 * arch), 3.2))
    processes = np.maximum(processes, canvas.flesh[box] + 4)
    canvas.paint_bone(processes, box, 1.6, MARROW + 60)
    marrow = MARROW * body.bone + 13 * canvas.fine[box]
    canvas.paint(canvas.cover(vertebra), CORTEX * body.bone * 0.75 * (1 - disc) + 95 * disc, box)
    canvas.paint(canvas.cover(vertebra + 1.3), marrow * (1 - disc) + 85 * disc, box)
    canal = ellipse(x, y, 0, wide + 6, 10.5, 8.5)
    canvas.paint(canvas.cover(canal), FAT + 60, box)
    canvas.paint(canvas.cover(canal + 1.6), CORD, box)
