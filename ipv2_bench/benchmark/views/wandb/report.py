"""The layout of a benchmark's report on Weights & Biases: tables, measures, cost, training and pictures of its runs.

It is described here and made there by ``ipv2-bench wandb-report``, once the runs have been sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.dashboard import logged_in
from ipv2_bench.benchmark.from_rows import rendered
from ipv2_bench.benchmark.lines import FIDELITY, HIGHER_IS_BETTER, OFFLINE, Line
from ipv2_bench.benchmark.render import heading
from ipv2_bench.benchmark.row_choice import read_rows
from ipv2_bench.benchmark.tables import PUBLISHED_METRICS, load_tables
from ipv2_bench.errors import InputError

TRAINING = {
    "train/loss": "training loss",
    "val/loss": "validation loss",
    "train/lr": "learning rate",
    "train/slices_per_s": "training slices per second",
    "train/gpu_memory_mb": "GPU memory MB",
}
PICTURES = {
    "Lung window": ("lung/uLDCT", "lung/denoised", "lung/NDCT", "lung/truth", "lung/difference"),
    "Mediastinal window": ("mediastinum/uLDCT", "mediastinum/denoised", "mediastinum/NDCT", "mediastinum/truth"),
    "Magnified": ("zoom/uLDCT", "zoom/denoised", "zoom/NDCT", "zoom/truth"),
    "The ten worst slices: uLDCT, denoised, target": ("worst",),
    "The sampler's road": ("states",),
}
WIDE = 24
"""Columns of W&B's grid."""


def publish_report(config: Config, entity: str) -> str:
    """Make the report of a benchmark on W&B; its address comes back.

    Parameters
    ----------
    config
        Of a benchmark whose rows are there and whose runs have been sent.
    entity
        User or team of the project; the account's own for an empty one.

    Raises
    ------
    InputError
        When the package is missing, nobody is logged in, or there are no rows.
    """
    made = layout(config, entity or _own_entity())
    try:
        made.save()
    except Exception as error:  # whatever the network or the service has
        raise InputError(
            f"W&B did not take the report ({type(error).__name__}: {str(error)[:200]}): send the runs first, with wandb sync, "
            "and see wandb login --verify"
        ) from error
    return str(made.url)


def _own_entity() -> str:
    import wandb

    if not logged_in():
        raise InputError("nobody is logged in to W&B: run wandb login, and give --entity for a team's project")
    try:
        entity = wandb.Api().default_entity
    except Exception as error:  # whatever the network or the service has
        raise InputError(
            f"W&B does not answer ({type(error).__name__}: {str(error)[:200]}): see wandb login --verify"
        ) from error
    if not entity:
        raise InputError("the account of W&B has no entity of its own: give --entity, a user or team")
    return str(entity)


def layout(config: Config, entity: str) -> Any:
    """The report, not yet sent: a ``wandb_workspaces.reports.v2.Report``.

    Parameters
    ----------
    config
        Of a benchmark whose rows are there.
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
    tables, out = load_tables(config), Path(config.run.out) / config.name
    made = rendered(config, tables, read_rows(out, tables, config))
    found = [line for lines in made.lines.values() for line in lines]
    title = config.title or config.name
    blocks: list[Any] = [
        wr.P(
            "Rendered from the rows of the leaderboard. Distances compare images with a label; fidelity compares them with "
            "the aligned truth, where it is known."
        ),
        wr.TableOfContents(),
        wr.H1("Tables"),
        *(wr.MarkdownBlock(text) for text in made.markdown.values()),
    ]
    sections = {
        "Measures of the denoisers": list(_bars(wr, found)),
        "Cost against quality": list(_scatters(wr, found)),
        "Training": [wr.LinePlot(title=text, x="Step", y=[key]) for key, text in TRAINING.items()],
    }
    sections |= {
        name: [
            wr.MediaBrowser(title=key, media_keys=[f"images/{key}"], num_columns=3, layout=wr.Layout(w=WIDE, h=10))
            for key in keys
        ]
        for name, keys in PICTURES.items()
    }
    sections["What differs between the runs"] = [
        wr.RunComparer(diff_only="split", layout=wr.Layout(w=WIDE, h=12)),
    ]
    for name, panels in sections.items():
        if panels:
            blocks += [wr.H1(name), wr.PanelGrid(runsets=[_cells(wr, config, entity)], panels=panels)]
    return wr.Report(
        project=config.wandb.project,
        entity=entity,
        title=f"IPv2-Bench: {title}",
        description=f"Group {config.name}",
        width="fluid",
        blocks=blocks,
    )


def _cells(wr: Any, config: Config, entity: str) -> Any:
    """The runs of cells of this benchmark, one line for a denoiser and strategy, its seeds joined."""
    from wandb_workspaces import expr

    return wr.Runset(
        entity=entity,
        project=config.wandb.project,
        name=config.name,
        filters=[expr.Metric("Group") == config.name, expr.Metric("JobType") == "cell"],
        groupby=["config.denoiser", "config.strategy"],
    )


def _measured(found: Sequence[Line]) -> list[str]:
    return [m for m in (*PUBLISHED_METRICS, *OFFLINE, *FIDELITY) if any(m in line.mean for line in found)]


def _bars(wr: Any, found: Sequence[Line]) -> Iterator[Any]:
    for metric in _measured(found):
        good = "higher" if metric in HIGHER_IS_BETTER else "lower"
        yield wr.BarPlot(
            title=f"{heading(metric)} ({good} is better)",
            metrics=[wr.SummaryMetric(metric)],
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
        )


def _scatters(wr: Any, found: Sequence[Line]) -> Iterator[Any]:
    for metric in [m for m in _measured(found) if m in ("fid", "fd_randconv", "rmse_hu")]:
        yield wr.ScatterPlot(
            title=f"{heading(metric)} against seconds per slice",
            x=wr.SummaryMetric("seconds_per_slice"),
            y=wr.SummaryMetric(metric),
            log_x=True,
        )
