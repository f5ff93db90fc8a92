"""Each table with its bar charts, and what denoising costs beside what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ipv2_bench.benchmark.lines import FIDELITY, OFFLINE, Line, best
from ipv2_bench.benchmark.render import COPYING, directions, heading, legend, sureness
from ipv2_bench.benchmark.report.bottom_line import distance
from ipv2_bench.benchmark.report.charts import Bar, bars
from ipv2_bench.benchmark.report.html_tables import detail_html, name_of, scroll, table_html, titled
from ipv2_bench.benchmark.report.scales import short
from ipv2_bench.benchmark.report.scatter import Point, points
from ipv2_bench.benchmark.row_files import Row
from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, Table

NOT_MEASURED = (
    "A dash under “FID, KID, CLIP-FID”: they are not measured here (ipv2-bench check says how to bring the weights of their "
    "networks). FD and KID (randconv) are other distances, in an offline feature space."
)


def tones(lines: dict[str, list[Line]]) -> dict[str, int]:
    """A colour's number for each strategy, the same in every chart."""
    names = dict.fromkeys(_pairs_of(line.strategy) for found in lines.values() for line in found)
    number = {name: i for i, name in enumerate(names)}
    return {line.strategy: number[_pairs_of(line.strategy)] for found in lines.values() for line in found}


def _pairs_of(strategy: str) -> str:
    # IPv1+1+2 and IPv2 train on the same pairs.
    return strategy.replace("IPv1+1+2", "IPv2")


def table_section(table: Table, found: Sequence[Line], tone: dict[str, int]) -> str:
    """A table with its charts and what must be known to read it."""
    shown = list(found)
    there = {m for line in shown for m in line.mean}
    labels = {line.label: [x for x in shown if x.label == line.label] for line in shown}
    marked = any(best(own, m) is not None for own in labels.values() for m in (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY))
    notes = [legend(shown) + sureness(shown, marked, "below")]
    if table.published and not any(m in there for m in PUBLISHED_METRICS):
        notes.append(NOT_MEASURED)
    if table.images == "label":
        notes.append(COPYING)
    text = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    out = f'<section id="{table.key}"><h2>{titled(table.key)}: {escape(table.title)}</h2>'
    out += f'<div class="charts">{_charts(table, shown, tone)}</div>{table_html(table, shown)}{text}'
    out += "<ul>" + "".join(f"<li>{escape(t)}</li>" for t in directions(shown)) + "</ul>"
    detail = detail_html(table, shown)
    more = "Bias, bone, sharpness, colour of the noise, nodules"
    return out + (f"<details><summary>In detail: {more}</summary>{detail}</details>" if detail else "") + "</section>"


def _charts(table: Table, found: list[Line], tone: dict[str, int]) -> str:
    there = {m for line in found for m in line.mean}
    wanted = [m for m in (distance(found), "rmse_hu", "noise_hu_lung", "noise_hu_background") if m in there]
    made = [_bars(table, found, m, tone, published=False) for m in wanted]
    if any("fid" in line.published for line in found):
        made.insert(1, _bars(table, found, "fid", tone, published=True))
    return "".join(made)


def _bars(table: Table, found: list[Line], metric: str, tone: dict[str, int], published: bool) -> str:
    # Fidelity does not depend on the label: a table with two labels shows it once.
    of_label = published or metric in (*PUBLISHED_METRICS, *OFFLINE)
    labels = list(dict.fromkeys(line.label for line in found))
    denoisers = list(dict.fromkeys((line.denoiser, line.key) for line in found))
    rows = []
    for line in found:
        number = line.published.get(metric) if published else line.mean.get(metric)
        if number is None or (not of_label and line.label != labels[0]):
            continue
        several = len([x for x in found if (x.denoiser, x.key) == (line.denoiser, line.key)]) > 1
        parts = [line.denoiser] * (len(denoisers) > 1 and several)
        parts += [f"to {line.label}"] * (len(labels) > 1 and of_label)
        name = name_of(line) if not line.denoiser else line.strategy if several else line.denoiser
        ends = None if published else line.interval(metric)
        colour = _tone(table, line, tone)
        low, high = (ends.low, ends.high) if ends else (None, None)
        rows.append(Bar(name, number, low, high, colour, ", ".join(parts)))
    title = f"{heading(metric)}, published" if published else heading(metric)
    kind = "published" if published else "measured"
    chart = bars(f"{table.key}-{kind}-{metric}", f"{titled(table.key)}: {title}", rows)
    return f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>"


def _tone(table: Table, line: Line, tone: dict[str, int]) -> int:
    """A line's colour: that of its strategy; a newcomer's or variant's where it stands beside the others."""
    if table.newcomers or line.variant_of:
        return int(line.key in table.newcomers or bool(line.variant_of))
    return tone[line.strategy]


def cost_section(
    tables: Sequence[Table],
    rows: dict[str, list[list[Row]]],
    lines: dict[str, list[Line]],
    tone: dict[str, int],
) -> str:
    """Seconds, network calls and memory of each denoiser beside its error; empty where nothing was denoised."""
    table = next((t for t in tables if t.images == "denoised"), None)
    found = [line for line in lines[table.key] if "seconds_per_slice" in line.mean] if table else []
    if not table or not found:
        return ""
    up = "rmse_hu" if all("rmse_hu" in line.mean for line in found) else distance(found)
    labelled: set[str] = set()
    shown = []
    for line in found:
        colour = _tone(table, line, tone)
        label = "" if line.denoiser in labelled else line.denoiser
        labelled.add(line.denoiser)
        seconds, error = line.mean["seconds_per_slice"], line.mean[up]
        shown.append(Point(name_of(line), seconds, error, tone=colour, line=line.denoiser, label=label))
    title = f"{heading(up)} against seconds per slice"
    chart = points("cost-chart", title, "seconds per slice (logarithmic)", heading(up), shown, log=True)
    names = list(dict.fromkeys(line.strategy for line in found))
    key = "".join(f'<li><span class="swatch tone{tone[n] % 6}"></span>{escape(n)}</li>' for n in names)
    legend_ = f'<ul class="legend">{key}</ul>' if len(names) > 1 else ""
    costs = [line[0].data for line in rows[table.key] if line and line[0].data["denoiser_key"]]
    where = _where(costs)
    return (
        '<section id="cost"><h2>What it costs</h2><p>Low and to the left is good. Times are those of the machine that ran '
        f"the cells{where}, which differ a little from run to run.</p>"
        f'<div class="charts"><figure><figcaption>{escape(title)}</figcaption>{legend_}{chart}</figure>'
        f"</div>{_cost_table(costs, found, up)}</section>"
    )


def _where(costs: Sequence[dict[str, Any]]) -> str:
    devices = sorted({str(d["cost"].get("device", "")) for d in costs} - {""})
    return f" ({escape(', '.join(devices))})" if devices else ""


def _cost_table(costs: Sequence[dict[str, Any]], found: Sequence[Line], up: str) -> str:
    """``costs``: the rows of the first seed, in the order of the table."""
    columns = {
        "seconds_per_slice": "seconds per slice", "network_calls": "network calls", "parameters": "parameters",
        "inference_memory_mb": "memory MB", "seconds_training": "training s",
    }  # fmt: skip
    of = {(d["denoiser_key"], d["strategy"]): d["cost"] for d in costs}
    rows = ""
    for line in found:
        cost = {**of.get((line.key, line.strategy), {}), **line.mean}
        cells = "".join(f"<td>{short(float(cost[c])) if cost.get(c) is not None else '—'}</td>" for c in (*columns, up))
        rows += f'<tr><th scope="row">{escape(name_of(line))}</th>{cells}</tr>'
    heads = "".join(f'<th scope="col">{text}</th>' for text in (*columns.values(), escape(heading(up))))
    caption = "Cost of denoising a slice and of training"
    head = f'<thead><tr><th scope="col">Denoiser + training</th>{heads}</tr></thead>'
    return scroll(
        f"<table><caption><span>{caption}</span></caption>{head}<tbody>{rows}</tbody></table>", caption, "cost-values"
    )
