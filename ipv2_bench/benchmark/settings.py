"""The sections of a configuration: every setting with its type and default."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of all settings: immutable, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


TEXT = ("kernel", "acquisition", "memory", "partition", "account")
"""Options of sources, and of places where cells run, that are text and may look like a number in YAML. A time is not among them:
YAML takes 12:00:00 for 43200, so that it needs quotes in a file."""


def as_text(options: dict[str, Any]) -> dict[str, Any]:
    """Options with text in place of a number where they are of :data:`TEXT`."""
    numbers = {k: str(v) for k in TEXT if isinstance(v := options.get(k), (int, float)) and not isinstance(v, bool)}
    return {**options, **numbers}


class DataSettings(Settings):
    """Where slices come from and how they are split. Keys that are not listed here are options of the source.

    ``source``: a data source. ``size``: pixels along a side. ``window``: HU that map to 0 and 1. ``split``: ``patient``,
    ``slice``, ``folder`` (the parts that the source states) or a file of ``ipv2-bench split``; ``fractions``: train,
    validation, test; ``split_seed``: of their order. ``folds``: number of folds that patients are dealt out to, so that each
    is tested once, by a training that has not seen it; of ``fractions`` the validation's counts then. ``test_slices``: most
    test slices of each patient, evenly spaced; ``None`` for all. ``options``: of the source.
    """

    source: str = "phantom"
    size: Annotated[int, Field(ge=16)] = 128
    window: tuple[Finite, Finite] = (-1000.0, 400.0)
    split: str = "patient"
    fractions: tuple[Finite, Finite, Finite] = (0.7, 0.15, 0.15)
    split_seed: int = 0
    folds: Annotated[int, Field(ge=2)] | None = None
    test_slices: Positive | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _folds_of_patients(self) -> Self:
        if self.folds is not None and self.split != "patient":
            raise ValueError(f"data.folds deals out patients, and data.split is {self.split}: set data.split=patient")
        return self

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        own = {k: v for k, v in values.items() if k in cls.model_fields}
        rest = {k: v for k, v in values.items() if k not in cls.model_fields}
        options = own.get("options") or {}
        if not isinstance(options, dict):
            return own
        return {**own, "options": as_text({**options, **rest})}


LATER = ("devices", "crop", "crops_per_slice", "mirror", "tf32", "cudnn_benchmark")
"""Settings of training that rows name only where they are not the default."""


class TrainSettings(Settings):
    """Budget of every training run.

    ``steps``: optimiser steps; ``None`` to count ``epochs``. ``lr``: peak learning rate; ``None`` for the denoiser's own.
    ``schedule``: of the learning rate. ``clip``: gradient norm; ``None`` for no clipping. ``precision``: Lightning's
    word. ``accumulate``: batches for each step. ``devices``: GPUs, or processes on a CPU, that each training is shared out to;
    each has batches of its own, so that a step sees as many times more slices. ``compile``: compile the networks with
    torch.compile. ``channels_last``: keep images and weights in that order of memory. ``tf32``: let a GPU multiply in
    TensorFloat-32, with 10 bits of fraction in place of 23. ``cudnn_benchmark``: let cuDNN choose its algorithms by trial, which
    may differ from run to run. ``crop``: side in pixels of the random squares of the purified slices that are trained on;
    ``None`` for whole slices. ``crops_per_slice``: of each slice in a batch. ``mirror``: exchange left and right in a random
    half of them.
    """

    steps: Positive | None = None
    epochs: Positive | None = 200
    batch_size: Positive = 2
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accumulate: Positive = 1
    devices: Positive = 1
    compile: bool = False
    channels_last: bool = False
    tf32: bool = False
    cudnn_benchmark: bool = False
    crop: Positive | None = None
    crops_per_slice: Positive = 1
    mirror: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("steps") is not None:
            return {**values, "epochs": None}
        return values

    @model_validator(mode="after")
    def _some_length(self) -> Self:
        if self.steps is None and self.epochs is None:
            raise ValueError("train.steps and train.epochs are both null: set one of them")
        if self.crops_per_slice > 1 and self.crop is None:
            raise ValueError("train.crops_per_slice needs train.crop, the side of a crop in pixels")
        return self

    @model_serializer(mode="wrap")
    def _later_settings_unsaid(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Budgets are written as before a setting existed where it has its default, so that rows keep their names."""
        said = handler(self)
        fields = type(self).model_fields
        return {k: v for k, v in said.items() if k not in LATER or v != fields[k].default}

    @property
    def batch(self) -> str:
        """A batch in words."""
        crops = f" × {self.crops_per_slice} crops of {self.crop}×{self.crop}" if self.crop is not None else ""
        shared = f" on each of {self.devices} devices" if self.devices > 1 else ""
        return f"{self.batch_size}{crops}{', mirrored at random' if self.mirror else ''}{shared}"

    @property
    def length(self) -> str:
        """The length of training in words."""
        return f"{self.steps} steps" if self.steps is not None else f"{self.epochs} epochs"


class NoiseSettings(Settings):
    """Module 2, Add Noise.

    ``dose_model``: ``physical`` or ``published``. ``filter_name``, ``views``: of the simulated scan. ``dose``: fraction of
    the NDCT's dose. ``photons``: at full dose; where the calibration starts, and ``calibrate: false`` keeps it.
    ``quantum``: ``poisson`` or ``gaussian``. ``redraw``: new noise for a slice at every epoch; ``false`` draws each slice once,
    as the authors did.
    """

    dose_model: Literal["physical", "published"] = "physical"
    filter_name: str = "cosine"
    views: int = 180
    dose: Finite = 0.02
    photons: Finite = 1.5e5
    quantum: str = "poisson"
    calibrate: bool = True
    redraw: bool = True


class MetricsSettings(Settings):
    """What is measured besides the measures of the program.

    ``structure``: SSIM, MS-SSIM, FSIM, VIF, GMSD and IW-SSIM against each row's label. ``extra``: measures of your own,
    ``package.module:Class``.
    """

    structure: bool = False
    extra: tuple[str, ...] = ()


class RunSettings(Settings):
    """How work is done; nothing here changes a result, but for denoisers that draw while they sample (``eval_batch``).

    ``on``: where cells run, ``local`` or ``slurm``, or a class of your own; ``at``: its options. ``processes``: cells at once on
    this machine; ``None`` for one per core, or one per GPU. ``accelerator``: Lightning's word. ``eval_batch``: slices per network
    call when the test set is denoised; a denoiser that draws while it samples has one generator for each call, hence other draws
    with another batch. ``loader_workers``: processes that read slices for each training; ``None`` for none on a CPU, which has
    its own work, and for 4 beside a GPU, or as many as it has cores. ``checkpoint_seconds``: least time between two checkpoints.
    ``work``: folder of checkpoints and caches. ``out``: folder of the leaderboards. ``weights``: folder with weights of feature
    extractors, besides the caches that ``ipv2-bench check`` lists.
    """

    on: str = "local"
    at: Annotated[dict[str, Any], AfterValidator(as_text)] = {}
    processes: Positive | None = None
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    eval_batch: Positive = 8
    loader_workers: Count | None = None
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 15.0
    work: str = "runs"
    out: str = "leaderboards"
    weights: str | None = None


class WandbSettings(Settings):
    """``mode``: ``auto`` (online when logged in, else offline), ``online``, ``offline`` or ``disabled``; ``project``: name."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "ipv2-bench"
