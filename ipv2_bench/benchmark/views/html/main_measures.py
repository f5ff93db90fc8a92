"""Which measures the page puts first, chosen from the catalogue."""

from __future__ import annotations

from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.metrics.base import Column

TRUE_ERROR = "rmse_hu"
"""The one error against the aligned truth that stands for the others: that of the whole slice."""

ASKED = (TRUE_ERROR, "psnr_db", "noise_hu_lung", "noise_hu_background")
"""What the results speak of besides a distance: the whole slice, and the noise of the two regions that the modules change
(the lung, by 2 and 3; the background, by 1). No property of a column says so."""


def main_distance(view: TableView) -> Column | None:
    """The distance that stands for the others, FID before all; ``None`` where none is measured."""
    name = view.catalogue.main_distance(column.name for column in view.present("distance"))
    return view.catalogue.columns[name] if name else None


def main_error(view: TableView) -> Column | None:
    """The true error where every line has it, else the main distance."""
    known = TRUE_ERROR in view.catalogue.columns and all(TRUE_ERROR in line.values for line in view.lines)
    return view.catalogue.columns[TRUE_ERROR] if known else main_distance(view)


def asked(view: TableView) -> list[Column]:
    """What the results speak of: the main distance and :data:`ASKED`, as far as they are measured."""
    distance = main_distance(view)
    present = {column.name: column for column in view.present("fidelity")}
    return [*([distance] if distance else []), *(present[name] for name in ASKED if name in present)]


def charted(view: TableView) -> list[Column]:
    """What has a chart: :func:`asked` without decibels, which say the same as the error in HU."""
    return [column for column in asked(view) if column.unit != "dB"]


def prices(view: TableView) -> list[Column]:
    """What may get worse while the asked measures improve.

    Other errors of the table in HU, and every measure for which a number is ideal, such as a bias of 0 or a sharpness of 1.
    """
    return [
        column
        for column in view.present("fidelity", "detail")
        if not isinstance(column.ideal, str)
        or (column.group == "fidelity" and column.unit == "HU" and column.name not in ASKED)
    ]
