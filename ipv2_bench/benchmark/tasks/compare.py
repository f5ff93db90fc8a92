"""A new denoiser beside the baselines: same data, budget, seeds and measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.tasks.comparison import comparison
from ipv2_bench.benchmark.tasks.reproduce import Outcome, run_tables
from ipv2_bench.benchmark.views.line_pairs import LinePair, distinct_titles, newcomer_pairs
from ipv2_bench.benchmark.views.markdown import table_markdown
from ipv2_bench.benchmark.views.table_view import MAIN, TableView
from ipv2_bench.benchmark.views.templating import render
from ipv2_bench.files import csv_text, write_text
from ipv2_bench.metrics.base import Column


@dataclass(frozen=True)
class PairRow:
    """The names of a pair's lines, and its difference in words by column."""

    denoiser: str
    against: str
    texts: dict[str, str]


def compare(
    config: Config, denoisers: Sequence[str], strategy: str, background: str | None, progress: bool = True
) -> tuple[str, Outcome]:
    """Train and measure denoisers as the baselines were, and say how each differs from them.

    Baselines that are complete with these settings are used again. Tables, rows and pictures are written under
    ``leaderboards/<name>/compare_<denoiser>_<strategy>.*``.

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
    pairs = newcomer_pairs(view.lines, view.table.newcomers)
    text = table_markdown(view) + "\n" + pairs_markdown(view, pairs)
    write_text(outcome.out / f"{table.key}_pairs.csv", pairs_csv(view, pairs))
    write_text(outcome.out / f"{table.key}_pairs.md", text)
    return text, outcome


def pairs_csv(view: TableView, pairs: Sequence[LinePair]) -> str:
    """The paired difference of each pair in each column that both lines have, as CSV."""
    titles, columns = distinct_titles(view.lines), view.present(*MAIN)
    return csv_text(_row(titles, pair, c) for pair in pairs for c in columns if pair.has(c))


def _row(titles: dict[str | None, str], pair: LinePair, column: Column) -> dict[str, Any]:
    interval = pair.difference(column)
    return {
        "denoiser": titles[pair.line.key],
        "against": titles[pair.base.key],
        "measure": column.name,
        "difference": pair.change(column),
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "better": pair.improves(column),
        "real": real_text(pair, column),
    }


def pairs_markdown(view: TableView, pairs: Sequence[LinePair]) -> str:
    """The paired differences in the columns that every line has, and what denoising costs, as Markdown."""
    columns = [c for c in view.present(*MAIN) if all(c.name in line.values for line in view.lines)]
    titles = distinct_titles(view.lines)
    rows = [
        PairRow(titles[p.line.key], titles[p.base.key], {c.name: difference_text(p, c) for c in columns}) for p in pairs
    ]
    return render("pairs.md.j2", columns=columns, rows=rows, view=view, titles=titles, costs=view.present("cost"))


def real_text(pair: LinePair, column: Column) -> str:
    """``yes`` where the interval of the difference excludes 0, ``for this seed`` with one training seed, else ``no``."""
    interval = pair.difference(column)
    if interval is None or not interval.excludes_zero:
        return "no"
    return "yes" if interval.tells else "for these seeds" if len(pair.line.seeds) > 1 else "for this seed"


def difference_text(pair: LinePair, column: Column) -> str:
    """The difference, its interval and what they mean."""
    interval, real = pair.difference(column), real_text(pair, column)
    between = "" if interval is None else f" [{interval.low:.3g}, {interval.high:.3g}]"
    verdict = "not sure" if real == "no" else "better" if pair.improves(column) else "worse"
    return f"{pair.change(column):+.3g}{between}: {verdict}" + ("" if real in ("yes", "no") else f", {real}")
