"""The specification of a cell: all that a worker needs to compute it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, TypeAdapter

from ipv2_bench.benchmark.cells.cost import Cost, TrainingCost
from ipv2_bench.benchmark.cells.denoisers import DenoiserChoice
from ipv2_bench.benchmark.prepared import Fold
from ipv2_bench.benchmark.settings import MetricsSettings, RunSettings, TrainSettings
from ipv2_bench.data.slices import SliceSet, open_slices
from ipv2_bench.data.split import PARTS, Split
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.purification.strategy import Strategy
from ipv2_bench.stored import present, read_object


def _opened(value: Any) -> Any:
    return open_slices(Path(value)) if isinstance(value, str) else value


def _indices(value: Any) -> Any:
    return Split(*(np.array(value[part], np.int64) for part in PARTS)) if isinstance(value, dict) else value


def _index_lists(split: Split) -> dict[str, list[int]]:
    return {part: getattr(split, part).tolist() for part in PARTS}


def _fold(value: Any) -> Any:
    return Fold(_indices(value["split"]), _ADD_NOISE.validate_python(value["add_noise"])) if isinstance(value, dict) else value


def _strategy(value: Any) -> Any:
    return Strategy.from_name(value["name"], **value["options"]) if isinstance(value, dict) else value


_ADD_NOISE = TypeAdapter(AddNoise)

Slices = Annotated[SliceSet, BeforeValidator(_opened), PlainSerializer(lambda slices: str(slices.folder.absolute()))]
Indices = Annotated[Split, BeforeValidator(_indices), PlainSerializer(_index_lists)]
OneFold = Annotated[
    Fold,
    BeforeValidator(_fold),
    PlainSerializer(lambda fold: {"split": _index_lists(fold.split), "add_noise": _ADD_NOISE.dump_python(fold.add_noise)}),
]
NamedStrategy = Annotated[
    Strategy,
    BeforeValidator(_strategy),
    PlainSerializer(lambda strategy: {"name": strategy.base, "options": strategy.options}),
]
"""As JSON: the folder of the slices, lists of indices, and the strategy's name with its options."""


class CellSpec(BaseModel):
    """All that a worker needs to compute a cell; it can be written as JSON and read again.

    Attributes
    ----------
    cell_id
        Hash of what determines the cell.
    folder
        Folder of its files.
    denoiser, strategy, seed
        What is trained, on which pairs, and the seed of weights, order, noise and losses.
    slices, split, window
        The data; with folds every slice is of the test part of its split.
    folds
        What is trained on and tested: the one split, or those of the folds, each with its module 2.
    train, run, metrics
        Settings.
    accelerator, threads
        Device and CPU threads of its process.
    measuring
        Hash that names measurements (:func:`ipv2_bench.benchmark.measuring.measuring_version`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    cell_id: str
    folder: Path
    denoiser: DenoiserChoice
    strategy: NamedStrategy
    seed: int
    slices: Slices
    split: Indices
    folds: tuple[OneFold, ...]
    window: Window
    train: TrainSettings
    run: RunSettings
    metrics: MetricsSettings
    accelerator: str
    threads: int
    measuring: str

    @property
    def name(self) -> str:
        """The cell in words. Denoisers from outside go by their key, since titles may repeat."""
        title = self.denoiser.key if ":" in self.denoiser.key else self.denoiser.title
        return f"{title} · {self.training_name} · seed {self.seed}"

    @property
    def training_name(self) -> str:
        """The strategy as far as training goes: IPv1+1+2 and IPv2 train on the same pairs."""
        return self.strategy.training_name

    @property
    def trainings(self) -> tuple[CellSpec, ...]:
        """The cell of each fold; the cell itself where there is one split."""
        if len(self.folds) == 1:
            return (self,)
        update = [{"folder": self.folder / f"fold-{k}", "split": f.split, "folds": (f,)} for k, f in enumerate(self.folds)]
        return tuple(self.model_copy(update=own) for own in update)

    @property
    def weights_path(self) -> Path:
        """Trained weights; absent for a denoiser without any, and with folds, each of which has its own."""
        return self.folder / "model.safetensors"

    @property
    def training_cost_path(self) -> Path:
        """What its training cost."""
        return self.folder / "training_cost.json"

    @property
    def images_path(self) -> Path:
        """Denoised test slices, [n, N, N] float32 in [0, 1]."""
        return self.folder / "denoised.npy"

    @property
    def cost_path(self) -> Path:
        """Its cost; written last of what training and denoising leave."""
        return self.folder / "cost.json"

    @property
    def measures_path(self) -> Path:
        """Measurements of the denoised images."""
        return self.folder / f"measures-{self.measuring}.npz"

    @property
    def complete(self) -> bool:
        """Whether everything has been computed, and is whole."""
        return self.denoised and present(self.measures_path)

    @property
    def denoised(self) -> bool:
        """Whether the test slices have been denoised, and their images and cost are whole."""
        return present(self.cost_path) and present(self.images_path)

    @property
    def cost(self) -> Cost:
        """What it cost."""
        return Cost.model_validate(read_object(self.cost_path))

    @property
    def training_cost(self) -> TrainingCost:
        """What its training cost; nothing for a denoiser without weights."""
        path = self.training_cost_path
        return TrainingCost.model_validate(read_object(path)) if present(path) else TrainingCost()
