"""Batches of purified pairs: the strategy is applied on the device, after the transfer, anew at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ipv2_bench.data.pair import Pair, TrainingPair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import derive_seed, numpy_generator, torch_generator


class NoiseModel(Protocol):
    """What the data module asks of module 2 (:class:`ipv2_bench.purification.add_noise.AddNoise` has it)."""

    def __call__(
        self,
        normal: Tensor,
        pixel_mm: Tensor,
        generators: Sequence[torch.Generator],
        integrals: Tensor | None = None,
    ) -> Tensor:
        """NDCT [B, 1, N, N] in [0, 1], pixel_mm [B], one generator per slice → the same with noise."""
        ...

    def integrals(self, slices: SliceSet) -> np.ndarray | None:
        """Line integrals of every NDCT, [n, views, detectors]; ``None`` where they are of no use."""
        ...


class Purifier(Protocol):
    """What the data module asks of a strategy (:class:`ipv2_bench.purification.Strategy` has it)."""

    @property
    def needs_noise(self) -> bool:
        """Whether pairs hold A(n)."""
        ...

    def training_masks(self, slices: SliceSet) -> np.ndarray | None:
        """Weights of the common mask for every slice, uint8 [n, N, N] with 255 for 1; ``None`` where none is used."""
        ...

    def training_pair(self, pair: Pair, add_noise: Callable[[Tensor], Tensor] | None) -> TrainingPair:
        """The purified pair."""
        ...


class PairedCTDataModule(L.LightningDataModule):
    """Pairs of a slice set, purified on the fly.

    Parameters
    ----------
    slices, split
        The data and its parts.
    strategy
        How pairs are purified.
    add_noise
        Module 2, needed by strategies that have it.
    batch_size, workers
        Of the loaders. Neither changes what is drawn for a slice.
    seed
        Of the order of the slices and of module 2's noise.
    batches
        Length of the training loader; one pass over the slices where it is ``None``. The benchmark gives it the whole
        training, so that there is no border between epochs at which workers stop or a resumed run can go astray.
    context
        Slices in the input: 1, or 3 with the neighbours in the series, purified alike; the target is the middle one's.

    Notes
    -----
    In a distributed run the module deals out batches and test slices itself, none twice: give the Trainer
    ``use_distributed_sampler=False``. ``trainer.predict`` passes the raw test uLDCT to the denoiser's ``restore``.
    """

    def __init__(
        self,
        slices: SliceSet,
        split: Split,
        strategy: Purifier,
        add_noise: NoiseModel | None = None,
        batch_size: int = 2,
        workers: int = 0,
        seed: int = 0,
        batches: int | None = None,
        context: int = 1,
    ) -> None:
        super().__init__()
        self.slices, self.split, self.strategy, self.add_noise = slices, split, strategy, add_noise
        self.batch_size, self.workers, self.seed = max(1, min(batch_size, len(split.train))), workers, seed
        self.batches_per_epoch = max(1, len(split.train) // self.batch_size)
        self.batches = batches or self.batches_per_epoch
        self.context = context
        self.latest: list[int] = []
        self.masks: np.ndarray | None = None
        self.integrals: np.ndarray | None = None

    def setup(self, stage: str) -> None:
        """Compute the masks and the line integrals, or find them on disk."""
        self.masks = self.strategy.training_masks(self.slices)
        # On an accelerator to project anew is cheaper than to carry a sinogram there.
        on_cpu = self.trainer is None or self.trainer.strategy.root_device.type == "cpu"
        if on_cpu and self.strategy.needs_noise and self.add_noise is not None:
            self.integrals = self.add_noise.integrals(self.slices)

    @property
    def batches_done(self) -> int:
        """Training batches that are processed, over all runs of an interrupted training."""
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    @property
    def epoch(self) -> int:
        """Passes over the training slices that are complete."""
        rank, world = self._place()
        return (self.batches_done * world + rank) // self.batches_per_epoch

    def _place(self) -> tuple[int, int]:
        """Number of this process and of all processes of a distributed run."""
        if self.trainer is None:
            return 0, 1
        world = getattr(self.trainer, "world_size", 1)
        if world > 1 and self.trainer._accelerator_connector.use_distributed_sampler:
            raise InputError(
                "PairedCTDataModule deals out its slices itself: use Trainer(use_distributed_sampler=False)"
            )
        return getattr(self.trainer, "global_rank", 0), world

    def train_dataloader(self) -> DataLoader:
        """Training pairs, in a new order at every pass; the last incomplete batch of a pass is left out."""
        data = PairDataset(self.slices, self.split.train, self.masks, self.integrals, self.context)
        place = self._place()
        order = TrainingOrder(len(data), self.batch_size, self.batches, self.seed, lambda: self.batches_done, *place)
        return DataLoader(
            data,
            batch_size=self.batch_size,
            sampler=order,
            num_workers=self.workers,
            drop_last=True,
            persistent_workers=self.workers > 0,
        )

    def val_dataloader(self) -> DataLoader:
        """Validation pairs in their order; empty where the split has none."""
        return self._in_order(self.split.val)

    def test_dataloader(self) -> DataLoader:
        """Test pairs in their order."""
        return self._in_order(self.split.test)

    def predict_dataloader(self) -> DataLoader:
        """Raw test pairs in their order."""
        return self._in_order(self.split.test)

    def _in_order(self, index: np.ndarray) -> DataLoader:
        rank, world = self._place()
        if 0 < len(index) < world:
            raise InputError(
                f"{len(index)} slices cannot be dealt out to {world} processes: use at most {len(index)} devices, or more slices"
            )
        data = PairDataset(self.slices, index[rank::world], self.masks, self.integrals, self.context)
        return DataLoader(data, batch_size=self.batch_size, num_workers=self.workers)

    def on_after_batch_transfer(self, batch: Pair, dataloader_idx: int) -> TrainingPair | Pair:
        """Raw pairs on the device → purified training pairs; for prediction they stay as they are."""
        self.latest = batch.slice_index.reshape(len(batch.low), -1)[:, self.context // 2].tolist()
        if getattr(self.trainer, "predicting", False):
            return batch
        training = self.trainer is not None and self.trainer.training
        # Validation draws one noise for ever, so that its loss can be compared between epochs.
        return self.purify(batch, self.epoch if training else -1)

    def purify(self, batch: Pair, epoch: int) -> TrainingPair:
        """The strategy's training pair; a slice's noise is fixed by (seed, epoch, slice)."""
        if self.context > 1:
            images, others = batch[:3], batch[3:]  # slices with their neighbours → every one on its own
            alone = Pair(*(part.flatten(0, 1)[:, None] for part in images), *(part.flatten(0, 1) for part in others))
            made = self._purify(alone, epoch)
            sides = [x.unflatten(0, (-1, self.context))[:, :, 0] for x in made]
            return TrainingPair(sides[0], sides[1][:, self.context // 2 : self.context // 2 + 1])
        return self._purify(batch, epoch)

    def _purify(self, batch: Pair, epoch: int) -> TrainingPair:
        noise: Callable[[Tensor], Tensor] | None = None
        if self.add_noise is not None:
            model = self.add_noise

            def noise(normal: Tensor) -> Tensor:
                generators = [
                    torch_generator(self.seed, "add noise", epoch, i, device=normal.device)
                    for i in batch.slice_index.tolist()
                ]
                known = batch.integrals if batch.integrals.numel() else None
                return model(normal, batch.pixel_mm, generators, known)

        return self.strategy.training_pair(batch, noise)


class PairDataset(Dataset):
    """Raw pairs of some slices of a set, with their neighbours where there is a context."""

    def __init__(
        self,
        slices: SliceSet,
        index: np.ndarray,
        masks: np.ndarray | None = None,
        integrals: np.ndarray | None = None,
        context: int = 1,
    ) -> None:
        self.slices, self.index, self.masks, self.integrals = slices, index, masks, integrals
        self.context = context

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, place: int) -> Pair:
        i = int(self.index[place])
        if self.context == 1:
            return self._pair(i)
        near = [self._pair(j) for j in self.slices.neighbourhood(i, self.context)]
        return Pair(
            *(torch.cat(parts) if parts[0].ndim > 2 else torch.stack(parts) for parts in zip(*near, strict=True))
        )

    def _pair(self, i: int) -> Pair:
        low, normal = (torch.from_numpy(np.array(a[i]))[None] for a in (self.slices.low, self.slices.normal))
        mask = torch.zeros_like(low)
        if self.masks is not None:
            mask = torch.from_numpy(np.array(self.masks[i])).float()[None] / 255.0
        pixel_mm = torch.tensor(self.slices.pixel_mm[i], dtype=torch.float32)
        integrals = torch.zeros(0) if self.integrals is None else torch.from_numpy(np.array(self.integrals[i]))
        return Pair(low, normal, mask, pixel_mm, torch.tensor(i), integrals)


class TrainingOrder(Sampler[int]):
    """Places of slices, batch after batch, a new permutation at every pass.

    What a batch holds depends on seed and number of the batch alone, so that an interrupted run goes on with the next one.

    Parameters
    ----------
    length
        Number of slices.
    batch_size
        Slices in a batch.
    batches
        Batches until the loader ends, counted from the last multiple of this number.
    seed
        Of the permutations.
    done
        Number of batches that are done; asked when the loader starts.
    rank, world
        Number of this process and of all: each takes every ``world``-th batch.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        batches: int,
        seed: int,
        done: Callable[[], int],
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.length, self.batch_size, self.batches = length, batch_size, batches
        self.seed, self.done, self.rank, self.world = derive_seed(seed, "order"), done, rank, world

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        per_epoch = self.length // self.batch_size
        first = self.done()
        end = (first // self.batches + 1) * self.batches
        drawn, order = -1, np.zeros(0, int)
        for batch in range(first, end):
            epoch, place = divmod(batch * self.world + self.rank, per_epoch)
            if epoch != drawn:
                drawn, order = epoch, numpy_generator(self.seed, epoch).permutation(self.length)
            yield from order[place * self.batch_size : (place + 1) * self.batch_size].tolist()
