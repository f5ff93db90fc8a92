"""The lines of a table: rows joined over their seeds, how sure each value is, and which is better."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ipv2_bench.benchmark.row_files import Row
from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, Table
from ipv2_bench.metrics.uncertainty import Interval, Sample, interval

OFFLINE = ("fd_randconv", "kid_x100_randconv")
FIDELITY = ("psnr_db", "ssim", "rmse_hu", "rmse_hu_rim", "noise_hu_background", "noise_hu_lung", "noise_hu_tissue")
DETAIL = (
    *("noise_hu_bone", "bias_hu_background", "bias_hu_lung", "bias_hu_tissue", "bias_hu_bone"),
    *("edge_mtf50", "nps_peak_shift_per_mm", "nps_mean_shift_per_mm", "nodule_cnr", "nodule_contrast"),
    *("fid_inf", "clip_fid_inf_x100", "fd_inf_randconv"),
)
STRUCTURE = (
    *("psnr_label_db", "ssim_label", "rmse_label", "ms_ssim_label"),
    *("vif_label", "fsim_label", "gmsd_label", "iw_ssim_label"),
)
COST = ("seconds_per_slice", "network_calls", "inference_memory_mb")
MEASURED = (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY, *DETAIL, *STRUCTURE, *COST)
HIGHER_IS_BETTER = ("psnr_db", "ssim")


@dataclass(frozen=True)
class Line:
    """One line of a rendered table: what names it, and mean and standard deviation over seeds of what was measured.

    ``values`` hold each measure seed by seed, ``replicates`` the same on the bootstrap's draws, [seeds, B], which are of
    ``sample``; ``units`` how many patients show a measure that some lack. ``key`` is the denoiser's in the registry: titles
    may repeat; ``variant_of`` that of the denoiser which it varies, if any.
    """

    label: str
    denoiser: str
    strategy: str
    modules: str
    n_images: int
    seeds: tuple[int, ...]
    mean: dict[str, float]
    std: dict[str, float]
    published: dict[str, float]
    values: dict[str, list[float]] = field(default_factory=dict)
    replicates: dict[str, np.ndarray] = field(default_factory=dict)
    sample: Sample | None = None
    units: dict[str, int] = field(default_factory=dict)
    key: str = ""
    variant_of: str = ""

    def interval(self, metric: str) -> Interval | None:
        """The interval of a measure's mean; ``None`` where there is none."""
        if self.sample is None or metric not in self.replicates or metric not in self.mean:
            return None
        found = interval(self.values[metric], self.replicates[metric], self.sample, self.units.get(metric))
        return found if math.isfinite(found.low) else None

    def less(self, other: Line, metric: str) -> Interval | None:
        """The interval of the paired difference ``self − other``; ``None`` where there is none."""
        if self.sample is None or self.seeds != other.seeds or not all(metric in x.replicates for x in (self, other)):
            return None
        values = np.subtract(self.values[metric], other.values[metric])
        replicates = self.replicates[metric] - other.replicates[metric]
        found = interval(values.tolist(), replicates, self.sample, self.units.get(metric))
        return found if math.isfinite(found.low) else None


def lines(table: Table, rows: list[list[Row]]) -> list[Line]:
    """Join the rows of each table line over its seeds; lines without a row are left out."""
    found = []
    for of_line in rows:
        if not of_line:
            continue
        first = of_line[0].data
        key = first.get("denoiser_key", "")
        values: dict[str, list[float]] = {m: [] for m in MEASURED}
        for row in of_line:
            cost = {k: row.data["cost"].get(k) for k in COST}
            flat = {**row.data["distances"], **row.data["fidelity"], **row.data.get("structure", {}), **cost}
            for m in MEASURED:
                if flat.get(m) is not None:
                    values[m].append(float(flat[m]))
        full = {m: v for m, v in values.items() if len(v) == len(of_line)}
        found.append(
            Line(
                first["label"],
                first["denoiser"],
                first["strategy"],
                first["modules"],
                first["n_images"],
                tuple(row.data["seed"] for row in of_line),
                {m: sum(v) / len(v) for m, v in full.items()},
                {m: _std(v) for m, v in full.items() if len(v) > 1},
                {} if ":" in key else table.published.get((first["label"], first["denoiser"], first["strategy"]), {}),
                full,
                {
                    m: np.stack([r.replicates[m] for r in of_line])
                    for m in full
                    if all(m in r.replicates for r in of_line)
                },
                of_line[0].sample,
                first.get("n_units", {}),
                key,
                first.get("variant_of", ""),
            )
        )
    return found


def _std(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def baseline(found: list[Line], line: Line) -> Line | None:
    """The line to compare with: IPv1 with the same label and denoiser, or for a variant the denoiser that it varies."""
    own = (line.label, line.denoiser, line.key, "IPv1")
    same = [x for x in found if (x.label, x.denoiser, x.key, x.strategy) == own]
    if line.variant_of:
        own_base = (line.label, line.variant_of, line.strategy)
        same += [x for x in found if (x.label, x.key, x.strategy) == own_base]
    return next(iter(same), None)


def better(metric: str, after: float, before: float) -> bool:
    """Whether a value improved."""
    return after > before if metric in HIGHER_IS_BETTER else after < before


def best(found: list[Line], metric: str) -> Line | None:
    """The one line of a label that is better than every other, each paired difference excluding zero.

    ``None`` where there is none, or there are too few seeds or patients to tell.
    """
    rivals = [line for line in found if metric in line.mean]
    if len(rivals) < 2:
        return None
    sign = 1.0 if metric in HIGHER_IS_BETTER else -1.0
    first = max(rivals, key=lambda line: sign * line.mean[metric])
    for other in rivals:
        if other is not first:
            d = first.less(other, metric)
            if d is None or not (d.tells and d.excludes_zero):
                return None
    return first
