"""Weights & Biases: one run per cell and one for the tables; offline without an account.

A run is written when its cell is complete, from the cell's own history, so that it has every step once however often
training was interrupted. No path, host name or patient goes into it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.dashboard_images import Panel
from ipv2_bench.benchmark.lines import MEASURED
from ipv2_bench.data.slices import write_whole
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import digest

MODES = ("auto", "online", "offline", "disabled")
ATTEMPTS = 3


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
    draw
        Gives the pictures.
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
    draw: Callable[[], list[Panel]] = list

    @property
    def fingerprint(self) -> str:
        """Hash of what the run says."""
        carried = can_carry(self.folder)
        return digest([self.run_id, self.name, self.group, self.project, self.mode, self.measured, carried])

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
    return "online" if logged_in() else "offline"


def logged_in() -> bool:
    """Whether there is a key of W&B, in the environment or where ``wandb login`` puts it."""
    netrc = Path.home() / ".netrc"
    stored = netrc.is_file() and "api.wandb.ai" in netrc.read_text(errors="ignore")
    return stored or bool(os.environ.get("WANDB_API_KEY"))


def publish_cell(run: CellRun, root: Path) -> None:
    """Write the run of a cell, unless the same has been written."""
    if run.published:
        return
    import wandb

    def fill(live: Any) -> None:
        for step, values in _history(run.folder):
            live.log(values, step=step)
        live.summary.update(run.metrics)
        for panel in run.draw():
            shown = [wandb.Image(x, caption=c) for x, c in zip(panel.pictures, panel.captions, strict=True)]
            live.log({f"images/{panel.name}": shown})
        weights = run.folder / "model.safetensors"
        if weights.exists():
            _carry(live, f"model-{run.run_id}", "model", {weights.name: weights})

    run_id = f"{run.run_id}-{run.fingerprint[:6]}"
    named = {"project": run.project, "group": run.group, "name": run.name, "config": run.config}
    _write(fill, run.mode, run_id, root, job_type="cell", **named)
    _mark(run.folder / "wandb.json", run.fingerprint)


def _history(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """What is logged of each step of a training, in order."""
    speed = {int(line["step"]): line for line in _lines(folder / "throughput.csv")}
    for line in _lines(folder / "history.csv"):
        step = int(line["step"])
        values = {"train/loss": float(line["loss"]), "train/lr": float(line["lr"]), "epoch": int(line["epoch"])}
        if line["val_loss"]:
            values["val/loss"] = float(line["val_loss"])
        for key, value in speed.get(step, {}).items():
            if key != "step" and value:
                values[f"train/{key}"] = float(value)
        yield step, values


def _lines(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _carry(live: Any, name: str, kind: str, files: dict[str, Path]) -> None:
    """Log files as an artifact, by relative paths: W&B writes them down, and copies in its staging folder absolute."""
    import wandb

    made = wandb.Artifact(name, kind)
    carried = {title: path.resolve() for title, path in files.items() if can_carry(path)}
    for title, path in carried.items():
        made.add_file(str(path.relative_to(Path.cwd())), title, policy="immutable", skip_cache=True)
    if carried:
        live.log_artifact(made)


def can_carry(path: Path) -> bool:
    """Whether W&B gets a file: a path out of the working folder would tell how the machine's folders are called."""
    return path.resolve().is_relative_to(Path.cwd())


def publish_tables(
    tables: dict[str, str], rows: Sequence[Path], group: str, project: str, mode: str, root: Path
) -> None:
    """Write one run with the tables (CSV text by name) and the rows' files, unless the same has been written."""
    content = [hashlib.sha256(path.read_bytes()).hexdigest() for path in rows]
    fingerprint = digest([tables, content, group, project, mode, all(map(can_carry, rows))])
    if mode == "disabled" or _says(root / "tables.json", fingerprint):
        return
    import pandas as pd
    import wandb

    def fill(live: Any) -> None:
        for name, text in tables.items():
            # As pages, since a wandb.Table keeps the absolute path of its staging folder in the run's file.
            live.log({name: wandb.Html(pd.read_csv(io.StringIO(text)).to_html(index=False, na_rep=""), inject=False)})
            for line in csv.DictReader(text.splitlines()):
                who = " + ".join(x for x in (line["denoiser"], line["strategy"]) if x)
                values = {k: float(v) for k, v in line.items() if v and not k.startswith("published") and k in MEASURED}
                live.summary.update({f"{name}/{line['label']}/{who}/{k}": v for k, v in values.items()})
        _carry(live, f"rows-{group}", "rows", {path.name: path for path in rows})

    named = {"project": project, "group": group, "name": f"{group} tables"}
    _write(fill, mode, f"tables-{fingerprint}", root, job_type="tables", **named)
    _mark(root / "tables.json", fingerprint)


def _forget_logs(root: Path, run_id: str) -> None:
    """W&B's own debug logs hold absolute paths; nothing needs them once a run is complete."""
    for path in [*root.glob("wandb/debug*.log"), *root.glob(f"wandb/*run-*-{run_id}/logs/*.log")]:
        path.unlink(missing_ok=True)


def _mark(marker: Path, fingerprint: str) -> None:
    write_whole(marker, lambda file: file.write(json.dumps({"fingerprint": fingerprint}).encode()))


def _write(fill: Callable[[Any], None], mode: str, run_id: str, root: Path, **named: Any) -> None:
    """Write a whole run. When W&B cannot open the run's file it only logs that: then anew."""
    for _ in range(ATTEMPTS):
        with _start(mode, run_id, root, named) as live:
            fill(live)
        if mode != "offline" or any(root.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")):
            _forget_logs(root, run_id)
            return
    raise InputError(
        f"W&B wrote no file for the run {run_id}, {ATTEMPTS} times over: look at logs/debug-internal.log in "
        f"{root}/wandb/offline-run-*-{run_id}, then run the same command again (nothing is trained twice), "
        "or set wandb.mode=disabled"
    )


def _start(mode: str, run_id: str, root: Path, named: dict[str, Any]) -> Any:
    import wandb

    # A service that another program has started works in that one's folder, where relative paths lead elsewhere.
    os.environ.pop("WANDB_SERVICE", None)
    root = root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    for broken in root.glob(f"wandb/offline-run-*-{run_id}"):  # killed while it was written
        shutil.rmtree(broken)
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
    return wandb.init(mode=mode, id=run_id, dir=str(root), settings=settings, **named)  # type: ignore[arg-type]  # checked by resolve_mode
