"""The learning curve: what one denoiser reaches under each strategy after more and more steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.lines import Line, table_lines
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import FILTERS, NDCT, UNTOUCHED, Table, TableLine
from ipv2_bench.benchmark.views.figures import pyplot, save_figure
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.errors import InputError
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.metrics.base import Column, FeatureSpace
from ipv2_bench.purification.strategy import ORACLE, Strategy

STEPS = (250, 500, 1000, 2000, 4000, 8000)
"""Trainings of so many steps each, every one with its whole schedule."""

ERRORS = ("rmse_hu", "rmse_hu_rim")
"""Of the slice, and along the outline of the body, where breathing misaligns pairs most."""

COLOURS = ("#ff725c", "#4269d0", "#3ca951", "#9c6b4e")


def learning_curve(config: Config, denoiser: str = "fm", steps: Sequence[int] = STEPS, progress: bool = True) -> str:
    """Train one denoiser under IPv1, IPv2, IPv2 with both_outside and on aligned pairs, for more and more steps.

    ``curve.csv`` holds errors and Fréchet distances with their intervals, ``curve.md`` the same as a table, and ``curve.png``
    shows them beside the classical filters and the budget of the configuration. Trainings resume, and are shared with the tables.

    Parameters
    ----------
    config
        Of a benchmark on data whose truth is known; its first seed is used.
    denoiser
        Key of a denoiser.
    steps
        Lengths of training.
    progress
        Show progress.

    Returns
    -------
    str
        The Markdown table.

    Raises
    ------
    InputError
        When the truth is not known, steps are no positive numbers, or a training fails.
    """
    if not steps or min(steps) < 1:
        raise InputError(f"--steps is {', '.join(map(str, steps)) or 'empty'}: expected positive numbers of steps")
    table = _table(denoiser)
    points: list[_Point] = []
    columns: list[Column] = []
    for n in sorted(set(steps)):
        train = config.train.model_copy(update={"steps": n, "epochs": None})
        benchmark = Benchmark.open(config.model_copy(update={"train": train, "seeds": config.seeds[:1]}), [table], progress)
        benchmark.prepared.need_truth()
        failures = benchmark.compute(progress)
        if failures:
            raise InputError(f"{failures[0].name} failed at {n} steps: {failures[0].message}")
        lines = table_lines(table, Rows(benchmark).of_table(table))
        catalogue = benchmark.prepared.catalogue
        there = {name for line in lines for name in line.values}
        frechet = {m.frechet for m in catalogue.measures.values() if isinstance(m, FeatureSpace)}
        columns = [c for name, c in catalogue.columns.items() if name in there and (name in ERRORS or name in frechet)]
        found = [_point(line, n, columns) for line in lines]
        points += [p for p in found if p.steps is not None or n == min(steps)]  # what is not trained stays as it is
    headings = {"images": "images", "steps": "steps", **{c.name: c.heading for c in columns}}
    markdown = render("plain_table.md.j2", columns=headings, rows=[p.shown(columns) for p in points])
    write_text(config.out / "curve.csv", csv_text([p.record() for p in points], digits=4))
    write_text(config.out / "curve.md", markdown)
    _draw(points, columns, config.train.steps, config.out / "curve.png")
    return markdown


def _table(denoiser: str) -> Table:
    oracle = Strategy.from_name(ORACLE)
    strategies = [Strategy.from_name("IPv1"), Strategy.from_name("IPv2"), Strategy.from_name("IPv2", background="both_outside")]
    lines = [TableLine(NDCT, denoiser, strategy) for strategy in (*strategies, oracle)]
    lines += [TableLine(NDCT, UNTOUCHED, Strategy.from_name("raw")), *(TableLine(NDCT, name, oracle) for name in FILTERS[:2])]
    return Table("curve", f"learning curve of {denoiser}", False, tuple(lines), {})


@dataclass(frozen=True)
class _Point:
    """A line after some steps, ``None`` for what is not trained so: by column its mean and the ends of its interval."""

    name: str
    steps: int | None
    values: dict[str, float]
    ends: dict[str, tuple[float, float]]

    def record(self) -> dict[str, object]:
        """A line of the CSV file."""
        found: dict[str, object] = {"images": self.name, "steps": self.steps}
        for name, value in self.values.items():
            low, high = self.ends.get(name, (None, None))
            found |= {name: value, f"{name}_low": low, f"{name}_high": high}
        return found

    def shown(self, columns: Sequence[Column]) -> dict[str, str]:
        """A line of the Markdown table."""
        steps = "–" if self.steps is None else str(self.steps)
        return {"images": self.name, "steps": steps, **{c.name: c.text(self.values[c.name]) for c in columns}}


def _point(line: Line, steps: int, columns: Sequence[Column]) -> _Point:
    trained = line.key != UNTOUCHED and line.key not in FILTERS
    ends = {c.name: (own.low, own.high) for c in columns if (own := line.interval(c)) is not None}
    return _Point(line.name, steps if trained else None, {c.name: line.mean[c.name] for c in columns}, ends)


def _draw(points: Sequence[_Point], columns: Sequence[Column], budget: int | None, path: Path) -> None:
    """A panel for each column: a curve for each training, filters as horizontal lines, the tables' budget as a vertical one."""
    figure, axes = pyplot().subplots(1, len(columns), figsize=(5.0 * len(columns), 4.4), squeeze=False)
    trained = [(p, p.steps) for p in points if p.steps is not None]
    names = list(dict.fromkeys(p.name for p, _ in trained))
    for axis, column in zip(axes[0], columns, strict=True):
        key = column.name
        for name, colour in zip(names, COLOURS, strict=False):
            own = [(p, n) for p, n in trained if p.name == name]
            across = [n for _, n in own]
            axis.plot(across, [p.values[key] for p, _ in own], ".-", color=colour, label=name)
            if all(key in p.ends for p, _ in own):
                low, high = ([p.ends[key][end] for p, _ in own] for end in (0, 1))
                axis.fill_between(across, low, high, color=colour, alpha=0.12, lw=0)
        floor = {p.name: p.values[key] for p in points if p.steps is None}
        for (name, value), style in zip(floor.items(), (":", "--", "-."), strict=False):
            axis.axhline(value, color="grey", ls=style, lw=1, label=name)
        if budget is not None:
            axis.axvline(budget, color="black", lw=0.8, alpha=0.6)
        axis.set_xscale("log")
        axis.set_xticks(sorted({n for _, n in trained}))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.set_xlabel("training steps (vertical: the tables')")
        axis.set_ylabel(column.heading)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.25)
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    save_figure(figure, path, dpi=90)
