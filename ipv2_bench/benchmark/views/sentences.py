"""Tables from lines: CSV, Markdown, and the sentences that say whether the paper's directions come out."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from ipv2_bench.benchmark.lines import (
    COST,
    DETAIL,
    FIDELITY,
    MEASURED,
    OFFLINE,
    STRUCTURE,
    Line,
    baseline,
    best,
    better,
)
from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, Table

FIRST = (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY, "seconds_per_slice")
COLUMNS = (
    *("label", "denoiser", "strategy", "modules", "n_images", "n_seeds"),
    *(name for m in FIRST for name in (m, f"{m}_std")),
    *(f"published_{m}" for m in PUBLISHED_METRICS),
    "n_patients",
    *(name for m in FIRST for name in (f"{m}_low", f"{m}_high")),
    *(name for m in (*DETAIL, *STRUCTURE) for name in (m, f"{m}_std", f"{m}_low", f"{m}_high")),
    *(name for m in COST[1:] for name in (m, f"{m}_std")),
)
"""Of a table's CSV: names, what was measured with its standard deviation over seeds, what is published; then the ends of
the 95 % intervals, and the details."""


COPYING = (
    "These distances reward copying: the NDCT itself would score 0 here, although it is not aligned with the uLDCT. The"
    " columns of fidelity to the truth say what a label is worth."
)


def to_csv(found: list[Line], images: str) -> str:
    """The table as CSV; empty where something was not measured."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in found:
        cells: dict[str, Any] = {
            "label": line.label,
            "denoiser": line.denoiser,
            "strategy": f"{line.strategy}(NDCT)" if images == "label" else line.strategy,
            "modules": line.modules,
            "n_images": line.n_images,
            "n_seeds": len(line.seeds),
            "n_patients": line.sample.patients if line.sample else "",
        }
        for m in MEASURED:
            cells |= {m: _number(line.mean.get(m)), f"{m}_std": _number(line.std.get(m))}
            if (ends := line.interval(m)) is not None:
                cells |= {f"{m}_low": _number(ends.low), f"{m}_high": _number(ends.high)}
        cells |= {f"published_{m}": _number(line.published.get(m)) for m in PUBLISHED_METRICS}
        writer.writerow(cells)
    return out.getvalue()


def differences(found: list[Line]) -> str:
    """Every paired difference to the line's baseline (see :func:`baseline`), with its 95 % interval, as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = (
        "label",
        "denoiser",
        "strategy",
        "against",
        "measure",
        "difference",
        "low",
        "high",
        "excludes_zero",
        "tells",
    )
    writer.writerow(names)
    for line in found:
        base = baseline(found, line)
        if base is None or base is line:
            continue
        for m in MEASURED:
            if (d := line.less(base, m)) is not None:
                named = (line.label, line.denoiser, line.strategy, f"{base.denoiser} + {base.strategy}", m)
                numbers = (_number(x) for x in (d.mean, d.low, d.high))
                writer.writerow([*named, *numbers, int(d.excludes_zero), int(d.tells)])
    return out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def to_markdown(table: Table, found: list[Line], meaningful: bool) -> str:
    """The table for people, each measured value with its gain over IPv1, beside the published ones."""
    metrics = [m for m in (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY) if any(m in line.mean for line in found)]
    out = _title(table, table.title, meaningful)
    head = _head(table, metrics) + [f"published {heading(m)}" for m in PUBLISHED_METRICS]
    out += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    labels = {line.label: [other for other in found if other.label == line.label] for line in found}
    marked = {(label, m): best(own, m) for label, own in labels.items() for m in metrics}
    for line in found:
        cells = _named(table, line)
        for m in metrics:
            text = _cell(line, baseline(found, line), m)
            cells.append(f"**{text}**" if marked[line.label, m] is line else text)
        ours = line.strategy.endswith("]")
        cells += [
            "ours" if ours else f"{line.published[m]:g}" if m in line.published else "–" for m in PUBLISHED_METRICS
        ]
        out.append("| " + " | ".join(cells) + " |")
    out += ["", legend(found) + sureness(found, any(marked.values()))]
    if table.images == "label":
        out[-1] += f" {COPYING}"
    out += ["", *(f"- {text}" for text in directions(found))]
    return "\n".join(out) + "\n"


def to_detail(table: Table, found: list[Line], meaningful: bool) -> str:
    """What else was measured: bias and bone, sharpness, colour of the noise, nodules, extrapolated distances, structure."""
    metrics = [m for m in (*DETAIL, *STRUCTURE) if any(m in line.mean for line in found)]
    out = _title(table, f"{table.title}, in detail", meaningful)
    head = _head(table, metrics)
    out += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for line in found:
        cells = _named(table, line) + [_cell(line, None, m) for m in metrics]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join([*out, "", legend(found) + "."]) + "\n"


def _title(table: Table, title: str, meaningful: bool) -> list[str]:
    out = [f"## {table.key.capitalize()}: {title}", ""]
    if not meaningful:
        out += ["**This size only tries every path: its numbers mean nothing.**", ""]
    return out


def _head(table: Table, metrics: list[str]) -> list[str]:
    return ["label", "images" if table.images == "label" else "denoiser + training", *(heading(m) for m in metrics)]


def _named(table: Table, line: Line) -> list[str]:
    name = f"{line.strategy}(NDCT)" if table.images == "label" else f"{line.denoiser} + {line.strategy}"
    return [line.label, name]


def legend(found: list[Line]) -> str:
    """What the numbers of a table are."""
    seeds = max((len(line.seeds) for line in found), default=0)
    text = f"Means over {seeds} training seed{'s' if seeds != 1 else ''}"
    sample = next((line.sample for line in found if line.sample), None)
    if sample is None:
        text += " ± standard deviation" if seeds > 1 else ""
    else:
        whose = {0: " (their patients are not told)", 1: " of one patient"}
        over = (
            f"{sample.patients} patients"
            if sample.patients > 1
            else f"the {sample.units} slices{whose[sample.patients]}"
        )
        text += f" ± half of the 95 % interval over {'seeds and ' if seeds > 1 else ''}{over}"
    return text


def sureness(found: list[Line], marked: bool, where: str = "in brackets") -> str:
    """What stands in brackets (or elsewhere: ``where``), and what is bold or why nothing is."""
    seeds = max((len(line.seeds) for line in found), default=0)
    against = (
        "the unchanged denoiser" if any(line.variant_of for line in found) else "IPv1 with the same label and denoiser"
    )
    text = f"; {where} the change against {against}"
    sample = next((line.sample for line in found if line.sample), None)
    if sample is None:
        return text + "."
    text += ", with * where the interval of the paired difference excludes 0."
    if seeds > 1 and sample.patients > 1:
        few = min(seeds, sample.patients)
        text += " Bold: better than every other line of that label, the interval of each difference excluding 0"
        text += "." if marked else f"; no line is (with {few} seeds or patients only large differences can be)."
    else:
        lack = "one training seed" if seeds == 1 else ("unknown patients", "one patient")[sample.patients]
        text += f" With {lack} the tables cannot tell how another would order the lines, so no value is marked as best."
    return text


HEADINGS = {
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
    "noise_hu_bone": "noise bone HU",
    "bias_hu_background": "bias background HU",
    "bias_hu_lung": "bias lung HU",
    "bias_hu_tissue": "bias tissue HU",
    "bias_hu_bone": "bias bone HU",
    "edge_mtf50": "lung border MTF50 / truth",
    "nps_peak_shift_per_mm": "NPS peak shift 1/mm",
    "nps_mean_shift_per_mm": "NPS mean shift 1/mm",
    "nodule_cnr": "nodule CNR",
    "nodule_contrast": "nodule contrast / truth",
    "fid_inf": "FID at N=∞",
    "clip_fid_inf_x100": "CLIP-FID×100 at N=∞",
    "fd_inf_randconv": "FD (randconv) at N=∞",
    "psnr_label_db": "PSNR dB to label",
    **{f"{m}_label": f"{m.upper().replace('_', '-')} to label" for m in ("ssim", "rmse", "ms_ssim", "vif", "fsim")},
    **{f"{m}_label": f"{m.upper().replace('_', '-')} to label" for m in ("gmsd", "iw_ssim")},
}


def heading(metric: str) -> str:
    """What a measure is called in tables."""
    return HEADINGS.get(metric, metric)


def _cell(line: Line, base: Line | None, metric: str) -> str:
    if metric not in line.mean:
        return "–"
    found = change(line, base, metric)
    parts = (
        value(line, metric),
        spread(line, metric),
        f"({found}{'*' if sure(line, base, metric) else ''})" if found else "",
    )
    return " ".join(part for part in parts if part)


def value(line: Line, metric: str) -> str:
    """What was measured, to three digits."""
    return f"{line.mean[metric]:.3f}" if "ssim" in metric else f"{line.mean[metric]:.3g}"


def spread(line: Line, metric: str) -> str:
    """Half of the interval, such as "± 1.1"; the standard deviation over seeds without draws; empty with neither."""
    ends = line.interval(metric)
    if ends is not None:
        return f"± {_two_digits((ends.high - ends.low) / 2)}"
    return f"± {_two_digits(line.std[metric])}" if metric in line.std and line.sample is None else ""


def change(line: Line, base: Line | None, metric: str) -> str:
    """The change against the baseline, in dB or percent; empty where there is none."""
    if base is None or base is line or metric not in base.mean:
        return ""
    before, after = base.mean[metric], line.mean[metric]
    if metric == "psnr_db":
        return f"{after - before:+.1f} dB"
    return f"{100.0 * (after - before) / before:+.0f} %" if before > 0 else ""


def sure(line: Line, base: Line | None, metric: str) -> bool:
    """Whether the interval of the paired difference to the baseline excludes zero."""
    d = line.less(base, metric) if base is not None else None
    return d is not None and d.excludes_zero


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def directions(found: list[Line]) -> list[str]:
    """In how many cells the published improvement over IPv1 comes out, and whether the truth agrees."""
    texts = []
    for tally in tallies(found):
        text = f"{tally.what} in {tally.cells - len(tally.missed)} of {tally.cells} cells"
        text += f" ({tally.rows} rows × {tally.measures} measures)"
        texts.append(text + (f"; not in {'; '.join(tally.missed)}." if tally.missed else "."))
    if found and any("fd_randconv" in line.mean for line in found) and not any("fid" in line.mean for line in found):
        texts.append(
            "FID, KID and CLIP-FID are not measured here, since their weights are not there; the distances are those of"
            " an offline feature space (randconv), whose values cannot be compared with the published ones, only directions."
        )
    return texts


@dataclass(frozen=True)
class Tally:
    """In how many cells (rows × measures) something came out, and the names of those in which it did not."""

    what: str
    rows: int
    measures: int
    cells: int
    missed: tuple[str, ...]


def tallies(found: list[Line]) -> list[Tally]:
    """The published improvement over IPv1, and that against the aligned truth; what was not measured is left out."""
    own = [line for line in found if not line.variant_of]
    pairs = [(line, base) for line in own if (base := baseline(own, line)) is not None and base is not line]
    published = [(line, base) for line, base in pairs if line.published and base.published]
    made = []
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
        missed = [
            f"{(line.denoiser + ' ' if line.denoiser else '') + line.strategy} vs {line.label}: {heading(m)}"
            for m, line, ok in checks
            if not ok
        ]
        if checks:
            made.append(Tally(what, len(chosen), len({m for m, *_ in checks}), len(checks), tuple(missed)))
    return made
