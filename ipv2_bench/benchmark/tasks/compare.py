"""A new denoiser beside the baselines: same data, budget, seeds and measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.tasks.comparison import comparison
from ipv2_bench.benchmark.tasks.reproduce import Outcome, run_tables
from ipv2_bench.benchmark.views.markdown import table_markdown
from ipv2_bench.benchmark.views.table_view import MAIN, TableView
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.metrics.base import Column


@dataclass(frozen=True)
class Difference:
    """A column's paired difference between a new denoiser and another."""

    column: Column
    line: Line
    other: Line

    @property
    def value(self) -> float:
        """New minus other."""
        return self.line.mean[self.column.name] - self.other.mean[self.column.name]

    @property
    def ends(self) -> tuple[float, float] | None:
        """Ends of its 95 % interval; ``None`` where there is none."""
        d = self.line.difference_to(self.other, self.column.name)
        return None if d is None else (d.low, d.high)

    @property
    def better(self) -> bool:
        """Whether the new denoiser is better."""
        return self.column.better(self.line.mean[self.column.name], self.other.mean[self.column.name])

    @property
    def real(self) -> str:
        """``yes`` where the interval excludes 0, ``for this seed`` with one training seed, else ``no``."""
        d = self.line.difference_to(self.other, self.column.name)
        if d is None or not d.excludes_zero:
            return "no"
        return "yes" if d.tells else "for these seeds" if len(self.line.seeds) > 1 else "for this seed"

    @property
    def text(self) -> str:
        """The difference, its interval and what they mean."""
        ends = self.ends
        between = "" if ends is None else f" [{ends[0]:.3g}, {ends[1]:.3g}]"
        verdict = ("better" if self.better else "worse") if self.real != "no" else "not sure"
        return f"{self.value:+.3g}{between}: {verdict}" + ("" if self.real in ("yes", "no") else f", {self.real}")


def compare(
    config: Config, denoisers: Sequence[str], strategy: str, background: str, progress: bool = True
) -> tuple[str, Outcome]:
    """Train and measure denoisers as the baselines were, and say how each differs from them.

    Baselines that are complete with these settings are used again. Tables, rows and pictures are written under
    ``leaderboards/<name>/compare_<denoiser>.*``.

    Parameters
    ----------
    config
        Data, budget, seeds.
    denoisers
        Registry keys, names of variants, or ``package.module:Class``.
    strategy, background
        Of the training pairs, and its rule of module 1.
    progress
        Show progress.

    Returns
    -------
    tuple
        Markdown, and what :func:`~ipv2_bench.benchmark.tasks.reproduce.run_tables` gave.

    Raises
    ------
    InputError
        When a name is unknown or the data are not usable.
    """
    table = comparison(denoisers, strategy, background)
    outcome = run_tables(config, [table], progress)
    view = outcome.views[table.key]
    differences = pairs(view)
    text = table_markdown(view) + "\n" + _markdown(view, differences)
    write_text(outcome.out / f"{table.key}_pairs.csv", csv_text(map(_row, differences)))
    write_text(outcome.out / f"{table.key}_pairs.md", text)
    return text, outcome


def pairs(view: TableView) -> list[Difference]:
    """Every new denoiser against every other one, column by column."""
    new = [line for line in view.lines if line.key in view.table.newcomers]
    others = [line for line in view.lines if line.key not in view.table.newcomers]
    return [
        Difference(column, line, other)
        for line in new
        for other in others
        for column in view.present(*MAIN)
        if column.name in line.values and column.name in other.values
    ]


def _row(d: Difference) -> dict[str, Any]:
    low, high = d.ends or (None, None)
    return {
        "denoiser": d.line.denoiser,
        "against": d.other.denoiser,
        "measure": d.column.name,
        "difference": d.value,
        "low": low,
        "high": high,
        "better": d.better,
        "real": d.real,
    }


def _markdown(view: TableView, differences: Sequence[Difference]) -> str:
    columns = [c for c in view.present(*MAIN) if all(c.name in line.values for line in view.lines)]
    rows: dict[str, dict[str, str]] = {}
    for d in differences:
        rows.setdefault(f"{d.line.denoiser} against {d.other.denoiser}", {})[d.column.name] = d.text
    return render("pairs.md.j2", columns=columns, rows=rows, view=view, costs=view.present("cost"))
