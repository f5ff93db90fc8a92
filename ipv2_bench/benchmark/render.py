"""Tables from rows: CSV, Markdown, and the lines that say whether the paper's directions come out."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import Any

from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, Table

OFFLINE = ("fd_randconv", "kid_x100_randconv")
FIDELITY = ("psnr_db", "ssim", "rmse_hu", "rmse_hu_rim", "noise_hu_background", "noise_hu_lung", "noise_hu_tissue")
MEASURED = (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY, "seconds_per_slice")
HIGHER_IS_BETTER = ("psnr_db", "ssim")
COLUMNS = (
    *("label", "denoiser", "strategy", "modules", "n_images", "n_seeds"),
    *(name for m in MEASURED for name in (m, f"{m}_std")),
    *(f"published_{m}" for m in PUBLISHED_METRICS),
)


@dataclass(frozen=True)
class Line:
    """One line of a rendered table: what names it, and mean and standard deviation over seeds of what was measured."""

    label: str
    denoiser: str
    strategy: str
    modules: str
    n_images: int
    seeds: tuple[int, ...]
    mean: dict[str, float]
    std: dict[str, float]
    published: dict[str, float]


def lines(table: Table, rows: list[list[dict[str, Any]]]) -> list[Line]:
    """Join the rows of each table line over its seeds; lines without a row are left out."""
    found = []
    for of_line in rows:
        if not of_line:
            continue
        first = of_line[0]
        values: dict[str, list[float]] = {m: [] for m in MEASURED}
        for row in of_line:
            flat = {**row["distances"], **row["fidelity"], **{k: row["cost"].get(k) for k in ("seconds_per_slice",)}}
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
                tuple(row["seed"] for row in of_line),
                {m: sum(v) / len(v) for m, v in full.items()},
                {m: _std(v) for m, v in full.items() if len(v) > 1},
                table.published.get((first["label"], first["denoiser"], first["strategy"]), {}),
            )
        )
    return found


def _std(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def to_csv(found: list[Line], images: str) -> str:
    """The table as CSV; empty where something was not measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in found:
        strategy = f"{line.strategy}(NDCT)" if images == "label" else line.strategy
        cells: list[Any] = [line.label, line.denoiser, strategy, line.modules, line.n_images, len(line.seeds)]
        for m in MEASURED:
            cells += [_number(line.mean.get(m)), _number(line.std.get(m))]
        writer.writerow(cells + [_number(line.published.get(m)) for m in PUBLISHED_METRICS])
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def to_markdown(table: Table, found: list[Line], meaningful: bool) -> str:
    """The table for people, each measured value with its gain over IPv1, beside the published ones."""
    seeds = max((len(line.seeds) for line in found), default=0)
    out = [f"## {table.key.capitalize()}: {table.title}", ""]
    if not meaningful:
        out += ["**This size only tries every path: its numbers mean nothing.**", ""]
    metrics = [m for m in (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY) if any(m in line.mean for line in found)]
    head = ["label", "images" if table.images == "label" else "denoiser + training", *(_heading(m) for m in metrics)]
    head += [f"published {_heading(m)}" for m in PUBLISHED_METRICS]
    out += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for line in found:
        base = baseline(found, line)
        name = f"{line.strategy}(NDCT)" if table.images == "label" else f"{line.denoiser} + {line.strategy}"
        cells = [line.label, name, *(_cell(line, base, m) for m in metrics)]
        ours = line.strategy.endswith("]")
        cells += [
            "ours" if ours else f"{line.published[m]:g}" if m in line.published else "–" for m in PUBLISHED_METRICS
        ]
        out.append("| " + " | ".join(cells) + " |")
    out += ["", f"Means over {seeds} training seed{'s' if seeds != 1 else ''}"]
    out[-1] += " ± standard deviation" if seeds > 1 else ""
    out[-1] += "; in brackets the change against IPv1 with the same label and denoiser."
    if table.images == "label":
        out[-1] += (
            " These distances reward copying: the NDCT itself would score 0 here, although it is not aligned with the"
            " uLDCT. The columns of fidelity to the truth say what a label is worth."
        )
    out += ["", *(f"- {text}" for text in directions(found))]
    return "\n".join(out) + "\n"


def _heading(metric: str) -> str:
    names = {
        "fid": "FID",
        "kid_x100": "KID×100",
        "clip_fid_x100": "CLIP-FID×100",
        "fd_randconv": "FD (randconv)",
        "kid_x100_randconv": "KID×100 (randconv)",
        "psnr_db": "PSNR dB",
        "ssim": "SSIM",
        "rmse_hu": "RMSE HU",
        "rmse_hu_rim": "RMSE rim HU",
        "noise_hu_background": "noise background HU",
        "noise_hu_lung": "noise lung HU",
        "noise_hu_tissue": "noise tissue HU",
    }
    return names.get(metric, metric)


def _cell(line: Line, base: Line | None, metric: str) -> str:
    if metric not in line.mean:
        return "–"
    text = f"{line.mean[metric]:.3g}" if metric != "ssim" else f"{line.mean[metric]:.3f}"
    if metric in line.std:
        text += f" ± {line.std[metric]:.2g}"
    if base is not None and base is not line and metric in base.mean:
        before, after = base.mean[metric], line.mean[metric]
        if metric == "psnr_db":
            text += f" ({after - before:+.1f} dB)"
        elif before > 0:
            text += f" ({100.0 * (after - before) / before:+.0f} %)"
    return text


def baseline(found: list[Line], line: Line) -> Line | None:
    """The IPv1 line with the same label and denoiser."""
    same = (x for x in found if (x.label, x.denoiser, x.strategy) == (line.label, line.denoiser, "IPv1"))
    return next(same, None)


def better(metric: str, after: float, before: float) -> bool:
    """Whether a value improved."""
    return after > before if metric in HIGHER_IS_BETTER else after < before


def directions(found: list[Line]) -> list[str]:
    """In how many cells the published improvement over IPv1 comes out, and whether the truth agrees."""
    texts = []
    pairs = [(line, base) for line in found if (base := baseline(found, line)) is not None and base is not line]
    published = [(line, base) for line, base in pairs if line.published and base.published]
    for what, metrics, chosen in (
        ("Published direction (better than IPv1) reproduced", (*PUBLISHED_METRICS, *OFFLINE), published),
        ("The aligned truth agrees", FIDELITY, pairs),
    ):
        checks = [
            (m, line, better(m, line.mean[m], base.mean[m]))
            for line, base in chosen
            for m in metrics
            if m in line.mean and m in base.mean
        ]
        if not checks:
            continue
        text = f"{what} in {sum(ok for *_, ok in checks)} of {len(checks)} cells"
        text += f" ({len(chosen)} rows × {len({m for m, *_ in checks})} measures)"
        missed = [
            f"{(line.denoiser + ' ' if line.denoiser else '') + line.strategy} vs {line.label}: {_heading(m)}"
            for m, line, ok in checks
            if not ok
        ]
        texts.append(text + (f"; not in {'; '.join(missed)}." if missed else "."))
    if found and any("fd_randconv" in line.mean for line in found) and not any("fid" in line.mean for line in found):
        texts.append(
            "FID, KID and CLIP-FID are not measured here, since their weights are not there; the distances are those of"
            " an offline feature space (randconv), whose values cannot be compared with the published ones, only directions."
        )
    return texts
