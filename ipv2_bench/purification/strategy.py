"""The base class of all strategies: what a denoiser is trained on, and the test label that follows.

Strategies are named and compared without torch and scipy: what computes with images imports them inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ipv2_bench import registry
from ipv2_bench.errors import InputError
from ipv2_bench.fingerprint import settings_of, version_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from ipv2_bench.data.hu_images import HuImages
    from ipv2_bench.data.pair import Pair, Patches, TrainingPair
    from ipv2_bench.data.slices import SliceSet

PACKAGE = "ipv2_bench.purification.strategies"
"""Where the strategies are."""

PURIFIED = "purified"
"""Module of the class that has the points of the paper's lattice for its names, such as IPv2."""

ORACLE = "oracle"
"""Name of the strategy that trains on the aligned truth."""


class Strategy:
    """Base class of a strategy: a frozen dataclass whose fields are its options, all with defaults.

    A subclass overrides what it does otherwise than ``raw``, which trains on the pair as it is: :meth:`training_pair` for the
    input and target of a batch; :meth:`targets` for what takes the NDCT's place in all slices; :meth:`usable` and :meth:`patches`
    for what of them is trained on; :meth:`correction` for a network that is trained along.
    """

    version = 1
    """Version: raise when the same slices and options give other pairs. A class from outside without it is known by its text."""

    summary = ""
    """What a denoiser is trained on, in a few words for lists and legends."""

    needs_noise: bool = False
    """Whether the training input holds A(n), the NDCT with simulated noise."""

    needs_truth = False
    """Whether the target is the aligned truth, which has to be known."""

    draws = False
    """Whether :meth:`training_pair` draws, and takes generators."""

    has_label = False
    """Whether there is a purified test label; otherwise the label is the NDCT."""

    modules: str = ""
    """Numbers of the paper's modules that are on, as ``"1+2"``; empty for none."""

    label_modules: str = ""
    """Numbers of the modules that shape the test label."""

    remove_noise: bool = False
    """Whether module 3 takes part in the test label."""

    @staticmethod
    def from_name(name: str, **options: object) -> Strategy:
        """The strategy of a name, or ``package.module:Class``, with its options; one that is ``None`` stays at its default.

        Raises
        ------
        InputError
            For an unknown name, an unknown option or a value that is refused; the valid ones are listed.
        """
        given = {key: value for key, value in options.items() if value is not None}
        return _class_of(name).of_name(name, given)

    @classmethod
    def of_name(cls, name: str, options: dict[str, Any]) -> Strategy:
        """Strategy of this class with a name; see :meth:`from_name`."""
        if options and not fields(cls):  # type: ignore[arg-type]
            raise InputError(f"strategy {name} has no options: take {', '.join(options)} out")
        return registry.build(cls, Strategy, options, f"strategy {name}")

    @property
    def corrects(self) -> bool:
        """Whether there is a :meth:`correction`, which asks the denoiser for its estimate of the target in training."""
        return type(self).correction is not Strategy.correction

    @property
    def trains_more(self) -> bool:
        """Whether training differs in more than its pairs, so that no file can hold them: a network, or patches."""
        return self.corrects or type(self).patches is not Strategy.patches

    @property
    def base(self) -> str:
        """The name without options."""
        return registry.key_of(type(self))

    @property
    def options(self) -> dict[str, Any]:
        """Options that differ from their defaults."""
        return settings_of(self)

    @property
    def name(self) -> str:
        """The name of the strategy, followed by the options that differ from the defaults, in brackets."""
        changed = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return self.base + (f" [{changed}]" if changed else "")

    @property
    def option_words(self) -> dict[str, str]:
        """What the words in brackets of the name mean, where they do not say so themselves."""
        return {}

    @property
    def training_name(self) -> str:
        """Name of the strategy as far as training goes."""
        return self.name

    @property
    def has_options(self) -> bool:
        """Whether an option differs from its default: for a strategy of the paper such a one is ours, and not published."""
        return bool(self.options)

    def training_identity(self) -> dict:
        """Settings that determine the training pairs, as plain JSON values."""
        version = version_of(type(self))
        return {"kind": self.base, **self.options, **({} if version == 1 else {"version": version})}

    def training_pair(
        self,
        pair: Pair,
        add_noise: Callable[[Tensor], Tensor] | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> TrainingPair:
        """Training input and target of raw pairs [B, 1, N, N]; as they are, unless a strategy overrides it.

        Parameters
        ----------
        pair
            ``mask`` holds that of :meth:`training_masks`, and ``normal`` what :meth:`targets` puts in its place.
        add_noise
            A, for a strategy that :attr:`needs_noise`.
        generators
            One for each slice, on its device, for a strategy that :attr:`draws`.
        """
        from ipv2_bench.data.pair import TrainingPair

        return TrainingPair(pair.low, pair.normal)

    def test_label(self, pair: Pair, remove_noise: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The purified test label [B, 1, N, N].

        Raises
        ------
        ValueError
            For strategies without masks, whose label is the NDCT itself.
        """
        raise ValueError(f"strategy {self.name} has no purified label: its label is the NDCT")

    def training_masks(self, slices: SliceSet) -> np.ndarray | None:
        """Mask M of the training input for every slice, uint8 [n, N, N] with 255 for 1; ``None`` where none is used."""
        return None

    def label_masks(self, slices: SliceSet) -> np.ndarray:
        """Mask M of the test label for every slice, uint8 [n, N, N] with 255 for 1.

        Raises
        ------
        ValueError
            For strategies without masks.
        """
        raise ValueError(f"strategy {self.name} has no purified label: its label is the NDCT")

    def targets(self, slices: SliceSet) -> HuImages | np.ndarray | None:
        """What takes the place of the NDCT in training, [n, N, N] float32 in [0, 1]; ``None`` for the NDCT itself.

        It may be kept on disk, by :meth:`~ipv2_bench.data.slices.SliceSet.derive`.
        """
        return None

    def usable(self, slices: SliceSet) -> np.ndarray | None:
        """The share of each slice that can be trained on, [n] in [0, 1]; slices with 0 are left out. ``None`` for all of all."""
        return None

    def training_side(self, size: int, crop: int | None) -> int:
        """Side in pixels of what is trained on, for slices of a side and the settings' crops (``None`` for whole slices).

        Raises
        ------
        InputError
            When crops are larger than the images that they are cut from.
        """
        return cut_side(size, crop)

    def patches(self, slices: SliceSet) -> Patches | None:
        """Which squares of the slices are trained on; ``None`` for those that the settings cut."""
        return None

    def correction(self) -> nn.Module | None:
        """A network that is trained along with the denoiser, and left away afterwards; ``None`` for none.

        It takes the denoiser's estimate and the target, [B, 1, H, W] each, and returns the loss, a scalar, in place of the
        denoiser's own. Its weights are drawn from torch's global generator.
        """
        return None


def cut_side(size: int, crop: int | None) -> int:
    """Side of the crops of images of a side; that of the images without crops.

    Raises
    ------
    InputError
        When crops are larger than images.
    """
    if crop is not None and crop > size:
        raise InputError(f"crops of {crop} pixels are larger than the slices of {size} that are trained on: make them smaller")
    return crop or size


def names() -> list[str]:
    """Names of all strategies: the points of the lattice, and its rivals."""
    from ipv2_bench.purification.strategies.purified import LATTICE

    return [*LATTICE, *(name for name in registry.names(PACKAGE) if name != PURIFIED)]


def _class_of(name: str) -> type[Strategy]:
    """The class of a strategy's name."""
    known = names()
    if ":" not in name and name not in known:
        hint = registry.suggestion(name, known)
        raise InputError(f"strategy '{name}' is unknown: {hint}use one of {', '.join(known)}, or package.module:Class")
    in_lattice = ":" not in name and name not in registry.names(PACKAGE)
    cls = registry.find(PACKAGE, PURIFIED if in_lattice else name, Strategy)
    if not is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise InputError(f"strategy {name} is no frozen dataclass: write @dataclass(frozen=True) above the class")
    return cls
