"""A cell: one denoiser trained under one strategy with one seed, and what it makes of the test set.

Everything that a cell leaves lies in a folder of its own, named by the hash of what determines it; ``result.json`` comes last
of what training leaves. An interrupted cell goes on from its last checkpoint with the same result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ipv2_bench.benchmark.measuring import test_measures
from ipv2_bench.benchmark.provenance import measuring_code, processor
from ipv2_bench.data.slices import SliceSet, write_whole
from ipv2_bench.data.split import Split
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise

Report = Callable[[str, int, int], None]
"""Called with stage, step and number of steps."""


@dataclass(frozen=True)
class CellSpec:
    """All that a worker needs to compute a cell.

    Attributes
    ----------
    cell_id
        Hash of what determines the cell.
    folder
        Where it lies.
    title
        The denoiser's name in the tables.
    denoiser, options
        Registry key, and the options of its class.
    strategy
        Of the training pairs.
    seed
        Of weights, order, noise and losses.
    add_noise
        Calibrated module 2.
    """

    cell_id: str
    folder: Path
    title: str
    denoiser: str
    options: dict[str, Any]
    strategy: Strategy
    seed: int
    add_noise: AddNoise
    slices: SliceSet
    split: Split
    window: Window
    steps: int
    epochs: int
    batch_size: int
    clip: float
    precision: str
    accumulate: int
    compile: bool
    channels_last: bool
    accelerator: str
    threads: int
    eval_batch: int
    loader_workers: int

    @property
    def measures_path(self) -> Path:
        """Measures of the denoised images; other measuring code makes another file."""
        return self.folder / f"measures-{measuring_code()}.npz"

    @property
    def done(self) -> bool:
        """Whether the cell is complete."""
        return (self.folder / "result.json").exists() and self.measures_path.exists()


def run_cell(spec: CellSpec, report: Report) -> None:
    """Train, denoise the test set and measure it, as far as this has not been done.

    Raises
    ------
    InputError
        When the denoiser's loss is not finite, or it returns images of the wrong shape or values.
    """
    import torch

    if spec.threads:
        torch.set_num_threads(spec.threads)
    _forget_peak_memory()
    spec.folder.mkdir(parents=True, exist_ok=True)
    if not (spec.folder / "result.json").exists():
        _train_and_denoise(spec, report)
    if not spec.measures_path.exists():
        report("measuring", 0, 1)
        images = np.load(spec.folder / "denoised.npy", allow_pickle=False)
        test_measures(spec.slices, spec.split, spec.window, images).save(spec.measures_path)


def _train_and_denoise(spec: CellSpec, report: Report) -> None:
    import torch

    started = time.perf_counter()
    denoiser = train(spec, report)
    seconds_training = time.perf_counter() - started
    peak_training = _peak_memory_mb()
    _forget_peak_memory()
    images, seconds_per_slice, device = denoise_test(spec, denoiser, report)
    write_whole(spec.folder / "denoised.npy", lambda file: np.save(file, images))
    result = {
        "cell_id": spec.cell_id,
        "parameters": sum(p.numel() for p in denoiser.parameters()),
        "network_calls": denoiser.network_calls,
        "seconds_training": round(seconds_training, 2),
        "seconds_per_slice": seconds_per_slice,
        "peak_memory_mb": peak_training,
        "inference_memory_mb": _peak_memory_mb(),
        "device": device,
        "threads": torch.get_num_threads(),
    }
    write_whole(spec.folder / "result.json", lambda file: file.write(json.dumps(result, indent=1).encode()))
    (spec.folder / "last.ckpt").unlink(missing_ok=True)


def build_denoiser(spec: CellSpec) -> Any:
    """The spec's denoiser with freshly drawn weights."""
    import torch

    from ipv2_bench import registry
    from ipv2_bench.denoisers.base import Denoiser
    from ipv2_bench.physics.seeding import derive_seed

    cls = registry.find("ipv2_bench.denoisers", spec.denoiser, Denoiser)  # type: ignore[type-abstract]
    torch.manual_seed(derive_seed(spec.seed, "weights"))
    options = {**spec.options, "seed": spec.seed}
    return registry.build(cls, Denoiser, options, f"denoiser {spec.denoiser}")


def train(spec: CellSpec, report: Report) -> Any:
    """The trained denoiser, in evaluation mode; its weights and history are in the folder."""
    import logging
    import warnings

    import lightning as L
    import torch

    from ipv2_bench.benchmark.callbacks import Checkpoint, Finite, History, Throughput
    from ipv2_bench.data.datamodule import PairedCTDataModule
    from ipv2_bench.denoisers.checkpoint import load_weights, save_denoiser

    denoiser = build_denoiser(spec)
    if spec.compile:
        denoiser.compile_networks()
    weights = spec.folder / "model.safetensors"
    if weights.exists():
        load_weights(denoiser, weights, spec.denoiser)
        return denoiser.eval()
    if not len(list(denoiser.parameters())):
        return denoiser.eval()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    data = PairedCTDataModule(
        spec.slices,
        spec.split,
        spec.strategy,
        spec.add_noise,
        spec.batch_size,
        spec.loader_workers,
        spec.seed,
        context=denoiser.context,
    )
    steps = spec.steps or max(1, spec.epochs * data.batches_per_epoch // spec.accumulate)
    data.batches = steps * spec.accumulate
    if spec.channels_last:
        denoiser = denoiser.to(memory_format=torch.channels_last)
    validate_every = max(1, steps // 10)
    last = spec.folder / "last.ckpt"
    finite = Finite(last)
    callbacks: list[L.Callback] = [
        finite,
        History(spec.folder / "history.csv", report),
        Throughput(spec.folder / "throughput.csv", validate_every),
        Checkpoint(last, validate_every, finite),
    ]
    if last.exists():
        _refuse_unusable(last, denoiser)
    with warnings.catch_warnings():
        # Lightning's advice on workers and log intervals is for people at a prompt.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = L.Trainer(
            max_steps=steps,
            max_epochs=-1,
            accelerator=spec.accelerator,
            devices=1,
            precision=spec.precision,  # type: ignore[arg-type]
            gradient_clip_val=spec.clip or None,
            accumulate_grad_batches=spec.accumulate,
            logger=False,
            enable_checkpointing=True,  # by the callback above
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if len(spec.split.val) else 0,
            val_check_interval=validate_every * spec.accumulate,
            check_val_every_n_epoch=None,
            callbacks=callbacks,
            deterministic="warn" if spec.accelerator == "cpu" else None,
        )
        trainer.fit(denoiser, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    denoiser = denoiser.cpu().eval()
    notes = {
        "cell_id": spec.cell_id,
        "title": spec.title,
        "strategy": spec.strategy.name,
        "window_hu": f"{spec.window.low:g} {spec.window.high:g}",
        "size": str(spec.slices.size),
    }
    save_denoiser(denoiser, weights, spec.denoiser, spec.options, **notes)
    return denoiser


def _refuse_unusable(checkpoint: Path, denoiser: Any) -> None:
    """One clear line for a checkpoint from which training cannot go on."""
    import torch

    name = f"{checkpoint.parent.name}/{checkpoint.name}"
    try:
        held = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        shapes = {k: tuple(v.shape) for k, v in held.items()}
    except Exception as error:  # torch.load raises whatever its parts raise
        raise InputError(
            f"the checkpoint cells/{name} is cut off or none ({type(error).__name__}): remove it, and training begins anew"
        ) from error
    if shapes != {k: tuple(v.shape) for k, v in denoiser.state_dict().items()}:
        raise InputError(f"the checkpoint cells/{name} holds another network: remove it, and training begins anew")


def denoise_test(spec: CellSpec, denoiser: Any, report: Report) -> tuple[np.ndarray, float, str]:
    """Denoise the raw test uLDCT.

    Returns
    -------
    tuple
        Images [n, N, N] float32 in [0, 1], seconds per slice (median over batches), and the device in words.
    """
    import torch

    from ipv2_bench.physics.seeding import torch_generator

    cuda = spec.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    denoiser = denoiser.to(device)
    out = np.empty((len(spec.split.test), spec.slices.size, spec.slices.size), np.float32)
    seconds = []
    if spec.compile and len(out):  # the first call compiles, and is no measure of speed
        near = spec.slices.with_neighbours(spec.slices.low, spec.split.test[: spec.eval_batch], denoiser.context)
        denoiser.restore(torch.from_numpy(near).to(device), torch_generator(spec.seed, "denoise", 0, device=device))
    for start in range(0, len(out), spec.eval_batch):
        index = spec.split.test[start : start + spec.eval_batch]
        near = spec.slices.with_neighbours(spec.slices.low, index, denoiser.context)
        low = torch.from_numpy(near).to(device)
        begun = time.perf_counter()
        images = denoiser.restore(low, torch_generator(spec.seed, "denoise", start, device=device))
        images = images.float().cpu()
        seconds.append((time.perf_counter() - begun) / len(index))
        if images.shape != (len(index), 1, *out.shape[1:]):
            raise InputError(
                f"denoiser {spec.denoiser} returned shape {tuple(images.shape)}: expected {(len(index), 1, *out.shape[1:])}"
            )
        if not bool(torch.isfinite(images).all()):
            raise InputError(f"denoiser {spec.denoiser} returned NaN or infinity for test slices {index.tolist()}")
        out[start : start + len(index)] = images[:, 0].numpy()
        report("denoising", start + len(index), len(out))
    name = torch.cuda.get_device_name() if cuda else processor()
    return out, float(f"{np.median(seconds):.4g}"), name


def _forget_peak_memory() -> None:
    """Let the peak begin anew: a worker computes one cell after the other."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # elsewhere than on Linux it is the worker's own peak
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mb() -> float:
    import resource

    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    except (OSError, StopIteration):
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
