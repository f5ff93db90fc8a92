"""A digital chest phantom: noise-free axial CT sections of patients that never existed.

A :class:`Patient` is a solid: every structure is a function of the three coordinates, so that
:func:`draw_section` may cut it at any level, on any grid, and neighbouring cuts agree. Coordinates are in mm
around the middle of the chest: ``x`` grows to the patient's left (right in the picture), ``y`` to the back
(down in the picture), ``z`` from the lung apex to the base. ``t`` is ``z`` over the height of the lungs.

Edges are soft signed distances about one pixel wide: they behave as the partial-volume average of a scanner
and cost a fraction of rendering on a finer grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.float32]

AIR, FAT, MUSCLE, BLOOD, SKIN = -1000.0, -100.0, 52.0, 42.0, 30.0
CARTILAGE, CORTEX, MARROW, LIVER, SPLEEN, CORD = 120.0, 720.0, 190.0, 58.0, 48.0, 28.0

# Levels 0 and 1 stay inside the lungs, so that every section has some.
_FIRST, _LAST = 0.06, 0.95
_LATTICE = 32
_ANGLES = np.linspace(-np.pi, np.pi, 721)

# Knots (x mm, y mm, t, radius mm) of the great vessels and airways of an average adult.
_TUBES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "aorta": ((4, -22, 0.56, 15), (-14, -30, 0.46, 16), (-15, -29, 0.36, 15), (-7, -18, 0.285, 14),
              (9, 2, 0.265, 13), (21, 24, 0.30, 12.5), (25, 36, 0.40, 12), (22, 38, 0.70, 11),
              (12, 36, 1.1, 10)),
    "brachiocephalic": ((-6, -20, 0.28, 7), (-15, -18, 0.15, 6), (-26, -12, -0.05, 5)),
    "carotid": ((3, -10, 0.28, 5), (13, -14, 0.15, 4), (18, -12, -0.05, 4)),
    "subclavian": ((13, 6, 0.28, 6), (24, 0, 0.15, 5), (32, -8, -0.05, 5)),
    "cava": ((-27, -24, 0.08, 8), (-28, -26, 0.22, 9), (-27, -22, 0.40, 10), (-28, -10, 0.56, 12)),
    "innominate": ((22, -24, 0.04, 7), (12, -36, 0.17, 6), (-24, -29, 0.225, 7)),
    "left_pulmonary": ((10, -42, 0.53, 14), (18, -32, 0.45, 14), (30, -8, 0.405, 12), (46, 6, 0.43, 9)),
    "right_pulmonary": ((18, -26, 0.44, 12), (2, -12, 0.435, 11), (-24, -6, 0.445, 10), (-46, 0, 0.47, 8)),
    "left_veins": ((6, 8, 0.53, 10), (46, 6, 0.52, 6)),
    "right_veins": ((-2, 8, 0.54, 10), (-42, -2, 0.53, 6)),
    "azygos": ((-4, 36, 1.1, 3.5), (-6, 33, 0.40, 4), (-20, 18, 0.335, 4), (-27, -16, 0.33, 4)),
    "inferior_cava": ((-24, -2, 0.75, 12), (-24, 4, 1.1, 12)),
}  # fmt: skip
_AIRWAYS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "trachea": ((0, -4, -0.1, 8.5), (1, 2, 0.15, 8.5), (-1, 8, 0.355, 8.5)),
    "right_bronchus": ((-2, 8, 0.355, 7), (-18, 10, 0.40, 7), (-40, 8, 0.46, 6)),
    "left_bronchus": ((0, 8, 0.355, 6.5), (18, 11, 0.41, 6.5), (42, 13, 0.475, 5.5)),
}
_OESOPHAGUS = ((5, 17, -0.1, 6.5), (6, 23, 0.35, 6.5), (7, 25, 0.70, 7.5), (16, 14, 1.1, 8))
# Vessels that press their outline into the lungs; the others run inside the mediastinum.
_BORDER = ("aorta", "cava", "left_pulmonary", "right_pulmonary", "subclavian", "brachiocephalic",
           "innominate")  # fmt: skip
# Ellipsoids (x, y, t, half axes x y z in mm, angle in degrees) of the heart's chambers.
_HEART = (
    (36.0, -20.0, 0.72, 44.0, 31.0, 48.0, 38.0),
    (6.0, -38.0, 0.68, 42.0, 25.0, 46.0, 20.0),
    (-17.0, -14.0, 0.66, 25.0, 27.0, 38.0, 0.0),
    (5.0, 8.0, 0.575, 33.0, 18.0, 26.0, 0.0),
)


@dataclass(frozen=True, eq=False)
class Segments:
    """Tapering round rods in space: ends float64 [n, 3] and the radii there float64 [n], all in mm."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius_start: NDArray[np.float64]
    radius_end: NDArray[np.float64]

    def near(self, z: float, margin: float) -> Segments:
        """The rods that come within ``margin`` mm of the plane ``z``."""
        radius = np.maximum(self.radius_start, self.radius_end) + margin
        low = np.minimum(self.start[:, 2], self.end[:, 2]) - radius
        high = np.maximum(self.start[:, 2], self.end[:, 2]) + radius
        return self.take(np.flatnonzero((low < z) & (high > z)))

    def take(self, index: NDArray[np.intp]) -> Segments:
        """The rods of ``index``, in its order; an index may come more than once."""
        return Segments(self.start[index], self.end[index], self.radius_start[index], self.radius_end[index])

    def widened(self, factor: float, extra: float) -> Segments:
        """The same rods with every radius times ``factor`` plus ``extra`` mm."""
        return replace(
            self, radius_start=self.radius_start * factor + extra, radius_end=self.radius_end * factor + extra
        )

    @classmethod
    def join(cls, parts: list[Segments]) -> Segments:
        """All rods of ``parts`` in one."""
        fields = ("start", "end", "radius_start", "radius_end")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


@dataclass(frozen=True, eq=False)
class Patient:
    """All that is random about one patient, fixed once by :meth:`draw`.

    Lengths in mm, densities in HU, angles in radians.
    """

    height: float
    """Lung apex to base, 205..255."""
    half_width: float
    """Inner half width of the rib cage, 112..138."""
    front: float
    """Inner depth of the rib cage before the origin, 68..86."""
    back: float
    """Inner depth of the rib cage behind the origin, 75..88."""
    fat: float
    """Typical thickness of the subcutaneous fat, 4..30."""
    muscle: float
    """Size of the muscles over the average, 0.75..1.3."""
    breast: float
    """Height of the breasts over the chest wall, 0..26."""
    heart: float
    """Size of the heart over the average, 0.9..1.12."""
    shift: tuple[float, float]
    """Where the patient's origin lies in the picture, x and y."""
    roll: float
    """Turn about the long axis, -0.09..0.09."""
    lung_hu: float
    """Mean of the parenchyma, -860..-825."""
    bone: float
    """Bone density over the average, 0.8..1.15."""
    domes: tuple[float, float]
    """``t`` of the top of the right and of the left diaphragm."""
    rib_phase: tuple[float, float]
    """Height of a right and of a left rib at the spine."""
    rib_drop: float
    """How far a rib falls from the spine to the sternum, 115..140."""
    rib_gap: float
    """Height from one rib to the next, 21..25; also that of the vertebrae."""
    wobble: NDArray[np.float64]
    """Relative departure of the outlines from symmetry, cosine and sine parts, [2, 5]."""
    table: tuple[float, float, float, float]
    """Gap below the patient, curvature in 1/mm, depth, HU of the shell."""
    texture: Array
    """White noise on a lattice that repeats, float32 [32, 32, 32], mean 0 and variance 1."""
    vessels: Segments
    """Arteries and veins inside the lungs."""
    bronchi: Segments
    """Airways inside the lungs."""
    tubes: dict[str, Segments]
    """Great vessels by name."""
    airways: Segments
    """Trachea and main bronchi."""
    oesophagus: Segments
    nodules: NDArray[np.float64]
    """``x, y, z``, radius (1.5..5 mm) and HU (solid 10..50, ground glass -660..-540) in a row, [n, 5]."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Patient:
        """Draw a patient; takes all its random numbers from ``rng`` and about 0.3 s. Raises nothing."""
        build = rng.normal()
        half_width = float(np.clip(126 + 5 * build + rng.normal(0, 4), 112, 138))
        back = float(np.clip(81 + 2 * build + rng.normal(0, 2), 75, 88))
        fat = float(np.clip(13 + 5 * build + rng.normal(0, 4), 4, 30))
        height = float(rng.uniform(205, 255))
        gap = float(rng.uniform(21, 25))
        phase = float(rng.uniform(0, gap))
        scale = np.array([half_width / 125, back / 82, height, 1.0])
        tubes = {name: _tube(knots, scale, 2.0, rng) for name, knots in _TUBES.items()}
        airways = {name: _tube(knots, scale, 0.7, rng) for name, knots in _AIRWAYS.items()}
        bare = cls(
            height=height,
            half_width=half_width,
            front=float(np.clip(77 + 2 * build + rng.normal(0, 3), 68, 86)),
            back=back,
            fat=fat,
            muscle=float(rng.uniform(0.75, 1.3)),
            breast=float(max(0.0, rng.uniform(-22, 26))),
            heart=float(rng.uniform(0.9, 1.12)),
            shift=(float(rng.uniform(-9, 9)), float(rng.uniform(-14, 4))),
            roll=float(rng.uniform(-0.09, 0.09)),
            lung_hu=float(rng.uniform(-860, -825)),
            bone=float(rng.uniform(0.8, 1.15)),
            domes=(float(rng.uniform(0.76, 0.84)), float(rng.uniform(0.82, 0.9))),
            rib_phase=(phase, phase + float(rng.uniform(-4, 4))),
            rib_drop=float(rng.uniform(115, 140)),
            rib_gap=gap,
            wobble=rng.normal(0, 0.012, (2, 5)) / np.arange(1, 6),
            table=(
                float(rng.uniform(0, 5)),
                float(rng.uniform(5e-4, 9e-4)),
                float(rng.uniform(24, 34)),
                float(rng.uniform(-80, 80)),
            ),
            texture=rng.standard_normal((_LATTICE,) * 3).astype(np.float32),
            vessels=_NOTHING,
            bronchi=_NOTHING,
            tubes=tubes,
            airways=Segments.join(list(airways.values())),
            oesophagus=_tube(_OESOPHAGUS, scale, 2.0, rng),
            nodules=np.zeros((0, 5)),
        )
        return _fill_lungs(bare, airways, rng)


@dataclass(frozen=True, eq=False)
class Section:
    """One axial cut.

    ``hu`` is float32 [size, size], noise free, -1000..1000 HU, row 0 in front; ``nodules`` is bool
    [size, size], true on the pixels of lung nodules, all false where the cut meets none.
    """

    hu: Array
    nodules: NDArray[np.bool_]


def draw_section(patient: Patient, level: float, size: int, pixel_mm: float) -> Section:
    """Cut ``patient`` at ``level``.

    Parameters
    ----------
    patient
        From :meth:`Patient.draw`.
    level
        0 (lung apex) to 1 (lung base).
    size
        Rows and columns of the picture, 8..4096.
    pixel_mm
        Edge of a pixel, above 0 and at most 20. The picture is centred on the scanner's axis.

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
    view = _View(patient, (_FIRST + (_LAST - _FIRST) * level) * patient.height, int(size), float(pixel_mm))
    view.table()
    view.chest_wall()
    view.chest_contents()
    view.spine()
    nodules = view.nodules()
    return Section(view.hu, nodules)


class _View:
    """A section being painted, from the outside in: what is painted later covers what was there."""

    def __init__(self, patient: Patient, z: float, size: int, pixel: float) -> None:
        self.patient, self.z, self.size, self.pixel = patient, z, size, pixel
        self.t = z / patient.height
        axis = ((np.arange(size) + 0.5 - size / 2) * pixel).astype(np.float32)
        self.axis = axis
        across, down = (
            axis[None, :] - np.float32(patient.shift[0]),
            axis[:, None] - np.float32(patient.shift[1]),
        )
        cos, sin = np.float32(np.cos(patient.roll)), np.float32(np.sin(patient.roll))
        self.x, self.y = across * cos + down * sin, down * cos - across * sin
        self.hu: Array = np.full((size, size), AIR, np.float32)
        radius = np.hypot(self.x, self.y)
        angle = np.arctan2(self.x, -self.y)
        outlines = _outlines(patient, self.t)
        # Distances along the ray overstate those across a slanting wall by the cosine of the slant.
        slant = np.cos(np.arctan(np.gradient(outlines.cage, _ANGLES) / outlines.cage))
        position = (angle + np.float32(np.pi)) * np.float32((_ANGLES.size - 1) / (2 * np.pi))
        index = np.minimum(position.astype(np.int32), _ANGLES.size - 2)
        part = position - index
        self.angle = angle

        def along(profile: NDArray[np.float64]) -> Array:
            values = profile.astype(np.float32)
            return values[index] + part * np.diff(values)[index]

        straight = along(slant)
        self.cage, self.flesh, self.skin = (
            (radius - along(profile)) * straight for profile in (outlines.cage, outlines.flesh, outlines.skin)
        )
        self.coarse = self._texture(9.0)
        self.fine = self._texture(3.2)

    def _texture(self, step: float) -> Array:
        """Smooth noise [size, size], variance about 1: the patient's lattice at ``step`` mm."""

        def weights(position: NDArray[np.float32]) -> Array:
            # Quadratic B-splines: smooth, and three knots to a sample.
            base = np.rint(position).astype(int)
            rest = position - base
            matrix = np.zeros((position.size, _LATTICE), np.float32)
            rows = np.arange(position.size)
            parts = (0.5 * (0.5 - rest) ** 2, 0.75 - rest**2, 0.5 * (0.5 + rest) ** 2)
            for offset, part in zip((-1, 0, 1), parts, strict=True):
                matrix[rows, (base + offset) % _LATTICE] = part
            return matrix

        depth = weights(np.array([self.z / step + 7.3], np.float32))[0]
        plane = np.tensordot(depth, self.patient.texture, axes=1)
        knots = weights(self.axis / np.float32(step))
        return np.asarray((knots @ plane @ knots.T) * np.float32(2.45), np.float32)

    def cover(self, distance: Array) -> Array:
        """Share of each pixel inside a shape of which ``distance`` is the signed distance in mm."""
        share: Array = np.clip(np.float32(0.5) - distance * np.float32(1 / self.pixel), 0, 1)
        return share

    def paint(self, cover: Array, value: float | Array, where: tuple[slice, slice] | None = None) -> None:
        """Lay ``value`` HU over the share ``cover`` of the pixels of ``where``."""
        target = self.hu if where is None else self.hu[where]
        target += cover * (value - target)

    def window(self, x: float, y: float, reach: float) -> tuple[slice, slice]:
        """The pixels within ``reach`` mm of a point of the patient."""
        column, row = self._place(np.array([x]), np.array([y]))
        half = reach / self.pixel + 1
        spans = ((max(0, int(c[0] - half)), max(0, int(c[0] + half) + 2)) for c in (row, column))
        rows, columns = (slice(*span) for span in spans)
        return rows, columns

    def _place(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Column and row (float) of points of the patient."""
        cos, sin = np.cos(self.patient.roll), np.sin(self.patient.roll)
        across, down = x * cos - y * sin + self.patient.shift[0], y * cos + x * sin + self.patient.shift[1]
        return across / self.pixel + (self.size - 1) / 2, down / self.pixel + (self.size - 1) / 2

    def rods(self, segments: Segments) -> Array:
        """Share of each pixel [size, size] inside any of the rods."""
        total = np.zeros(self.size * self.size, np.float32)
        rods = segments.near(self.z, self.pixel)
        if not rods.radius_start.size:
            return total.reshape(self.size, self.size)
        reach = np.maximum(rods.radius_start, rods.radius_end) + self.pixel
        # Only the stretch of a rod that is near the plane can reach it: keeps the boxes of long rods small.
        rise = rods.end[:, 2] - rods.start[:, 2]
        rise = np.where(np.abs(rise) < 1e-6, 1e-6, rise)
        ends = (self.z + np.stack([-reach, reach]) - rods.start[:, 2]) / rise
        ends = np.clip(ends, 0, 1)[..., None]
        points = rods.start + ends * (rods.end - rods.start)
        column, row = self._place(points[..., 0], points[..., 1])
        margin = reach / self.pixel

        def span(place: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            low = np.clip(np.floor(place.min(0) - margin), 0, self.size).astype(np.int64)
            high = np.clip(np.ceil(place.max(0) + margin) + 1, 0, self.size).astype(np.int64)
            return low, high - low

        (left, width), (top, tall) = span(column), span(row)
        count = width * tall
        owner = np.repeat(np.arange(count.size), count)
        step = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)
        wide = width[owner]
        pixel = (top[owner] + step // wide) * self.size + left[owner] + step % wide
        distance, radius = _rod_distance(rods.take(owner), self.x.ravel()[pixel], self.y.ravel()[pixel], self.z)
        # A soft edge fattens a rod thinner than a pixel; scale it back to the area of its true cross section.
        half = self.pixel / 2
        soft = np.where(radius > half, radius**2 + half**2 / 3, (radius + half) ** 3 / (3 * self.pixel))
        share = np.clip(0.5 - distance / self.pixel, 0, 1) * np.minimum(1, radius**2 / soft)
        np.maximum.at(total, pixel, share.astype(np.float32))
        return total.reshape(self.size, self.size)

    def bone(self, distance: Array, where: tuple[slice, slice], cortex: float, marrow: float | Array) -> None:
        """Paint a bone: a dense shell ``cortex`` mm thick around softer marrow."""
        self.paint(self.cover(distance), CORTEX * self.patient.bone, where)
        self.paint(self.cover(distance + np.float32(cortex)), marrow, where)

    def table(self) -> None:
        """The scanner's table: a thin shell below the patient, curved up at the sides, over a flatter one."""
        gap, curvature, depth, shell = self.patient.table
        across, down = self.axis[None, :], self.axis[:, None]
        skin = _outlines(self.patient, 0.6).skin
        lowest = np.max(-np.cos(_ANGLES) * skin + curvature * (np.sin(_ANGLES) * skin) ** 2)
        top = self.patient.shift[1] + lowest + gap
        upper = top - curvature * across**2
        lower = top + depth - 0.2 * curvature * across**2
        inside = np.maximum(upper - down, down - lower)
        inside = np.maximum(inside, np.abs(across) - np.float32(212)).astype(np.float32)
        self.paint(self.cover(inside), shell)
        self.paint(self.cover(inside + np.float32(2.4)), -940.0)

    def chest_wall(self) -> None:
        """Skin, fat, muscles, ribs with cartilage, sternum, clavicles, shoulder blades."""
        patient, t = self.patient, self.t
        self.paint(self.cover(self.skin), SKIN)
        self.paint(self.cover(self.skin + np.float32(1.8)), FAT + 7 * self.coarse + 4 * self.fine)
        flesh = self.cover(self.flesh)
        self.paint(flesh, MUSCLE + 4 * self.fine)
        # Fat between the muscles: a broken sheet around the rib cage, septa farther out, the armpits.
        sheet = np.abs(self.cage - 15 - 3 * self.coarse) - (0.5 + 0.9 * self.fine)
        septa = 9 * np.abs(self.coarse) - 0.35 - 0.7 * self.fine
        deep = 15 * np.exp(-(((t - 0.22) / 0.13) ** 2))
        armpit = np.hypot(0.8 * (self.cage - 26), 75 * (np.abs(self.angle) - 1.4)) - deep + 3 * self.coarse
        fatty = self.cover(np.minimum(np.minimum(sheet, septa), armpit)) * (self.cage > 10)
        self.paint(flesh * fatty, FAT)
        self._ribs()
        self._shoulder_blades()
        front = -patient.front * _growth(t, 0.25) - 8
        fade = min(1.0, max(0.0, (0.86 - t) / 0.05), max(0.0, (t - 0.14) / 0.04))
        if fade > 0:
            wide = 17 + 14 * np.exp(-(((t - 0.17) / 0.06) ** 2))
            where = self.window(0, front, wide + 8)
            plate = _ellipse(self.x[where], self.y[where], 0, front, wide * fade, 7 * fade)
            self.bone(plate, where, 1.4, 140 + 30 * self.fine[where])
        for side in (-1, 1):
            knots = ((20, -60, 0.17, 7.5), (58, -58, 0.10, 6), (104, -36, 0.03, 5.5), (140, -8, -0.04, 6.5))
            scale = np.array([side * patient.half_width / 125, patient.front / 77, patient.height, 1.0])
            collar = _tube(knots, scale, 0.0, None)
            below = self.cover(self.flesh + np.float32(3))
            self.paint(self.rods(collar) * below, CORTEX * patient.bone)
            self.paint(self.rods(collar.widened(1, -2.0)) * below, MARROW + 80)

    def _ribs(self) -> None:
        """Ribs slope down from spine to sternum, so that a section cuts each of them aslant."""
        patient = self.patient
        pick = np.nonzero(np.abs(self.cage - 6) < 9)
        angle, out = self.angle[pick], self.cage[pick] - np.float32(6)
        x, y = self.x[pick], self.y[pick]
        forward = 1 - np.abs(angle) / np.pi
        phase = np.where(x < 0, *patient.rib_phase)
        height = self.z - patient.rib_drop * forward - phase
        rise = height - patient.rib_gap * np.rint(height / patient.rib_gap)
        slope = patient.rib_drop / (np.pi * np.hypot(x, y))
        thick, tall = 4.4, 6.2
        u, v = out / thick, rise / tall
        whole = np.sqrt(u**2 + v**2)
        distance = whole * (whole - 1) / (np.sqrt((u / thick) ** 2 + (v * slope / tall) ** 2) + 1e-6)
        behind = np.abs(x) < 26
        distance = np.where(behind, 30.0, distance).astype(np.float32)
        hard = np.clip((0.84 - forward) / 0.03, 0, 1)
        shell = CARTILAGE + hard * (CORTEX * patient.bone - CARTILAGE)
        core = CARTILAGE - 30 + hard * (MARROW + 30 - CARTILAGE)
        values = self.hu[pick]
        values += self.cover(distance) * (shell - values)
        values += self.cover(distance + np.float32(1.5)) * (core - values)
        self.hu[pick] = values

    def _shoulder_blades(self) -> None:
        """A thin plate over the ribs at the back, with its spine at the top, until half way down."""
        length = 0.30 * min(1.0, (0.52 - self.t) / 0.2)
        if length <= 0:
            return
        for side in (-1, 1):
            centre = side * (2.28 - 0.35 * self.t)
            turn = self.angle - np.float32(centre)
            pick = np.nonzero((np.abs(turn) < 0.5) & (self.cage > 8) & (self.cage < 70))
            out, along = self.cage[pick], turn[pick] * side
            place = 22 + 14 * along + 26 * np.clip(-along, 0, 1) * max(0.0, 0.3 - self.t) * 4
            reach = (np.abs(along) - length) * 110
            thick = 2.2 + 2.2 * np.exp(-(((along + length) / 0.08) ** 2))
            plate = np.maximum(np.abs(out - place) - thick, reach)
            if self.t < 0.28:
                ridge = np.maximum(np.abs((along + 0.02 + (out - place) * 0.006) * 100) - 2.6, place - out)
                plate = np.minimum(plate, np.maximum(ridge, out - place - 170 * (0.28 - self.t)))
            plate = np.maximum(plate, self.flesh[pick] + 4)
            values = self.hu[pick]
            values += self.cover(plate.astype(np.float32)) * (CORTEX * self.patient.bone * 0.9 - values)
            values += self.cover((plate + 1.6).astype(np.float32)) * (MARROW + 60 - values)
            self.hu[pick] = values

    def chest_contents(self) -> None:
        """Lungs with vessels, mediastinum, heart, what lies below the diaphragm, airways, oesophagus."""
        patient = self.patient
        box = self.window(0, 0, 150)
        x, y, inner = self.x[box], self.y[box], self.cage[box]
        middle = _middle(patient, x, y, self.z, inner)
        cavity = self.cover(inner)
        self.paint(cavity, FAT + 8 + 10 * self.fine[box], box)
        lungs = self.cover(_smooth_max(inner, -middle.all, 9.0))
        slope = np.float32(0.22) * y
        parenchyma = patient.lung_hu + slope + 9 * self.coarse[box] + 11 * self.fine[box]
        fissure = self.cover(np.abs(_fissures(patient, x, y, self.t)) - np.float32(0.35))
        self.paint(lungs, parenchyma + 110 * fissure, box)
        self.lungs = np.zeros_like(self.hu)
        self.lungs[box] = lungs
        self.paint(self.rods(patient.vessels)[box] * cavity, BLOOD, box)
        self._airways(patient.bronchi)
        self.paint(self.cover(middle.heart) * cavity, BLOOD + 3 + 3 * self.coarse[box], box)
        self.paint(self.cover(middle.right_dome) * cavity, LIVER + 4 * self.coarse[box], box)
        self._left_dome(x, y, box, middle.left_dome, cavity)
        for tube in patient.tubes.values():
            self.paint(self.rods(tube), BLOOD)
        self.paint(self.rods(patient.oesophagus), MUSCLE - 14)
        self.paint(self.rods(patient.oesophagus.widened(0.28, -0.5)), -350.0 + 120 * self.coarse)
        self._airways(patient.airways)

    def _airways(self, tubes: Segments) -> None:
        """Air in a wall."""
        self.paint(self.rods(tubes.widened(1.06, 0.6)), BLOOD - 20)
        self.paint(self.rods(tubes), AIR + 8)

    def _left_dome(self, x: Array, y: Array, box: tuple[slice, slice], dome: Array, cavity: Array) -> None:
        """Stomach with its bubble of gas and spleen, in fat, below the left diaphragm."""
        if dome.min() > self.pixel:
            return
        inside = self.cover(dome) * cavity
        self.paint(inside, MUSCLE, box)
        inside = self.cover(dome + np.float32(2.5)) * cavity
        self.paint(inside, FAT, box)
        border = y - np.float32(22) - np.float32(0.35) * (np.float32(70) - x) - 3 * self.coarse[box]
        spleen = _smooth_max(dome + np.float32(4), np.float32(4) - border, 14.0)
        self.paint(self.cover(spleen) * cavity, SPLEEN, box)
        stomach = _smooth_max(dome + np.float32(6), border + np.float32(4), 22.0)
        self.paint(self.cover(stomach) * cavity, MUSCLE - 6, box)
        gas = np.maximum(stomach + np.float32(4), y + np.float32(12))
        self.paint(self.cover(gas) * cavity, AIR + 40, box)

    def spine(self) -> None:
        """A vertebra or a disc, with arch and processes; the openings between the arches come and go."""
        patient, t = self.patient, self.t
        middle = _spine(patient, t)
        where = self.window(0, middle + 20, 70)
        x, y = np.abs(self.x[where]), self.y[where] - np.float32(middle)
        phase = (self.z - patient.rib_phase[0]) / patient.rib_gap
        # 1 in the upper half of a vertebra, where pedicles and ribs join it, and 0 at the disc.
        arch = float(np.clip(0.5 + 0.9 * np.cos(2 * np.pi * phase), 0, 1))
        disc = float(np.clip(-1.6 - 2.6 * np.cos(2 * np.pi * phase), 0, 1))
        wide = 15.5 + 3.5 * t
        body = _smooth_max(_ellipse(x, y, 0, 0, wide, wide - 1), y - np.float32(wide - 3), 4.0)
        parts = _rod(x, y, (12, 13), (14, 22), 3.6 * arch)
        parts = np.minimum(parts, _rod(x, y, (14, 22), (36, 31), 5.0 * arch))
        parts = np.minimum(parts, _rod(x, y, (12, 24), (1, 36), 3.4))
        parts = np.minimum(parts, _rod(x, y, (0, 36), (0, 50 + 6 * arch), 3.2))
        parts = np.maximum(parts, self.flesh[where] + np.float32(4))
        self.bone(parts, where, 1.6, MARROW + 60)
        texture = MARROW * patient.bone + 13 * self.fine[where]
        self.paint(self.cover(body), CORTEX * patient.bone * 0.75 * (1 - disc) + 95 * disc, where)
        self.paint(self.cover(body + np.float32(1.3)), texture * (1 - disc) + 85 * disc, where)
        canal = _ellipse(x, y, 0, wide + 6, 10.5, 8.5)
        self.paint(self.cover(canal), FAT + 60, where)
        self.paint(self.cover(canal + np.float32(1.6)), CORD, where)

    def nodules(self) -> NDArray[np.bool_]:
        """Paint the nodules and tell their pixels."""
        found = np.zeros(self.hu.shape, bool)
        for x, y, z, radius, density in self.patient.nodules:
            if abs(z - self.z) >= radius:
                continue
            where = self.window(x, y, radius + self.pixel)
            across = (self.x[where] - np.float32(x)) ** 2 + (self.y[where] - np.float32(y)) ** 2
            share = self.cover(np.sqrt(across + np.float32((z - self.z) ** 2)) - np.float32(radius))
            share *= self.lungs[where]
            # Vessels stay visible inside ground glass: it adds to the lung and never thins what is there.
            self.paint(share, np.maximum(self.hu[where], np.float32(density)), where)
            found[where] |= share >= 0.5
        return found


@dataclass(frozen=True, eq=False)
class _Outlines:
    """Radii in mm over ``_ANGLES`` (0 in front, positive to the patient's left), each inside the next."""

    cage: NDArray[np.float64]
    flesh: NDArray[np.float64]
    skin: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Middle:
    """Signed distances in mm to what lies between and below the lungs; ``all`` is their blended union."""

    heart: Array
    right_dome: Array
    left_dome: Array
    all: Array


def _growth(t: float, least: float) -> float:
    """Size of the rib cage at ``t`` over its largest, from ``least`` above the apex to 1."""
    top = (1 - (1 - min(max(t, 0.0) / 0.55, 1.0)) ** 2.3) ** 0.62
    return float(least + (1 - least) * top)


def _spine(patient: Patient, t: float) -> float:
    """``y`` of the middle of the vertebral bodies."""
    return patient.back * (0.48 + 0.16 * _growth(t, 0.0))


def _oval(half_width: float, front: float, back: float, power: float) -> NDArray[np.float64]:
    """Radius over ``_ANGLES`` of an oval that is blunter behind than in front."""
    across, ahead = np.abs(np.sin(_ANGLES)), np.cos(_ANGLES)
    power_at = power + 0.5 * np.clip(-ahead, 0, 1)
    depth = np.where(ahead > 0, front, back)
    return ((across / half_width) ** power_at + (np.abs(ahead) / depth) ** power_at) ** (-1 / power_at)


def _outlines(patient: Patient, t: float) -> _Outlines:
    """Outlines of rib cage, flesh and skin at ``t``."""
    turn = np.abs(_ANGLES)

    def bump(centre: float, width: float) -> NDArray[np.float64]:
        return np.exp(-(((turn - centre) / width) ** 2))

    waves = np.arange(1, 6)[:, None] * _ANGLES
    wobble = 1 + patient.wobble[0] @ np.cos(waves) + patient.wobble[1] @ np.sin(waves)
    cage = wobble * _oval(
        patient.half_width * _growth(t, 0.06),
        patient.front * _growth(t, 0.25),
        patient.back * _growth(t, 0.62),
        2.15,
    )
    upper = 1 / (1 + np.exp((t - 0.42) / 0.07))
    girdle = 27 * bump(2.2, 0.5) + 13 * bump(0.6, 0.4) + 10 * bump(1.5, 0.4)
    muscle = 17 + 15 * bump(2.75, 0.3) - 5 * bump(0, 0.2) + upper * girdle
    fat = patient.fat * (0.75 + 0.5 * bump(1.5, 0.6) + 0.35 * bump(0.5, 0.5) - 0.1 * bump(np.pi, 0.3))
    shoulder = 1 - 0.16 * np.exp(-((t / 0.16) ** 2))
    trunk = wobble * _oval(
        (patient.half_width + 24) * shoulder,
        (patient.front + 10) * (0.62 + 0.38 * _growth(t, 0)),
        patient.back + 24,
        2.3,
    )
    inner = cage + 6 + (muscle - 6) * patient.muscle
    flesh = _blend(inner, trunk, 8.0)
    breast = patient.breast * np.exp(-(((t - 0.56) / 0.17) ** 2)) * bump(0.72, 0.3)
    return _Outlines(cage, flesh, flesh + fat + breast + 1.8)


def _blend(a: NDArray[np.float64], b: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """The larger of two profiles, rounded where they cross."""
    return 0.5 * (a + b + np.sqrt((a - b) ** 2 + width**2)) - 0.5 * width


def _middle(patient: Patient, x: Array, y: Array, z: float, cage: Array) -> _Middle:
    """What the lungs leave free at height ``z``; ``cage`` is the distance to the inner chest wall."""
    t = z / patient.height
    wide, deep = patient.half_width / 125, patient.back / 82
    heart = np.full(x.shape, 60, np.float32)
    for cx, cy, ct, a, b, c, angle in _HEART:
        shrink = 1 - ((t - ct) * patient.height / (c * patient.heart)) ** 2
        if shrink > 0:
            size = float(np.sqrt(shrink)) * patient.heart
            heart = np.minimum(heart, _ellipse(x, y, cx * wide, cy * deep, a * size, b * size, angle))
    right = _dome(x, y, (-54 * wide, -12 * deep, patient.domes[0] * patient.height), (108.0, 104.0, 100.0), z)
    left = _dome(x, y, (66 * wide, -6 * deep, patient.domes[1] * patient.height), (88.0, 96.0, 90.0), z)
    # The lungs reach down between diaphragm and chest wall.
    right, left = (_smooth_max(dome, cage + np.float32(8), 16.0) for dome in (right, left))
    spine = _spine(patient, t)
    # Broad at the level of the great vessels and at the apex, a thin fold where the lungs meet in front.
    core = (22 + 14 * np.exp(-((t / 0.15) ** 2))) * np.exp(-(((y - 2) / 36) ** 2))
    fold = 5 + 22 * np.exp(-((t / 0.16) ** 2)) + 18 * np.exp(-(((t - 1.0) / 0.13) ** 2))
    total = np.abs(x) - np.maximum(core, fold).astype(np.float32)
    pieces = [_ellipse(x, y, 0, spine, 21, 21), _ellipse(x, y, 0, spine + 27, 36, 17), heart - np.float32(5)]
    for name in _BORDER:
        tube = patient.tubes[name].near(z, 12.0)
        for k in range(tube.radius_start.size):
            distance, _ = _rod_distance(tube.take(np.array([k])), x, y, z)
            pieces.append(distance.astype(np.float32) - np.float32(2.5))
    for piece in pieces:
        total = -_smooth_max(-total, -piece, 6.0)
    total = np.minimum(total, np.minimum(right, left))
    return _Middle(heart, right, left, total)


def _dome(x: Array, y: Array, top: tuple[float, float, float], half: tuple[float, float, float], z: float) -> Array:
    """Signed distance to the cut at ``z`` of an ellipsoid of which ``top`` is the highest point."""
    share = 1 - ((top[2] + half[2] - z) / half[2]) ** 2
    if share <= 0:
        return np.full(x.shape, 60, np.float32)
    size = float(np.sqrt(share))
    return _ellipse(x, y, top[0], top[1], half[0] * size, half[1] * size)


def _fissures(patient: Patient, x: Array, y: Array, t: float) -> Array:
    """Signed distance to the oblique fissures, which fall from the upper back to the lower front."""
    tilt = np.where(x < 0, np.float32(0.24), np.float32(0.18))
    bow = np.float32(0.0035) * (np.abs(x) - np.float32(70)) ** 2
    height = np.float32(patient.back * (1.0 - 2.1 * (t - 0.16)))
    distance: Array = (y - height - bow + tilt * (np.abs(x) - np.float32(30))) * np.float32(0.93)
    return distance


def _ellipse(x: Array, y: Array, cx: float, cy: float, a: float, b: float, degrees: float = 0.0) -> Array:
    """Signed distance (to first order at the edge) to an ellipse."""
    a, b = max(a, 0.05), max(b, 0.05)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    u = (dx * np.float32(cos) + dy * np.float32(sin)) * np.float32(1 / a)
    v = (dy * np.float32(cos) - dx * np.float32(sin)) * np.float32(1 / b)
    whole = np.sqrt(u * u + v * v)
    steep = np.sqrt((u * np.float32(1 / a)) ** 2 + (v * np.float32(1 / b)) ** 2) + np.float32(1e-6)
    distance: Array = whole * (whole - 1) / steep
    return distance


def _rod(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], radius: float) -> Array:
    """Signed distance in the plane to a bar with round ends."""
    dx, dy = np.float32(end[0] - start[0]), np.float32(end[1] - start[1])
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    distance: Array = np.hypot(px - along * dx, py - along * dy) - np.float32(radius)
    return distance


def _rod_distance(rods: Segments, x: Array, y: Array, z: float) -> tuple[Array, Array]:
    """Signed distance of points of the plane ``z`` to a rod (one for all or each) and its radius there."""
    run = (rods.end - rods.start).astype(np.float32)
    start = rods.start.astype(np.float32)
    px, py, pz = x - start[:, 0], y - start[:, 1], np.float32(z) - start[:, 2]
    square = (run * run).sum(1) + np.float32(1e-9)
    along = np.clip((px * run[:, 0] + py * run[:, 1] + pz * run[:, 2]) / square, 0, 1)
    first = rods.radius_start.astype(np.float32)
    radius = first + along * (rods.radius_end.astype(np.float32) - first)
    gap = (px - along * run[:, 0]) ** 2 + (py - along * run[:, 1]) ** 2 + (pz - along * run[:, 2]) ** 2
    return np.sqrt(gap) - radius, radius


def _smooth_max(a: Array, b: Array, width: float) -> Array:
    """The larger of two distances, rounded over ``width`` mm where they cross."""
    blend = np.maximum(np.float32(width) - np.abs(a - b), 0)
    rounded: Array = np.maximum(a, b) + blend * blend * np.float32(0.25 / width)
    return rounded


def _tube(
    knots: tuple[tuple[float, float, float, float], ...],
    scale: NDArray[np.float64],
    jitter: float,
    rng: np.random.Generator | None,
) -> Segments:
    """A smooth tube through ``knots`` times ``scale``, moved by about ``jitter`` mm at each."""
    points = np.array(knots, float) * scale
    if rng is not None:
        points[:, :2] += rng.normal(0, jitter, (len(points), 2))
        points[:, 3] *= rng.uniform(0.92, 1.08)
    if len(points) > 2:
        place = np.arange(len(points))
        points = CubicSpline(place, points)(np.linspace(0, place[-1], 4 * place[-1] + 1))
    return Segments(points[:-1, :3], points[1:, :3], points[:-1, 3], points[1:, 3])


_NOTHING = Segments(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))


def _fill_lungs(bare: Patient, bronchi: dict[str, Segments], rng: np.random.Generator) -> Patient:
    """Grow vessels and airways into the lungs of ``bare`` and put nodules there."""
    inside = _lung_points(bare, 7.0, rng)
    vessels, twigs = [], []
    for side, name in ((-1, "right"), (1, "left")):
        lung = inside[inside[:, 0] * side > 0]
        deep = lung[lung[:, 3] < -3.5, :3]
        for tube, share, leaf in ((f"{name}_pulmonary", 1.0, 0.6), (f"{name}_veins", 0.8, 0.6)):
            count = int(len(deep) * 0.2 * share)
            targets = deep[rng.choice(len(deep), count, replace=False)]
            vessels.append(_grow(bare.tubes[tube].end[-1], targets, leaf, rng))
        core = lung[lung[:, 3] < -14, :3]
        targets = core[rng.choice(len(core), min(len(core), 26), replace=False)]
        twigs.append(_grow(bronchi[f"{name}_bronchus"].end[-1], targets, 1.0, rng))
    nodules = []
    # Enough, and large enough, that about every third cut shows one at the sizes of the presets.
    for _ in range(int(rng.integers(8, 15))):
        radius = float(rng.uniform(2.0, 8.0))
        room = inside[inside[:, 3] < -radius - 5, :3]
        solid = rng.random() < 0.6
        density = rng.uniform(10, 50) if solid else rng.uniform(-660, -540)
        nodules.append([*room[rng.integers(len(room))], radius, density])
    return replace(bare, vessels=Segments.join(vessels), bronchi=Segments.join(twigs), nodules=np.array(nodules))


def _lung_points(patient: Patient, step: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points all over the lungs about ``step`` mm apart, float64 [n, 4]: place and distance to the border."""
    size = int(300 / step)
    found = []
    for z in np.arange(0.03, 0.99, step / patient.height) * patient.height:
        view = _View(replace(patient, roll=0.0, shift=(0.0, 0.0)), float(z), size, step)
        x, y = (axis + step * rng.uniform(-0.4, 0.4, axis.shape) for axis in (view.x, view.y))
        border = _smooth_max(view.cage, -_middle(patient, view.x, view.y, float(z), view.cage).all, 9.0)
        keep = border < -3
        found.append(np.stack([x[keep], y[keep], np.full(keep.sum(), z), border[keep]], axis=1))
    return np.concatenate(found).astype(float)


def _grow(root: NDArray[np.float64], targets: NDArray[np.float64], leaf: float, rng: np.random.Generator) -> Segments:
    """A tree from ``root`` to all ``targets``, which each fork shares out along their longest extent."""
    rows: list[NDArray[np.float64]] = []
    open_ends = [(root, targets)]
    while open_ends:
        start, points = open_ends.pop()
        count = len(points)
        centre = points.mean(axis=0)
        reach = 1.0 if count == 1 else 0.28 if count > len(targets) / 10 else 0.5
        end = start + reach * (centre - start)
        if count > 1:
            end = end + rng.normal(0, 0.07 * float(np.linalg.norm(end - start)), 3)
        # Murray's law with the exponent measured in lungs.
        thick = leaf * count ** (1 / 2.7)
        rows.append(np.concatenate([start, end, [thick, thick * (0.45 if count == 1 else 0.88)]]))
        if count > 1:
            # No principal axis here: the sign of an eigenvector differs between linear algebra libraries.
            axis = np.eye(3)[np.argmax(np.ptp(points, axis=0))] + rng.normal(0, 0.3, 3)
            order = np.argsort(points @ axis)
            cut = int(np.clip(round(count * rng.uniform(0.35, 0.65)), 1, count - 1))
            open_ends += [(end, points[order[:cut]]), (end, points[order[cut:]])]
    table = np.array(rows)
    return Segments(table[:, :3], table[:, 3:6], table[:, 6], table[:, 7])
