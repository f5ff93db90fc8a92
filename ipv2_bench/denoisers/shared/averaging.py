"""Exponential moving average (EMA) of the weights."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging


class Averaging(EMAWeightAveraging):
    """Exponential moving average of the weights, used for validation, in checkpoints and after training.

    Until its first step the average is the weights themselves, as in CoreDiff's public code.

    Parameters
    ----------
    decay
        Share of the old average in each update.
    every, start
        Steps between updates, and the first step that is averaged.
    """

    def __init__(self, decay: float, every: int, start: int) -> None:
        super().__init__(decay=decay, update_every_n_steps=every, update_starting_at_step=start)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Use the average in place of the weights during validation."""
        self._copy_weights_before_first_update(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store both the weights and their average."""
        self._copy_weights_before_first_update(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Replace the weights by their average for good."""
        self._copy_weights_before_first_update(pl_module)
        super().on_train_end(trainer, pl_module)

    def _copy_weights_before_first_update(self, module: L.LightningModule) -> None:
        average = self._average_model
        if average is not None and not int(average.n_averaged):
            average.module.load_state_dict(module.state_dict())
