"""A run on Weights & Biases, written whole or anew; offline without an account.

No path, host name or patient is written into it.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipv2_bench.benchmark.provenance import commit
from ipv2_bench.benchmark.views.wandb.wishes import Mode
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.stored import present, read_object, write_object

SERVICE = "WANDB_SERVICE"
"""Variable of the environment with the address of a service of W&B that is running."""

ATTEMPTS = 3
"""Times that a run is written when W&B leaves no file."""

ROOM_BYTES = 16 << 20
"""Free bytes of the disk without which no run is begun."""


@dataclass(frozen=True)
class Destination:
    """Where runs are written.

    Attributes
    ----------
    project, group
        Of the runs; the group is the benchmark's name.
    mode
        Whether they are sent, kept on this machine or not written at all.
    root
        Folder of W&B's files, and of the marker of the run with the tables.
    """

    project: str
    group: str
    mode: Mode
    root: Path


def is_written(marker: Path, fingerprint: str) -> bool:
    """Whether the file that marks a run as complete says that the same has been written."""
    return present(marker) and read_object(marker).get("fingerprint") == fingerprint


def mark_written(marker: Path, fingerprint: str) -> None:
    """Mark a run as complete."""
    write_object(marker, {"fingerprint": fingerprint})


def can_upload(path: Path) -> bool:
    """Whether W&B gets a file: a path outside of the working folder would reveal the names of the machine's folders."""
    return path.resolve().is_relative_to(Path.cwd())


def log_artifact(run: Any, name: str, kind: str, files: Mapping[str, Path], use: bool = False) -> None:
    """Log files as one artifact, by their names in it; those outside of the working folder are left out, and so are absent ones.

    With ``use`` the run is marked as one that uses it as well, so that what it logs later comes from it: W&B knows of use
    only while a run is online.

    Paths are relative since W&B writes them down, and those of copies in its staging folder would be absolute.
    """
    import wandb

    artifact = wandb.Artifact(name, kind)
    uploaded = {title: path.resolve() for title, path in files.items() if path.exists() and can_upload(path)}
    for title, path in uploaded.items():
        artifact.add_file(str(path.relative_to(Path.cwd())), title, policy="immutable", skip_cache=True)
    if not uploaded:
        return
    run.log_artifact(artifact)
    if use and not run.offline:
        artifact.wait()
        run.use_artifact(artifact)


def use_artifacts(run: Any, names: Sequence[str]) -> list[str]:
    """Mark a run as one that uses the latest artifacts of some names; what W&B does not have, with the cause.

    W&B knows of use only while a run is online.
    """
    missing = []
    for name in names if not run.offline else ():
        try:
            run.use_artifact(f"{name}:latest")
        except Exception as error:  # it was sent from elsewhere or removed, or whatever the network raises
            missing.append(f"{name} ({cause_of(error)})")
    return missing


def write_run(fill: Callable[[Any], None], run_id: str, destination: Destination, **options: Any) -> None:
    """Write a whole run. When W&B cannot open the run's file it only logs that: then the run is written anew.

    Parameters
    ----------
    fill
        Logs everything to the open run.
    run_id
        The run's name in files and addresses.
    destination
        Where it is written.
    options
        Further ones of ``wandb.init``: name, job type, configuration.

    Raises
    ------
    InputError
        When W&B leaves no file, :data:`ATTEMPTS` times over.
    """
    root = destination.root
    for _ in range(ATTEMPTS):
        _need_room(root)
        with _quiet(), _start(run_id, destination, options) as run:
            fill(run)
        _need_room(root)
        if destination.mode != "offline" or any(root.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")):
            _remove_logs(root, run_id)
            return
    for empty in root.glob(f"wandb/offline-run-*-{run_id}"):
        if not any(empty.glob("*.wandb")):
            shutil.rmtree(empty, ignore_errors=True)
    raise InputError(
        f"W&B wrote no file for the run {run_id} into {root}, {ATTEMPTS} times over: see that the folder can be written, and run "
        "the same command again (nothing is trained twice), or set wandb.mode=disabled"
    )


def open_run(run_id: str, destination: Destination, **options: Any) -> Any:
    """A run that stays open while a cell is computed; one of its name that is kept offline is begun anew.

    Raises
    ------
    OSError
        When the disk is nearly full.
    """
    _need_room(destination.root)
    return _start(run_id, destination, {**options, "resume": "allow"})


def close_run(run: Any, run_id: str, destination: Destination, failed: bool = False) -> None:
    """Close a run of :func:`open_run`."""
    run.finish(exit_code=int(failed))
    _remove_logs(destination.root, run_id)


def _need_room(folder: Path) -> None:
    """Refuse a disk that is nearly full: W&B's own process would cut its files off without a word.

    Raises
    ------
    OSError
        It names the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < ROOM_BYTES:
        raise OSError(errno.ENOSPC, f"less than {ROOM_BYTES >> 20} MB are free", str(folder))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what W&B prints of an error to itself, often hundreds of lines: the error itself is reported, once."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.raiseExceptions = before


def _remove_logs(root: Path, run_id: str) -> None:
    """Remove W&B's own debug logs: they hold absolute paths, and nothing needs them once a run is complete."""
    for path in [*root.glob("wandb/debug*.log"), *root.glob(f"wandb/*run-*-{run_id}/logs/*.log")]:
        path.unlink(missing_ok=True)


def _start(run_id: str, destination: Destination, options: Mapping[str, Any]) -> Any:
    import wandb

    root = destination.root.absolute()
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
        git_commit=commit(),
    )
    with _own_service():
        return wandb.init(
            project=destination.project,
            group=destination.group,
            mode=destination.mode,
            id=run_id,
            dir=str(root),
            reinit="create_new",
            settings=settings,
            **options,
        )


@contextmanager
def _own_service() -> Iterator[None]:
    """Hide the service of another program: it works in that one's folder, where relative paths lead elsewhere."""
    other = os.environ.pop(SERVICE, None)
    try:
        yield
    finally:
        if other is not None:
            os.environ |= {SERVICE: other}
