"""Training of a cell: it goes on from its last checkpoint with the same result."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.status import Stop, never
from ipv2_bench.errors import InputError
from ipv2_bench.stored import present, write_object

VERSION = 1
"""Version of the training loop: raise when the same data, denoiser, options and seed give other weights."""

SILENCE = timedelta(minutes=10)
"""How long the processes of one training wait for each other: one that has ended may not be noticed earlier on GPUs."""

Report = Callable[[str, int, int], None]
"""Called with stage, step and number of steps."""


def train(spec: CellSpec, report: Report, stop: Stop = never, profiler: Any = None, rank: Any = None) -> Any:
    """The trained denoiser, in evaluation mode; its weights and history are in the cell's folder.

    Parameters
    ----------
    spec
        The cell, or that of a fold.
    report
        Called with stage, step and number of steps.
    stop
        Asked after each batch whether training is to stop.
    profiler
        Lightning's, where a training is to be timed.
    rank
        Place of this process, where the first has begun others; ``None`` for the first.

    Raises
    ------
    InputError
        When the loss or the weights are not finite, or the checkpoint cannot be used.
    Stopped
        When ``stop()`` asked for it, behind a checkpoint.
    """
    import lightning as L
    import torch
    from lightning.pytorch.strategies import DDPStrategy

    from ipv2_bench.benchmark.cells.training.callbacks import Finite, History, Spent, Threads, Throughput
    from ipv2_bench.benchmark.cells.training.checkpoint_io import BackgroundCheckpointIO, Checkpoint
    from ipv2_bench.benchmark.cells.training.live import LiveFile
    from ipv2_bench.benchmark.cells.training.ranks import OnThisMachine, Rank, other_ranks
    from ipv2_bench.benchmark.cells.training.samples import Samples
    from ipv2_bench.data.datamodule import PairedCTDataModule
    from ipv2_bench.data.pair import Crops
    from ipv2_bench.denoisers.shared.checkpoint import load_weights, read_checkpoint

    settings, rank = spec.train, rank or Rank()
    first = rank.number == 0
    denoiser = spec.denoiser.build(spec.seed)
    if settings.compile:
        denoiser.compile_networks()
    # Weights without what they cost would give a row that says 0 seconds.
    if present(spec.training_cost_path) and present(spec.weights_path, read_checkpoint):
        load_weights(denoiser, spec.weights_path, spec.denoiser.registered)
        return denoiser.eval()
    if denoiser.fitted:
        return _fitted(spec, denoiser)
    if not len(list(denoiser.parameters())):
        return denoiser.eval()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = PairedCTDataModule(
        spec.slices,
        spec.split,
        spec.strategy,
        spec.folds[0].add_noise,
        settings.batch_size,
        _loader_workers(spec),
        spec.seed,
        context=denoiser.context,
        crops=Crops(settings.crop, settings.crops_per_slice, settings.mirror),
    )
    _add_correction(denoiser, spec)
    together = settings.accumulate * settings.devices
    steps = settings.steps or max(1, (settings.epochs or 1) * data.batches_per_epoch // together)
    data.batches = steps * settings.accumulate
    if settings.channels_last:
        denoiser = denoiser.to(memory_format=torch.channels_last)
    validate_every = max(1, steps // 10)
    last = spec.folder / "last.ckpt"
    finite, checkpoints = Finite(last), BackgroundCheckpointIO()
    live = LiveFile(spec.folder)
    log: Callable[[int, Mapping[str, Any]], None] = live if first else lambda *_: None
    history = History(spec.folder / "history.csv", report, finite, log)
    saving = Checkpoint(last, validate_every, history, checkpoints, spec.run.checkpoint_seconds, stop)
    callbacks: list[L.Callback] = [Threads(torch.get_num_threads()), history, finite, saving]
    samples = Samples(spec.folder, log)
    if len(spec.split.val):
        callbacks.append(samples)
    if first:
        callbacks.append(Throughput(spec.folder / "throughput.csv", validate_every, log))
        callbacks.append(Spent(spec.training_cost_path, data.used, lambda: samples.seconds))
    if last.exists():
        _refuse_unusable(last, denoiser)
    if first:
        live.begin(finite.saved() if last.exists() else 0)
    with warnings.catch_warnings():
        # Lightning's advice on workers and log intervals is for people at a prompt.
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")  # of some convolutions with one input
        own: dict[str, Any] = {
            "max_steps": steps,
            "max_epochs": -1,
            "accelerator": spec.accelerator,
            "devices": settings.devices,
            "strategy": "auto" if settings.devices == 1 else DDPStrategy(timeout=SILENCE),
            "use_distributed_sampler": False,  # the data module deals out its slices itself
            "precision": settings.precision,
            "gradient_clip_val": settings.clip,
            "accumulate_grad_batches": settings.accumulate,
            "logger": False,
            "enable_checkpointing": True,  # by the callback above
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 1.0 if len(spec.split.val) else 0,
            "val_check_interval": validate_every * settings.accumulate,
            "check_val_every_n_epoch": None,
            "callbacks": callbacks,
            "deterministic": "warn" if spec.accelerator == "cpu" else None,
            "benchmark": settings.cudnn_benchmark,
            "profiler": profiler,
        }
        # Deterministic algorithms would also write NaN into all memory before it is used, a tenth of the time of a small network.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if settings.devices > 1 and first:
            data.prepare()  # before each process looks for them
        with other_ranks(spec, rank) as place:
            trainer = L.Trainer(**{**_defaults(), **own, "plugins": [OnThisMachine(place), checkpoints]})
            trainer.fit(denoiser, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.global_step < steps:
        raise InputError(
            f"{spec.denoiser.title} ended its own training after {trainer.global_step} of {steps} steps, and a row would not say "
            "so: take early stopping or should_stop out of the denoiser, or set train.steps to what it shall have"
        )
    denoiser.end_training()  # what the weights hold is the denoiser alone
    if not first:
        return denoiser
    return _saved(spec, denoiser.cpu().eval())


def _add_correction(denoiser: Any, spec: CellSpec) -> None:
    """Give the denoiser the network that its strategy trains along, if any; its weights hang on the cell's seed alone."""
    import torch

    from ipv2_bench.physics.seeding import derive_seed

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(spec.seed, "correction"))
        network = spec.strategy.correction()
    if network is not None:
        denoiser.correction = network.train()
        denoiser.critic = None  # the correction's loss is in the place of the denoiser's own


def set_up(spec: CellSpec) -> None:
    """Threads and arithmetic of this process, as a cell's settings say."""
    import torch

    if spec.threads:
        torch.set_num_threads(spec.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = spec.train.tf32
    torch.backends.cudnn.benchmark = spec.train.cudnn_benchmark  # when slices are denoised; training is told again


def _loader_workers(spec: CellSpec) -> int:
    """Processes that read slices for a training."""
    if spec.run.loader_workers is not None:
        return spec.run.loader_workers
    return 0 if spec.accelerator == "cpu" else min(4, spec.threads)


def _defaults() -> dict[str, Any]:
    """What a Trainer is not told, said all the same: else Lightning takes it from variables ``PL_TRAINER_…``."""
    import lightning as L

    parameters = inspect.signature(L.Trainer).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


FITTED_ON = 12
"""Training slices that a fitted denoiser is set on, spread over all training patients."""


def _fitted(spec: CellSpec, denoiser: Any) -> Any:
    """A denoiser that is set at once from some training pairs."""
    import time

    from ipv2_bench.benchmark.cells.cost import TrainingCost
    from ipv2_bench.data.datamodule import PairedCTDataModule

    data = PairedCTDataModule(spec.slices, spec.split, spec.strategy, spec.folds[0].add_noise, seed=spec.seed)
    use = _spread(data.split.train, FITTED_ON)
    began = time.perf_counter()
    denoiser.fit(data.purified(use))
    write_object(spec.training_cost_path, TrainingCost(seconds=time.perf_counter() - began).model_dump(mode="json"))
    return _saved(spec, denoiser.eval())


def _spread(indices: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, evenly spaced."""
    return indices[np.linspace(0, len(indices) - 1, min(most, len(indices))).round().astype(int)]


LOOKED_AT = 64
"""Training slices whose noise is noted in the file of the weights."""


def _range(spec: CellSpec) -> dict[str, str]:
    """Where a denoiser is at home: noise and grain of its training uLDCT in soft tissue, and pixel size; smallest and largest."""
    from ipv2_bench.purification.noise_level import tissue_grain, tissue_noise

    use = _spread(spec.split.train, LOOKED_AT)
    slices = [spec.slices.low[int(i)] for i in use]
    noise = [level * spec.window.width for x in slices if (level := tissue_noise(x)) is not None]
    grain = [share for x in slices if (share := tissue_grain(x)) is not None]
    measured = {"noise_hu": noise, "grain": grain, "pixel_mm": spec.slices.pixel_mm[use]}
    return {name: f"{min(values):.3g} {max(values):.3g}" for name, values in measured.items() if len(values)}


def _saved(spec: CellSpec, denoiser: Any) -> Any:
    """The trained denoiser, after its weights are written."""
    from ipv2_bench.denoisers.shared.checkpoint import save_denoiser

    notes = {
        "cell_id": spec.cell_id,
        "title": spec.denoiser.title,
        "strategy": spec.strategy.name,
        "window_hu": f"{spec.window.low:g} {spec.window.high:g}",
        "size": str(spec.slices.size),
        **_range(spec),
    }
    save_denoiser(denoiser, spec.weights_path, spec.denoiser.registered, spec.denoiser.options, **notes)
    return denoiser


def _refuse_unusable(checkpoint: Path, denoiser: Any) -> None:
    """Refuse a checkpoint from which training cannot go on.

    Raises
    ------
    InputError
        When it is cut off or holds another network.
    """
    import torch

    try:
        held = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        shapes = {k: tuple(v.shape) for k, v in held.items()}
    except PermissionError:
        raise
    except Exception as error:  # torch.load raises whatever its parts raise
        raise InputError(
            f"the checkpoint {checkpoint} is cut off or none ({type(error).__name__}): remove it, and training begins anew"
        ) from error
    if shapes != {k: tuple(v.shape) for k, v in denoiser.state_dict().items()}:
        raise InputError(f"the checkpoint {checkpoint} holds another network: remove it, and training begins anew")
