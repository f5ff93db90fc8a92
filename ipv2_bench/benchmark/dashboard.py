"""Weights & Biases: one run per cell and one for the tables; offline without an account.

A run is written when its cell is complete, from the cell's own history, so that it has every step once however often
training was interrupted. No path, host name or patient goes into it.
"""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.figures import WINDOWS
from ipv2_bench.benchmark.lines import MEASURED
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest
from ipv2_bench.physics.intensity import Window

MODES = ("auto", "online", "offline", "disabled")


@dataclass(frozen=True)
class CellRun:
    """What goes into the W&B run of a cell.

    Attributes
    ----------
    folder
        Of the cell.
    name, run_id, group, project, mode
        Of the run.
    measured
        Hash of the code that measured it; with ``run_id``, that of the cell, it determines config, metrics and images.
    config
        Plain values.
    metrics
        By name.
    images
        Title → images [n, N, N] in [0, 1] of a few test slices.
    window
        HU of the images.
    """

    folder: Path
    name: str
    run_id: str
    group: str
    project: str
    mode: str
    measured: str
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    images: dict[str, np.ndarray] = field(default_factory=dict)
    window: Window = Window()

    @property
    def fingerprint(self) -> str:
        """Hash of what the run says."""
        return digest([self.run_id, self.name, self.group, self.project, self.mode, self.measured])

    @property
    def published(self) -> bool:
        """Whether the same has been written."""
        return self.mode == "disabled" or _says(self.folder / "wandb.json", self.fingerprint)


def _says(marker: Path, fingerprint: str) -> bool:
    return marker.exists() and json.loads(marker.read_text())["fingerprint"] == fingerprint


def resolve_mode(mode: str) -> str:
    """``online`` only when somebody is logged in.

    Raises
    ------
    InputError
        For a mode that does not exist.
    """
    if mode not in MODES:
        raise InputError(f"wandb.mode is '{mode}': use one of {', '.join(MODES)}")
    if mode != "auto":
        return mode
    chosen = os.environ.get("WANDB_MODE", "")
    if chosen in MODES[1:]:
        return chosen
    netrc = Path.home() / ".netrc"
    logged_in = bool(os.environ.get("WANDB_API_KEY")) or (
        netrc.is_file() and "api.wandb.ai" in netrc.read_text(errors="ignore")
    )
    return "online" if logged_in else "offline"


def publish_cell(run: CellRun, root: Path) -> None:
    """Write the run of a cell, unless the same has been written."""
    if run.published:
        return
    import wandb

    with _start(
        run.mode, run.project, run.group, run.name, f"{run.run_id}-{run.fingerprint[:6]}", "cell", run.config, root
    ) as live:
        history = run.folder / "history.csv"
        if history.exists():
            with history.open(newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    values = {
                        "train/loss": float(line["loss"]),
                        "train/lr": float(line["lr"]),
                        "epoch": int(line["epoch"]),
                    }
                    if line["val_loss"]:
                        values["val/loss"] = float(line["val_loss"])
                    live.log(values, step=int(line["step"]))
        live.summary.update(run.metrics)
        low, high = WINDOWS["lung"]
        for title, images in run.images.items():
            if title == "difference":
                shown = [((d * run.window.width + 300.0) / 600.0).clip(0, 1) for d in images]
            else:
                shown = [((run.window.hu(np.asarray(x)) - low) / (high - low)).clip(0, 1) for x in images]
            live.log({f"images/{title}": [wandb.Image((255 * x).astype(np.uint8), caption=title) for x in shown]})
    _forget_logs(root)
    _mark(run.folder / "wandb.json", run.fingerprint)


def publish_tables(tables: dict[str, str], group: str, project: str, mode: str, root: Path) -> None:
    """Write one run with the tables (CSV text by name), unless the same has been written."""
    fingerprint = digest([tables, group, project, mode])
    if mode == "disabled" or _says(root / "tables.json", fingerprint):
        return
    import pandas as pd
    import wandb

    with _start(mode, project, group, f"{group} tables", f"tables-{fingerprint}", "tables", {}, root) as live:
        for name, text in tables.items():
            # As pages, since a wandb.Table keeps the absolute path of its staging folder in the run's file.
            live.log({name: wandb.Html(pd.read_csv(io.StringIO(text)).to_html(index=False, na_rep=""), inject=False)})
            for line in csv.DictReader(text.splitlines()):
                who = " + ".join(x for x in (line["denoiser"], line["strategy"]) if x)
                values = {k: float(v) for k, v in line.items() if v and not k.startswith("published") and k in MEASURED}
                live.summary.update({f"{name}/{line['label']}/{who}/{k}": v for k, v in values.items()})
    _forget_logs(root)
    _mark(root / "tables.json", fingerprint)


def _forget_logs(root: Path) -> None:
    """W&B's own debug logs hold absolute paths; nothing needs them once a run is complete."""
    for path in [*root.glob("wandb/debug*.log"), *root.glob("wandb/*run-*/logs/*.log")]:
        path.unlink(missing_ok=True)


def _mark(marker: Path, fingerprint: str) -> None:
    write_whole(marker, lambda file: file.write(json.dumps({"fingerprint": fingerprint}).encode()))


def _start(mode: str, project: str, group: str, name: str, run_id: str, job: str, config: dict, root: Path) -> Any:
    import wandb

    root.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        program="ipv2-bench",
        host="",
        x_disable_machine_info=True,
    )
    return wandb.init(
        mode=mode,  # type: ignore[arg-type]  # checked by resolve_mode
        project=project,
        group=group,
        name=name,
        id=run_id,
        job_type=job,
        config=config,
        dir=str(root),
        settings=settings,
    )
