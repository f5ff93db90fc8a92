"""One cell from beginning to end: train, denoise the test set, measure, as far as this has not been done."""

from __future__ import annotations

import traceback
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from ipv2_bench.benchmark.cells.cost import Cost, joined, peak_memory_mb, reset_peak_memory
from ipv2_bench.benchmark.cells.denoise import denoise_test_set
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import StatusFile, Stop, Stopped, never
from ipv2_bench.benchmark.cells.training.live import LiveFile
from ipv2_bench.benchmark.cells.training.train import Report, set_up, train
from ipv2_bench.benchmark.measuring import measure_test_set, measuring_of
from ipv2_bench.data.slices import open_slices
from ipv2_bench.data.split import Split
from ipv2_bench.errors import InputError, cause_of
from ipv2_bench.files import is_disk_error, write_text
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.metrics.image_set import Measuring
from ipv2_bench.physics.intensity import Window
from ipv2_bench.stored import present, read_array, write_array, write_object
from ipv2_bench.weights import weights_folder


def run_reported(spec: CellSpec, report: Report, stop: Stop = never, job: str = "") -> str | None:
    """Compute what is missing of a cell and keep its status in its folder; why it failed, or ``None``.

    Parameters
    ----------
    spec
        The cell.
    report
        Called with stage, step and number of steps.
    stop
        Asked again and again whether the cell is to stop.
    job
        In whose queue it runs, for its status.

    Raises
    ------
    Stopped
        When it was asked to; its checkpoint is written.
    OSError
        When the disk is full or gives out.
    """
    status, log = StatusFile(spec.folder, job), spec.folder / "error.log"
    log.unlink(missing_ok=True)

    def reported(stage: str, step: int, steps: int) -> None:
        status(stage, step, steps)
        report(stage, step, steps)
        if stop() and "epoch" not in stage:  # in training the checkpoint comes first
            raise Stopped

    try:
        run_cell(spec, reported, stop)
    except Stopped:
        status.end("stopped")
        raise
    except InputError as error:
        if stop():  # what a signal did to the other processes of a training
            status.end("stopped")
            raise Stopped from error
        message = str(error)
    except (Exception, SystemExit) as error:
        if is_disk_error(error):
            raise
        if stop():  # what a signal did to loader processes, or to Lightning
            status.end("stopped")
            raise Stopped from error
        remedy = "lower train.batch_size or run.eval_batch; " if "OutOfMemory" in type(error).__name__ else ""
        message = f"{cause_of(error)} ({remedy}all of it is in {log})"
        with suppress(OSError):
            write_text(log, traceback.format_exc())
    else:
        status.end()
        return None
    status.end("failed", message)
    return message


def run_cell(spec: CellSpec, report: Report, stop: Stop = never) -> None:
    """Compute what is missing of a cell.

    Raises
    ------
    InputError
        When the denoiser's loss is not finite, or it returns images of the wrong shape or values.
    Stopped
        When ``stop()`` asked for it.
    """
    set_up(spec)
    spec.folder.mkdir(parents=True, exist_ok=True)
    for number, training in enumerate(spec.trainings):
        if not training.denoised:
            training.folder.mkdir(parents=True, exist_ok=True)
            _train_and_denoise(training, _of_fold(report, number, len(spec.trainings)), stop)
    if not spec.denoised:
        _join_folds(spec)
    if not present(spec.measures_path):
        report("measuring", 0, 1)
        images = read_array(spec.images_path)
        parts = (spec.split.train.astype(np.int64).tobytes(), spec.split.test.astype(np.int64).tobytes())
        of_data = (spec.slices.folder, spec.window, *parts)
        measuring = _measuring(*of_data, spec.metrics.extra, spec.run.weights, spec.measuring)
        measure_test_set(measuring, spec.slices, spec.split, images).save(spec.measures_path)


@lru_cache(maxsize=1)
def _measuring(
    slices: Path, window: Window, train: bytes, test: bytes, extra: tuple[str, ...], weights: str | None, version: str
) -> Measuring:
    """What measures all cells of one data set in this process; to set it up takes as long as to measure some slices."""
    split = Split(np.frombuffer(train, np.int64), np.zeros(0, np.int64), np.frombuffer(test, np.int64))
    return measuring_of(open_slices(slices), split, window, catalogue(extra), weights_folder(weights))


def _of_fold(report: Report, number: int, folds: int) -> Report:
    """The report of one fold among several."""
    if folds == 1:
        return report
    return lambda stage, step, steps: report(f"fold {number + 1}/{folds}, {stage}", step, steps)


def _join_folds(spec: CellSpec) -> None:
    """The images of all folds in the order of the test slices, and what the folds cost together."""
    n, size = len(spec.split.test), spec.slices.size
    images = np.full((n, size, size), np.nan, np.float32)
    for training in spec.trainings:
        places = np.searchsorted(spec.split.test, training.split.test)
        images[places] = read_array(training.images_path)
    write_array(spec.images_path, images)
    write_object(spec.cost_path, joined([training.cost for training in spec.trainings]).model_dump(mode="json"))


def _train_and_denoise(spec: CellSpec, report: Report, stop: Stop) -> None:
    import torch

    denoiser = train(spec, report, stop)
    reset_peak_memory()
    denoised = denoise_test_set(spec, denoiser, report)
    write_array(spec.images_path, denoised.images)
    training = spec.training_cost
    cost = Cost(
        parameters=sum(p.numel() for p in denoiser.parameters()),
        network_calls=denoiser.network_calls,
        seconds_training=training.seconds,
        seconds_per_slice=denoised.seconds_per_slice,
        peak_memory_mb=training.peak_memory_mb,
        inference_memory_mb=peak_memory_mb(),
        device=denoised.device,
        threads=torch.get_num_threads(),
        pairs_used=training.pairs_used,
    )
    write_object(spec.cost_path, cost.model_dump(mode="json"))
    (spec.folder / "last.ckpt").unlink(missing_ok=True)
    LiveFile(spec.folder).end()
