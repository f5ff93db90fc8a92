"""Tables as Markdown."""

from __future__ import annotations

from ipv2_bench.benchmark.views.sentences import COPYING, NOT_MEANT, bounds, certainty, directions, legend
from ipv2_bench.benchmark.views.table_view import DETAIL, MAIN, WAY, Cell, TableView
from ipv2_bench.benchmark.views.templating import render


def table_markdown(view: TableView) -> str:
    """The table for people: each measured value with its change against IPv1, beside the published ones."""
    text = " ".join([legend(view.lines) + certainty(view), *bounds(view)])
    return render(
        "table.md.j2",
        view=view,
        heading=view.heading,
        title=view.table.title,
        not_meant=NOT_MEANT,
        columns=view.present(*MAIN),
        published=view.published,
        way=WAY if view.ways else "",
        cell=lambda line, column: cell_markdown(view.cell(line, column)),
        legend=f"{text} {COPYING}" if view.table.of_labels else text,
        directions=directions(view),
    )


def detail_markdown(view: TableView) -> str:
    """What else was measured: bias and bone, sharpness, colour of the noise, nodules, extrapolated distances, structure."""
    return render(
        "table.md.j2",
        view=view,
        heading=view.heading,
        title=f"{view.table.title}, in detail",
        not_meant=NOT_MEANT,
        columns=view.present(*DETAIL),
        published=[],
        way="",
        cell=lambda line, column: cell_markdown(view.cell(line, column, compared=False)),
        legend=f"{legend(view.lines)}.",
        directions=[],
    )


def cell_markdown(cell: Cell) -> str:
    """A cell: value, in brackets the interval, and in parentheses the change."""
    change = f"({cell.change}{'*' * cell.certain})" if cell.change else ""
    value = f"{cell.text}†" if cell.is_beaten else cell.text
    text = " ".join(part for part in (value, cell.spread, change) if part)
    return f"**{text}**" if cell.is_best else text
