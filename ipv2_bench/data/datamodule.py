"""Batches of purified pairs: the strategy is applied on the device, after the transfer, with new noise at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ipv2_bench.data.pair import Crops, Pair, PairDataset, TrainingPair
from ipv2_bench.data.purifier import NoiseModel, Purifier
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.split import Split
from ipv2_bench.data.training_order import TrainingOrder
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator

VERSION = 1
"""Version of how pairs are drawn, purified and batched in training: raise when the same data, strategy and seed give other
batches."""

READ_HERE = ("pixel_mm", "slice_index")
"""Fields of a pair that no network sees: reading them from an accelerator would wait for all of its work."""


class PairedCTDataModule(L.LightningDataModule):
    """Lightning data module: pairs of a slice set, purified on the fly.

    Parameters
    ----------
    slices, split
        The data and its parts.
    strategy
        How pairs are purified.
    add_noise
        Module 2, needed by strategies that use it.
    batch_size, workers
        Slices in a batch, the training slices at most, and worker processes of the loaders. Neither changes what is drawn for a
        slice. For a GPU the loaders fill pinned memory.
    seed
        Seed of the order of the slices and of module 2's noise.
    batches
        Number of batches of the training loader; one pass over the slices where it is ``None``. The benchmark passes the
        length of the whole training, so that there is no border between epochs at which workers stop or a resumed run could
        deviate.
    context
        Slices in the input: 1, or 3 with the neighbours in the series, purified alike; the target is the middle one's.
    crops
        What of the purified slices is trained and validated on; whole slices for ``None``. Masks and noise are those of the whole
        slice. A slice's crops depend on the seed, the batch and the slice alone; in validation they are always the same.

    Raises
    ------
    InputError
        When ``batch_size`` or ``batches`` is below 1, crops are larger than slices, or the strategy needs a truth that is not
        known.

    Attributes
    ----------
    used
        Share of the training slices that the strategy can train on.
    latest
        Indices in ``slices`` of the batch that was transferred last; with a context, those of the middle slices.

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
        crops: Crops | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("batches", batches)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}: expected at least 1")
        self.slices, self.strategy, self.add_noise, self.context = slices, strategy, add_noise, context
        self.targets, self.patches = strategy.targets(slices), strategy.patches(slices)
        self.split, self.used = _usable(split, strategy.usable(slices))
        if not len(self.split.train) and len(split.train):
            raise InputError("the strategy can train on none of the training slices: loosen what it asks of a pair")
        # At least 1, for a split that is only denoised and has no training slices.
        self.batch_size, self.workers, self.seed = max(1, min(batch_size, len(self.split.train))), workers, seed
        self.batches_per_epoch = max(1, len(self.split.train) // self.batch_size)
        self.batches = self.batches_per_epoch if batches is None else batches
        self.crops = crops or Crops()
        if self.patches is not None:
            self.crops = self.crops.of_side(self.patches.side, slices.size)
        strategy.training_side(slices.size, self.crops.size)  # refuses crops that are too large
        self.latest: list[int] = []
        self.masks: np.ndarray | None = None
        self.integrals: np.ndarray | None = None
        self.noisy: np.ndarray | None = None

    def setup(self, stage: str) -> None:
        """Compute the masks and the line integrals, or open those on disk."""
        self.prepare()
        # On an accelerator it is cheaper to project again than to transfer a sinogram.
        needed = self.strategy.needs_noise and self.noisy is None and self._device_type == "cpu"
        self.integrals = self.add_noise.integrals(self.slices) if needed and self.add_noise is not None else None

    def prepare(self) -> None:
        """Compute the masks, and A(n) where it is drawn once, or open those on disk."""
        self.masks = self.strategy.training_masks(self.slices)
        if self.strategy.needs_noise and self.add_noise is not None:
            self.noisy = self.add_noise.drawn(self.slices)

    @property
    def _device_type(self) -> str:
        """Of the device that batches go to: ``cpu``, ``cuda`` …"""
        return "cpu" if self.trainer is None else self.trainer.strategy.root_device.type

    @property
    def batches_done(self) -> int:
        """Training batches that are processed, over all runs of an interrupted training."""
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    @property
    def epoch(self) -> int:
        """Passes over the training slices that are complete."""
        rank, world = self._rank_and_world()
        return (self.batches_done * world + rank) // self.batches_per_epoch

    def _rank_and_world(self) -> tuple[int, int]:
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
        """Training pairs, in a new order at every pass; an incomplete last batch of a pass is left out."""
        train, ranks = self.split.train, self._rank_and_world()
        order = TrainingOrder(len(train), self.batch_size, self.batches, self.seed, lambda: self.batches_done, *ranks)
        return self._loader(train, sampler=order, drop_last=True, persistent_workers=self.workers > 0)

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
        """Every ``world``-th of the pairs of ``index``, in their order."""
        rank, world = self._rank_and_world()
        if 0 < len(index) < world:
            raise InputError(
                f"{len(index)} slices cannot be dealt out to {world} processes: use at most {len(index)} devices, or more slices"
            )
        return self._loader(index[rank::world])

    def _loader(self, index: np.ndarray, **more: Any) -> DataLoader:
        """Batches of the raw pairs of some slices, for a GPU in pinned memory."""
        pinned = self._device_type == "cuda"
        return DataLoader(self._pairs(index), batch_size=self.batch_size, num_workers=self.workers, pin_memory=pinned, **more)

    def _pairs(self, index: np.ndarray) -> PairDataset:
        """Raw pairs of some slices."""
        return PairDataset(self.slices, index, self.masks, self.integrals, self.context, self.targets, self.noisy)

    def purified(self, index: np.ndarray) -> TrainingPair:
        """The purified pairs of some slices as one batch, as in validation but whole; input and target [k, …, N, N]."""
        if self.masks is None:
            self.masks = self.strategy.training_masks(self.slices)
        pairs = self._pairs(index)
        batch = Pair(*(torch.stack(parts) for parts in zip(*(pairs[i] for i in range(len(pairs))), strict=True)))
        return self.purify(batch, -1)

    def transfer_batch_to_device(self, batch: Pair, device: torch.device, dataloader_idx: int) -> Pair:
        """The images of a batch on the device; pixel sizes and indices stay on the CPU, where they are read at every step."""
        moved = {k: x.to(device, non_blocking=True) for k, x in batch._asdict().items() if k not in READ_HERE}
        return batch._replace(**moved)

    def on_after_batch_transfer(self, batch: Pair, dataloader_idx: int) -> TrainingPair | Pair:
        """Purified training pairs of raw pairs on the device; for prediction, the raw pairs themselves."""
        self.latest = batch.slice_index.reshape(len(batch.low), -1)[:, self.context // 2].tolist()
        if getattr(self.trainer, "predicting", False):
            return batch
        training = self.trainer is not None and self.trainer.training
        # Validation always draws the same noise, so that its loss can be compared between epochs.
        return self._cut(self.purify(batch, self.epoch if training else -1), training)

    def _cut(self, pair: TrainingPair, training: bool) -> TrainingPair:
        """The crops of a purified batch."""
        if self.crops.are_whole:
            return pair
        rank, world = self._rank_and_world()
        number = self.batches_done * world + rank if training else -1
        corners = None if self.patches is None else [self.patches.corners(i) for i in self.latest]
        return self.crops.cut(pair, [torch_generator(self.seed, "crop", number, i) for i in self.latest], corners)

    def purify(self, batch: Pair, epoch: int) -> TrainingPair:
        """The strategy's training pair; a slice's noise is fixed by (seed, epoch, slice), or by the slice alone."""
        if self.context > 1:
            # Slices with their neighbours → every slice on its own.
            images, numbers = (batch.low, batch.normal, batch.mask), (batch.pixel_mm, batch.slice_index, batch.integrals)
            low, normal, mask = (x.flatten(0, 1)[:, None] for x in images)
            noisy = batch.noisy.flatten(0, 1)[:, None] if batch.noisy.numel() else batch.noisy
            pixel_mm, index, integrals = (x.flatten(0, 1) for x in numbers)
            single = Pair(low, normal, mask, pixel_mm, index, integrals, noisy)
            purified = self._purify(single, epoch)
            inputs, targets = (x.unflatten(0, (-1, self.context))[:, :, 0] for x in purified)
            return TrainingPair(inputs, targets[:, self.context // 2 : self.context // 2 + 1])
        return self._purify(batch, epoch)

    def _purify(self, batch: Pair, epoch: int) -> TrainingPair:
        """:meth:`purify` for slices without neighbours."""
        noise: Callable[[Tensor], Tensor] | None = None
        if self.add_noise is not None:
            model = self.add_noise

            def noise(normal: Tensor) -> Tensor:
                if batch.noisy.numel():
                    return batch.noisy
                draw = (self.seed, epoch) if model.redraw else (0, 0)
                generators = [
                    torch_generator(draw[0], "add noise", draw[1], i, device=normal.device)
                    for i in batch.slice_index.tolist()
                ]
                integrals = batch.integrals if batch.integrals.numel() else None
                return model(normal, batch.pixel_mm, generators, integrals)

        device, generators = batch.low.device, None
        if self.strategy.draws:
            generators = [torch_generator(self.seed, "pair", epoch, i, device=device) for i in batch.slice_index.tolist()]
        return self.strategy.training_pair(batch, noise, generators)


def _usable(split: Split, share: np.ndarray | None) -> tuple[Split, float]:
    """The split without the training and validation slices of which nothing can be trained on, and the share that can."""
    if share is None or not len(split.train):
        return split, 1.0
    kept = {part: index[share[index] > 0] for part in ("train", "val") for index in (getattr(split, part),)}
    return replace(split, **kept), float(share[split.train].mean())
