"""The W&B run of a cell: training step by step, measures, pictures and weights.

It is written when the cell is complete, from the cell's own history, so that it has every step once however often training
was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.views.wandb.panels import Panel
from ipv2_bench.benchmark.views.wandb.runs import (
    Destination,
    can_upload,
    is_written,
    log_artifact,
    mark_written,
    write_run,
)
from ipv2_bench.errors import InputError
from ipv2_bench.files import read_csv
from ipv2_bench.fingerprint import digest
from ipv2_bench.stored import present, read_object

VERSION = 4
"""Version of what a run shows: raise when the same cell gives another run."""


SAMPLE = "images/validation"
"""Media key of the validation slice that is shown while a training goes on."""


@dataclass(frozen=True)
class CellRun:
    """What is written into the W&B run of a cell.

    Attributes
    ----------
    folder
        Folder of the cell.
    name
        The cell in words.
    cell_id, measuring
        Hashes of what determines the cell, and of what measures it; together they determine everything below.
    destination
        Where it is written.
    config
        Settings, as plain values.
    tags
        Words by which runs are found: denoiser, strategy, board and seed.
    metrics
        Measures and cost, by name.
    draw
        Draws the pictures.
    given_id
        The run's name where an agent of a sweep has chosen it; empty where it has not.
    """

    folder: Path
    name: str
    cell_id: str
    measuring: str
    destination: Destination
    config: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    draw: Callable[[], list[Panel]] = list
    given_id: str = ""

    @property
    def fingerprint(self) -> str:
        """Hash of what the run says and where."""
        to = self.destination
        named = [self.cell_id, self.name, to.group, to.project, to.mode]
        return digest([*named, self.measuring, can_upload(self.folder), VERSION])

    @property
    def run_id(self) -> str:
        """Name of the run in W&B's files and addresses."""
        return self.given_id or f"{self.cell_id}-{self.fingerprint[:6]}"

    @property
    def marker(self) -> Path:
        """File that marks the run as complete."""
        return self.folder / "wandb.json"

    @property
    def published(self) -> bool:
        """Whether there is nothing to write: W&B is disabled, or the same has been written."""
        return self.destination.mode == "disabled" or (not self.given_id and is_written(self.marker, self.fingerprint))


def publish_cell(cell: CellRun) -> None:
    """Write the run of a cell, unless the same has been written.

    Raises
    ------
    InputError
        When W&B leaves no file.
    """
    if cell.published:
        return
    import wandb

    history, samples = list(_history(cell.folder)), sample_pictures(cell.folder)

    def fill(run: Any) -> None:
        for step, values in history:
            run.log({**values, **{key: as_image(path) for key, path in samples.get(step, {}).items()}}, step=step)
        run.summary.update(cell.metrics)
        for panel in cell.draw():
            images = [wandb.Image(x, caption=c) for x, c in zip(panel.pictures, panel.captions, strict=True)]
            run.log({f"images/{panel.name}": images})
        weights = {f"{prefix}model.safetensors": own / "model.safetensors" for prefix, own in folds_of(cell.folder).items()}
        if all(path.exists() for path in weights.values()):
            log_artifact(run, f"model-{cell.cell_id}", "model", weights, use=True)
        log_artifact(run, images_name(cell.cell_id), "images", {"denoised.npy": cell.folder / "denoised.npy"})

    write_run(fill, cell.run_id, cell.destination, job_type="cell", name=cell.name, config=cell.config, tags=cell.tags)
    if not cell.given_id:
        mark_written(cell.marker, cell.fingerprint)


def images_name(cell_id: str) -> str:
    """Name of the artifact with a cell's denoised images."""
    return f"images-{cell_id}"


def sample_pictures(folder: Path) -> dict[int, dict[str, Path]]:
    """Pictures of a validation slice that a cell's trainings left, by step and media key."""
    pictures: dict[int, dict[str, Path]] = {}
    for prefix, own in folds_of(folder).items():
        for path in sorted((own / "samples").glob("*.png")):
            pictures.setdefault(int(path.stem), {})[f"{prefix}{SAMPLE}"] = path
    return pictures


def as_image(path: Path) -> Any:
    """A picture for W&B, which would write a file's own path down."""
    import wandb
    from PIL import Image

    with Image.open(path) as picture:
        return wandb.Image(np.asarray(picture), caption="uLDCT, denoised, target")


def folds_of(folder: Path) -> dict[str, Path]:
    """Folders of a cell's trainings, by the prefix of what is logged of each: empty where there are no folds."""
    folds = sorted(folder.glob("fold-*"))
    return {f"{fold.name}/": fold for fold in folds} if folds else {"": folder}


def _history(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Each step of a cell's trainings with what is logged of it, in order."""
    steps: dict[int, dict[str, float]] = {}
    for prefix, own in folds_of(folder).items():
        for step, values in _history_of_training(own):
            steps.setdefault(step, {}).update({f"{prefix}{key}": value for key, value in values.items()})
    yield from sorted(steps.items())


def steps_of(folder: Path) -> int:
    """Steps of the complete training in a folder; 0 where it is not complete."""
    cost = folder / "training_cost.json"
    return int(read_object(cost).get("steps", 0)) if present(cost) else 0


def _history_of_training(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Each step of a training with what is logged of it, in order."""
    try:
        steps = list(_steps(folder))
    except (ValueError, KeyError, TypeError):
        steps = []
    whole = steps_of(folder) or len(steps)
    if len(steps) != whole and (folder / "history.csv").exists():
        raise InputError(
            f"{folder / 'history.csv'}, or throughput.csv or samples.csv beside it, is cut off: remove them, and W&B gets no "
            "curve of it"
        )
    yield from steps


def _steps(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    for path in (folder / "throughput.csv", folder / "samples.csv", folder / "history.csv"):
        if path.exists() and not path.read_text(encoding="utf-8").endswith("\n"):
            raise ValueError(path)
    throughput = {int(row["step"]): row for row in read_csv(folder / "throughput.csv")}
    sampled = folder / "samples.csv"
    psnr = {int(row["step"]): float(row["psnr_db"]) for row in read_csv(sampled)} if sampled.exists() else {}
    for row in read_csv(folder / "history.csv"):
        step = int(row["step"])
        values = {"train/loss": float(row["loss"]), "train/lr": float(row["lr"]), "epoch": int(row["epoch"])}
        if row["val_loss"]:
            values["val/loss"] = float(row["val_loss"])
        if step in psnr:
            values["val/psnr_db"] = psnr[step]
        for key, value in throughput.get(step, {}).items():
            if key != "step" and value:
                values[f"train/{key}"] = float(value)
        yield step, values
