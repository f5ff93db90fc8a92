"""The layout of a benchmark's report on Weights & Biases: tables, measures, cost, training and pictures of its runs.

It is described here; ``ipv2-bench wandb-report`` creates it on W&B once the runs have been sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.rows.choose import read_rows
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.views.markdown import table_markdown
from ipv2_bench.benchmark.views.table_view import MAIN, TableView
from ipv2_bench.benchmark.views.tables import table_views
from ipv2_bench.benchmark.views.wandb.wishes import logged_in, variable
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.metrics.base import Column, FeatureSpace
from ipv2_bench.metrics.catalogue import Catalogue, catalogue

TRAINING = {
    "train/loss": "training loss",
    "val/loss": "validation loss",
    "train/lr": "learning rate",
    "train/slices_per_s": "training slices per second",
    "train/gpu_memory_mb": "GPU memory MB",
}
"""Curves of training: key in the runs → title."""

PICTURES = {
    "Lung window": ("lung/uLDCT", "lung/denoised", "lung/NDCT", "lung/truth", "lung/difference"),
    "Mediastinal window": ("mediastinum/uLDCT", "mediastinum/denoised", "mediastinum/NDCT", "mediastinum/truth"),
    "Magnified": ("zoom/uLDCT", "zoom/denoised", "zoom/NDCT", "zoom/truth"),
    "The ten worst slices: uLDCT, denoised, target": ("worst",),
    "Steps of sampling": ("states",),
    "A validation slice while training: uLDCT, denoised, target": ("validation",),
}
"""Sections of pictures: heading → media keys without ``images/``."""

FIDELITY_AGAINST_COST = "rmse_hu"
"""Column that is plotted against the time per slice, besides the Fréchet distances."""

WIDE = 24
"""Columns of W&B's grid."""


def publish_report(config: Config, entity: str | None) -> str:
    """Create the report of a benchmark on W&B and return its address.

    Parameters
    ----------
    config
        Settings of a benchmark whose rows exist and whose runs have been sent.
    entity
        User or team of the project; ``None`` for the account's own.

    Raises
    ------
    InputError
        When the package is missing, nobody is logged in, W&B refuses the report, or there are no rows.
    """
    report = layout(config, entity or variable("WANDB_ENTITY") or _own_entity())
    try:
        report.save()
    except Exception as error:  # whatever the network or the service raises
        raise InputError(
            f"W&B did not take the report ({cause_of(error)}): send the runs first, with wandb sync, "
            "and see wandb login --verify"
        ) from error
    return str(report.url)


def _own_entity() -> str:
    """The default entity of the account that is logged in."""
    import wandb

    if not logged_in():
        raise InputError("nobody is logged in to W&B: run wandb login, and give --entity for a team's project")
    try:
        entity = wandb.Api().default_entity
    except Exception as error:  # whatever the network or the service raises
        raise InputError(
            f"W&B does not answer ({cause_of(error)}): see wandb login --verify"
        ) from error
    if not entity:
        raise InputError("the account of W&B has no entity of its own: give --entity, a user or team")
    return str(entity)


def layout(config: Config, entity: str) -> Any:
    """The report, not yet sent: a ``wandb_workspaces.reports.v2.Report``.

    Parameters
    ----------
    config
        Settings of a benchmark whose rows exist.
    entity
        User or team of the project.

    Raises
    ------
    InputError
        When the package is missing or there are no rows.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
    except ImportError:
        raise InputError("W&B's reports need a package: pip install 'ipv2-bench[wandb-report]'") from None
    tables = load_tables(config)
    views = table_views(config, tables, read_rows(config.out, tables, config))
    blocks: list[Any] = [
        wr.P(
            "Rendered from the rows of the leaderboard. Distances compare images with a label; fidelity compares them with "
            "the aligned truth, where it is known."
        ),
        wr.TableOfContents(),
        wr.H1("Tables"),
        *(wr.MarkdownBlock(table_markdown(view)) for view in views.values()),
    ]
    for heading, panels in _sections(wr, catalogue(config.metrics.extra), views).items():
        if panels:
            blocks += [wr.H1(heading), wr.PanelGrid(runsets=[_cells(wr, config, entity)], panels=panels)]
    return wr.Report(
        project=config.wandb.project,
        entity=entity,
        title=f"IPv2-Bench: {config.heading}",
        description=f"Group {config.name}",
        width="fluid",
        blocks=blocks,
    )


def _sections(wr: Any, measures: Catalogue, views: Mapping[str, TableView]) -> dict[str, list[Any]]:
    """Panels by the heading of their section; an empty list where there is nothing to show."""
    present = {column.name for view in views.values() for column in view.present(*MAIN)}
    columns = [column for name, column in measures.columns.items() if name in present]
    sections = {
        "Measures of the denoisers": [_bar(wr, column) for column in columns],
        "Cost against quality": list(_scatters(wr, measures, columns)),
        "Training": [wr.LinePlot(title=title, x="Step", y=[key]) for key, title in TRAINING.items()],
    }
    for heading, keys in PICTURES.items():
        place = wr.Layout(w=WIDE, h=10)
        sections[heading] = [
            wr.MediaBrowser(title=key, media_keys=[f"images/{key}"], num_columns=3, layout=place) for key in keys
        ]
    compared = wr.RunComparer(diff_only="split", layout=wr.Layout(w=WIDE, h=12))
    return {**sections, "What differs between the runs": [compared]}


def _cells(wr: Any, config: Config, entity: str) -> Any:
    """The runs of this benchmark's cells, one line for a denoiser and strategy, its seeds joined."""
    from wandb_workspaces import expr

    return wr.Runset(
        entity=entity,
        project=config.wandb.project,
        name=config.name,
        filters=[expr.Metric("Group") == config.name, expr.Metric("JobType") == "cell"],
        groupby=["config.denoiser", "config.strategy"],
    )


def _bar(wr: Any, column: Column) -> Any:
    """Means of a column over the seeds, with their range."""
    return wr.BarPlot(
        title=f"{column.heading} ({column.ideal_text})",
        metrics=[wr.SummaryMetric(column.name)],
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
    )


def _scatters(wr: Any, measures: Catalogue, columns: list[Column]) -> Iterator[Any]:
    """The main distances and the error against the truth, over the time per slice."""
    plotted = {m.frechet for m in measures.measures.values() if isinstance(m, FeatureSpace)} | {FIDELITY_AGAINST_COST}
    time = measures.columns["seconds_per_slice"]
    for column in columns:
        if column.name in plotted:
            yield wr.ScatterPlot(
                title=f"{column.heading} against {time.heading}",
                x=wr.SummaryMetric(time.name),
                y=wr.SummaryMetric(column.name),
                log_x=True,
            )
