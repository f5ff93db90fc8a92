"""What came out, in a few sentences, a small table, and the differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ipv2_bench.benchmark.lines import HIGHER_IS_BETTER, Line, baseline, better
from ipv2_bench.benchmark.render import heading, tallies
from ipv2_bench.benchmark.report.charts import Bar, differences
from ipv2_bench.benchmark.report.html_tables import name_of, scroll, titled
from ipv2_bench.benchmark.tables import Table

PRICE = {"noise_hu_tissue": 0.0, "rmse_hu_rim": 0.0, "bias_hu_lung": 0.0, "edge_mtf50": 1.0, "nodule_contrast": 1.0}
"""Measures that a strategy may make worse while its distance improves, and what they are at best."""

ASKED = ("rmse_hu", "psnr_db", "noise_hu_lung", "noise_hu_background")


VARIANTS = "Variants against the unchanged denoiser"


@dataclass(frozen=True)
class Pair:
    """A line and the one that it is held against; ``subject`` names the question that they answer, ``short`` in a chart."""

    subject: str
    line: Line
    base: Line
    short: str


def distance(found: Sequence[Line]) -> str:
    """The distance that speaks for the others: FID where it is measured, its offline kin elsewhere."""
    there = {m for line in found for m in line.mean}
    return next((m for m in ("fid", "fd_randconv") if m in there), "")


def pairs(table: Table, found: Sequence[Line]) -> list[Pair]:
    """What a table compares: newcomers with the others, variants with what they vary, strategies with IPv1."""
    if table.newcomers:
        new = [line for line in found if line.key in table.newcomers]
        others = [line for line in found if line.key not in table.newcomers]
        return [Pair(f"{name_of(a)} against the others", a, b, name_of(a)) for a in new for b in others]
    made = []
    for line in found:
        base = baseline(list(found), line)
        if base is not None and base is not line:
            subject = VARIANTS if line.variant_of else f"Trained on {line.strategy} instead of IPv1"
            made.append(Pair(subject, line, base, "Variants" if line.variant_of else line.strategy))
    return made


def measures(found: Sequence[Line]) -> list[str]:
    """What the bottom line speaks of."""
    there = {m for line in found for m in line.mean}
    return [m for m in (distance(found), *ASKED) if m in there]


def bottom_line(tables: Sequence[Table], lines: dict[str, list[Line]]) -> str:
    """The section's inside, from the first table of denoised images whose lines can be compared."""
    for table in tables:
        found = lines[table.key]
        if table.images == "denoised" and (compared := pairs(table, found)):
            break
    else:
        return "<p>No line of these tables has another to be held against: see the tables.</p>"
    asked = measures(found)
    subjects = list(dict.fromkeys(p.subject for p in compared))
    out = [_lead([p for p in compared if p.subject == s], s, asked, i == 0) for i, s in enumerate(subjects)]
    out.append(f"<p>{_how_sure(compared)}</p>")
    out.append(_summary(compared, subjects, asked))
    charts = [_chart(compared, subjects, m) for m in asked if m != "psnr_db"]
    explained = (
        "The difference of each pair and its 95 % interval. Filled: the interval excludes zero; hollow: it does not."
    )
    out.append(f"<h3>By how much, and how sure</h3><p>{explained}</p>")
    out.append(f'<div class="charts">{"".join(charts)}</div>')
    return "".join(out) + _directions(tables, lines)


def _lead(own: Sequence[Pair], subject: str, asked: Sequence[str], first: bool) -> str:
    """One sentence on a question: how many pairs got better by distance and by the truth."""
    towards = {asked[0]: f"nearer to the {escape(own[0].line.label)}", "rmse_hu": "nearer to the aligned truth"}
    parts = []
    for m in (m for m in towards if m in asked):
        judged = [p for p in own if m in p.line.mean and m in p.base.mean]
        good = sum(better(m, p.line.mean[m], p.base.mean[m]) for p in judged)
        if judged:
            parts.append(
                f"<strong>{good} of {len(judged)}</strong> {towards[m]} ({escape(heading(m))} {_range(judged, m)})"
            )
    text = f"{escape(subject)}: {' and '.join(parts)}." if parts else f"{escape(subject)}: nothing could be compared."
    price = _price(own)
    return f"<p{' class=lead' if first else ''}>{text}</p>" + (f"<p>{price}</p>" if price else "")


def _price(own: Sequence[Pair]) -> str:
    """What gets worse with an interval that excludes zero: what the paper's own measures do not see."""
    said = []
    for m in PRICE:
        judged = [p for p in own if m in p.line.mean and m in p.base.mean]
        worse = [p for p in judged if _off(m, p.line.mean[m]) > _off(m, p.base.mean[m])]
        firm = [p for p in worse if (d := p.line.less(p.base, m)) is not None and d.excludes_zero]
        if firm:
            said.append(f"{escape(heading(m))} ({len(firm)} of {len(judged)})")
    return f"What gets worse, with an interval that excludes zero: {', '.join(said)}." if said else ""


def _off(metric: str, number: float) -> float:
    """How far a measure is from perfect."""
    return abs(number - PRICE[metric])


def _range(own: Sequence[Pair], metric: str) -> str:
    """The smallest and largest relative change."""
    made = sorted(100 * (p.line.mean[metric] / p.base.mean[metric] - 1) for p in own if p.base.mean[metric] > 0)
    if not made:
        return ""
    ends = [f"{x:+.0f}".replace("-", "−") for x in (made[0], made[-1])]
    return f"{ends[0]} %" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} %"


def _how_sure(compared: Sequence[Pair]) -> str:
    line = compared[0].line
    seeds, patients = len(line.seeds), line.sample.patients if line.sample else 0
    over = (
        f"{patients} test patients" if patients > 1 else "the slices of one patient" if patients else "the test slices"
    )
    if line.sample is None:
        return "There are no intervals: how sure this is cannot be said."
    if seeds == 1:
        return (
            f"<strong>How sure is this?</strong> The intervals are over {over} and <strong>one training seed</strong>: they "
            "say nothing of how another training would turn out, so nothing here is called best."
        )
    kept = " With so few, only large differences can exclude zero." if min(seeds, patients or 1) < 4 else ""
    return f"<strong>How sure is this?</strong> The intervals are over {seeds} training seeds and {over}.{kept}"


def _summary(compared: Sequence[Pair], subjects: Sequence[str], asked: Sequence[str]) -> str:
    """Per question and measure: how many pairs improved, and of how many the interval excludes zero."""
    rows = ""
    for s in subjects:
        cells = ""
        for m in asked:
            own = [p for p in compared if p.subject == s and m in p.line.mean and m in p.base.mean]
            good = [p for p in own if better(m, p.line.mean[m], p.base.mean[m])]
            firm = sum((d := p.line.less(p.base, m)) is not None and d.excludes_zero for p in good)
            cells += (
                f'<td>{len(good)} of {len(own)}<span class="spread"> {firm} sure</span></td>' if own else "<td>—</td>"
            )
        rows += f'<tr><th scope="row">{escape(s)}</th>{cells}</tr>'
    heads = "".join(f'<th scope="col">{escape(heading(m))}</th>' for m in asked)
    caption = "In how many pairs each measure is better; sure: the interval of the paired difference excludes zero"
    head = f'<thead><tr><th scope="col">Question</th>{heads}</tr></thead>'
    made = f"<table><caption><span>{caption}</span></caption>{head}<tbody>{rows}</tbody></table>"
    return scroll(made, "How many pairs got better", "summary")


def _chart(compared: Sequence[Pair], subjects: Sequence[str], metric: str) -> str:
    rows = []
    for p in sorted(compared, key=lambda pair: subjects.index(pair.subject)):
        if metric not in p.line.mean or metric not in p.base.mean:
            continue
        d = p.line.less(p.base, metric)
        low, high = (d.low, d.high) if d is not None else (None, None)
        after, before = p.line.mean[metric], p.base.mean[metric]
        rows.append(
            Bar(
                _short_name(p),
                after - before,
                low,
                high,
                group=p.short if len(subjects) > 1 else "",
                firm=d is not None and d.excludes_zero,
                good=better(metric, after, before),
            )
        )
    if not rows:
        return ""
    title = f"Difference in {heading(metric)}"
    chart = differences(f"difference-{metric}", title, rows, metric not in HIGHER_IS_BETTER)
    return f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>"


def _short_name(pair: Pair) -> str:
    if pair.subject.endswith("against the others"):
        return f"against {pair.base.denoiser}"
    return pair.line.denoiser


def _directions(tables: Sequence[Table], found: dict[str, list[Line]]) -> str:
    """How much of what the paper publishes comes out, table by table."""
    rows = []
    for table in tables:
        said = [
            f"{t.what[0].lower()}{t.what[1:]} in <strong>{t.cells - len(t.missed)} of {t.cells}</strong> cells"
            for t in tallies(found[table.key])
        ]
        if said:
            rows.append(f'<li><a href="#{table.key}">{titled(table.key)}</a>: {"; ".join(said)}.</li>')
    if not rows:
        return ""
    title = "<h3>Do the paper’s directions come out?</h3>"
    return f"{title}<ul>{''.join(rows)}</ul><p>Each table says in which cells they do not.</p>"
