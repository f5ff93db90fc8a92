"""Tables that can be read aloud, sorted under headings, and scrolled by keyboard where the page is narrow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from ipv2_bench.benchmark.lines import DETAIL, FIDELITY, OFFLINE, STRUCTURE, Line, baseline, best, better
from ipv2_bench.benchmark.render import change, heading, spread, sure, value
from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, Table

DASH = '<span aria-hidden="true">—</span><span class="unseen">not measured</span>'

Column = tuple[str, str, str]
"""Kind (``measured`` or ``published``), measure, and the heading above."""


def table_html(table: Table, found: Sequence[Line]) -> str:
    """What was measured, each value with its interval and change against the baseline, beside what is published."""
    there = {m for line in found for m in line.mean}
    published = bool(table.published)
    columns: list[Column] = []
    fid = [m for m in PUBLISHED_METRICS if m in there]
    columns += [("measured", m, "Distances, measured") for m in (*fid, *(m for m in OFFLINE if m in there))]
    if not fid and published:
        columns.append(("missing", "", "Distances, measured"))
    columns += [("published", m, "Published") for m in PUBLISHED_METRICS if published]
    columns += [("measured", m, "Against the aligned truth") for m in FIDELITY if m in there]
    return _table(f"{table.key}-values", f"{titled(table.key)}: {table.title}", table, found, columns, True)


def detail_html(table: Table, found: Sequence[Line]) -> str:
    """What else was measured; empty where nothing was."""
    there = {m for line in found for m in line.mean}
    columns = [("measured", m, "In detail") for m in (*DETAIL, *STRUCTURE) if m in there]
    title = f"{titled(table.key)} in detail"
    return _table(f"{table.key}-detail", title, table, found, columns, False) if columns else ""


def _table(
    key: str, caption: str, table: Table, found: Sequence[Line], columns: Sequence[Column], changes: bool
) -> str:
    above = list(dict.fromkeys(c[2] for c in columns))
    counts = [(title, sum(c[2] == title for c in columns)) for title in above]
    groups = "".join(f'<th scope="colgroup" colspan="{n}">{title}</th>' for title, n in counts)
    heads = "".join(f'<th scope="col">{_heading(c)}</th>' for c in columns)
    spans = "".join(f'<colgroup span="{n}"></colgroup>' for _, n in counts)
    what = "Images" if table.images == "label" else "Denoiser + training"
    corner = f'<tr><th scope="col" rowspan="2">{what}</th>{groups}</tr><tr>{heads}</tr>'
    labels = {line.label: [other for other in found if other.label == line.label] for line in found}
    bodies = ""
    for label, own in labels.items():
        marked = {m: best(own, m) for kind, m, _ in columns if kind == "measured"}
        head = f'<th class="label" scope="rowgroup" colspan="{1 + len(columns)}">Distances to the label {escape(label)}</th>'
        rows = "".join(_row(list(found), line, columns, marked, changes) for line in own)
        bodies += f"<tbody><tr>{head}</tr>{rows}</tbody>"
    title = f"<caption><span>{escape(caption)}</span></caption>"
    made = f"<table>{title}<colgroup></colgroup>{spans}<thead>{corner}</thead>{bodies}</table>"
    return scroll(made, caption, key)


def scroll(table: str, name: str, key: str) -> str:
    """A region of its own around a wide table, which the arrow keys scroll."""
    label = f"{escape(name)}, a table to scroll"
    return f'<div class="scroll" id="{key}" tabindex="0" role="region" aria-label="{label}">{table}</div>'


def titled(key: str) -> str:
    """How a table is called: ``table1`` is "Table 1"."""
    return (
        re.sub(r"(?<=[a-z])(?=\d)", " ", key.replace("_", " ")).capitalize() if key.islower() else key.replace("_", " ")
    )


def _heading(column: Column) -> str:
    kind, metric, _ = column
    if kind == "missing":
        return "FID, KID, CLIP\u2011FID"
    return escape(heading(metric))


def name_of(line: Line) -> str:
    """What a line is called."""
    return f"{line.denoiser} + {line.strategy}" if line.denoiser else f"{line.strategy}(NDCT)"


def _row(
    found: list[Line], line: Line, columns: Sequence[Column], marked: dict[str, Line | None], changes: bool
) -> str:
    base = baseline(found, line)
    cells = ""
    for kind, metric, _ in columns:
        if kind == "missing":
            cells += f"<td>{DASH}</td>"
        elif kind == "published":
            ours = line.strategy.endswith("]")
            text = f"{line.published[metric]:g}" if metric in line.published else "ours" if ours else DASH
            cells += f'<td class="published">{text}</td>'
        elif metric not in line.mean:
            cells += f"<td>{DASH}</td>"
        else:
            cells += f"<td>{_cell(line, base if changes else None, metric, marked[metric] is line)}</td>"
    return f'<tr><th scope="row">{escape(name_of(line))}</th>{cells}</tr>'


def _cell(line: Line, base: Line | None, metric: str, is_best: bool) -> str:
    text = f'<data value="{line.mean[metric]:.6g}">{_minus(value(line, metric))}</data>'
    if is_best:
        text = f'<strong>{text}</strong><span class="unseen"> (best)</span>'
    if around := spread(line, metric):
        text += f' <span class="spread">{around}</span>'
    if found := change(line, base, metric):
        assert base is not None
        good = better(metric, line.mean[metric], base.mean[metric])
        certain = sure(line, base, metric)
        star = '*<span class="unseen"> interval excludes zero</span>' if certain else ""
        word = '<span class="unseen"> better,</span>' if good else '<span class="unseen"> worse,</span>'
        text += (
            f'<span class="change {"good" if good else "bad"}{" firm" * certain}">{word}{_minus(found)}{star}</span>'
        )
    return text


def _minus(text: str) -> str:
    return text.replace("-", "−")
