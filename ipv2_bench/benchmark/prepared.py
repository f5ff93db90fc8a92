"""The data of a benchmark: slices, split and the calibrated module 2."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ipv2_bench import data, physics, purification, registry
from ipv2_bench.benchmark.config import Config
from ipv2_bench.benchmark.module_2 import calibrated_module_2, module_2
from ipv2_bench.benchmark.settings import DataSettings
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.source import Source
from ipv2_bench.data.split import Split, check_rule, deal_out, evenly_spaced, split_slices
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.catalogue import Catalogue, catalogue
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.weights import weights_folder

if TYPE_CHECKING:
    from ipv2_bench.metrics.image_set import Measuring

SOURCES = "ipv2_bench.data.sources"
LEAST_TRAIN, LEAST_TEST = 2, 4


@dataclass(frozen=True)
class Slices:
    """Slices of a configuration with their window and its split, or those of its folds."""

    window: Window
    slices: SliceSet
    splits: tuple[Split, ...]

    @property
    def split(self) -> Split:
        """What rows are measured on: the one split, or every slice where folds test each of them."""
        if len(self.splits) == 1:
            return self.splits[0]
        return Split(*(np.unique(np.concatenate([getattr(s, part) for s in self.splits])) for part in ("train", "val", "test")))

    @classmethod
    def open(cls, config: Config, progress: bool = True, distances: bool = True) -> Slices:
        """Open the slices of a configuration, or make them first, and split them.

        :func:`check_settings` refuses most of what is not usable sooner. ``distances``: sets that are too small for distances
        between them are refused.

        Raises
        ------
        InputError
            When the source, its options, the data or the split are not usable.
        """
        name = config.data.source
        source_class = registry.find(SOURCES, name, Source)  # type: ignore[type-abstract]
        source = registry.build(source_class, Source, config.data.options, f"data source {name}")
        window = window_of(config)
        slices = source.slices(Path(config.run.work) / "cache", window, config.data.size, progress)
        settings = config.data
        if settings.folds is None:
            one = split_slices(slices, settings.split, settings.fractions, settings.split_seed)
            splits: tuple[Split, ...] = (one,)
        else:
            splits = deal_out(slices, settings.folds, settings.fractions[1], settings.split_seed)
        if settings.test_slices is not None:
            splits = tuple(_with_fewer_tests(split, slices, settings.test_slices) for split in splits)
        opened, fewest = cls(window, slices, splits), min(len(split.train) for split in splits)
        if distances and (len(opened.split.test) < LEAST_TEST or fewest < LEAST_TRAIN):
            raise InputError(
                f"{fewest} training and {len(opened.split.test)} test slices: expected at least {LEAST_TRAIN} and "
                f"{LEAST_TEST}, since distances between smaller sets mean nothing; add slices or change data.fractions"
            )
        return opened


def _with_fewer_tests(split: Split, slices: SliceSet, most: int) -> Split:
    """A split that tests at most ``most`` slices of each patient, or of all of them where patients are not known."""
    return replace(split, test=split.test[evenly_spaced([slices.patient[i] for i in split.test], most)])


@dataclass(frozen=True)
class Fold:
    """A split that is trained on and tested.

    Attributes
    ----------
    split
        Its parts.
    add_noise
        Module 2, calibrated on its training pairs.
    """

    split: Split
    add_noise: AddNoise


@dataclass(frozen=True)
class Prepared:
    """Data of a benchmark, ready to train on.

    Attributes
    ----------
    config
        Its settings.
    window, slices, split
        The data and its parts; where there are folds, every slice is of its test part.
    folds
        What is trained: the one split, or one for each fold.
    """

    config: Config
    window: Window
    slices: SliceSet
    split: Split
    folds: tuple[Fold, ...]

    @classmethod
    def open(cls, config: Config, progress: bool = True, distances: bool = True) -> Prepared:
        """Open or make the slices, split them and calibrate module 2 on the training pairs; see :meth:`Slices.open`.

        Raises
        ------
        InputError
            When anything of it is not usable.
        """
        opened = Slices.open(config, progress, distances)
        folds = tuple(Fold(split, calibrated_module_2(config, opened.slices, split, opened.window)) for split in opened.splits)
        return cls(config, opened.window, opened.slices, opened.split, folds)

    @property
    def add_noise(self) -> AddNoise:
        """Module 2 of the first fold, which stands for all where purified pairs are only shown or written."""
        return self.folds[0].add_noise

    @property
    def module_2(self) -> dict:
        """Settings of module 2, as plain JSON values; with folds its photons are a list, one for each."""
        identity, photons = self.add_noise.identity(), [fold.add_noise.acquisition.photons for fold in self.folds]
        acquisition = identity["acquisition"] if len(photons) == 1 else {**identity["acquisition"], "photons": photons}
        return {**identity, "acquisition": acquisition}

    @cached_property
    def catalogue(self) -> Catalogue:
        """The measures."""
        return catalogue(self.config.metrics.extra)

    @cached_property
    def measuring(self) -> Measuring:
        """Measures image sets that stand for the test slices."""
        from ipv2_bench.benchmark.measuring import measuring_of

        return measuring_of(
            self.slices, self.split, self.window, self.catalogue, weights_folder(self.config.run.weights)
        )

    @cached_property
    def measuring_version(self) -> str:
        """Hash that names measurements; see :func:`ipv2_bench.benchmark.measuring.measuring_version`."""
        from ipv2_bench.benchmark.measuring import measuring_version

        return measuring_version(self.catalogue, weights_folder(self.config.run.weights))

    @property
    def pixel_mm(self) -> float:
        """Mean side of a test slice's pixel in mm."""
        return float(np.mean(self.slices.pixel_mm[self.split.test]))

    @property
    def test_patients(self) -> list[str]:
        """Patient of each test slice; empty strings where they are not stated."""
        return [self.slices.patient[i] for i in self.split.test]

    def need_truth(self) -> None:
        """Refuse data whose aligned truth is unknown.

        Raises
        ------
        InputError
            When it is.
        """
        if self.slices.truth is None:
            raise InputError(f"data.source {self.config.data.source} knows no truth: use phantom or virtual_scan")


def refuse_folds(config: Config, what: str) -> None:
    """Refuse folds for what takes one split.

    Raises
    ------
    InputError
        When the configuration has folds.
    """
    if config.data.folds is not None:
        raise InputError(f"{what} takes one split, and data.folds is {config.data.folds}: set data.folds=null")


def check_source(data: DataSettings, where: str | None = None) -> None:
    """Refuse a data source that does not exist, and options that it does not have, from source text alone.

    Parameters
    ----------
    data
        The source and its options; a class from outside passes.
    where
        What has the options, for messages; ``None`` for the source.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    if ":" in data.source:
        return
    registry.refuse_unknown(SOURCES, data.source, "source")
    valid = registry.options_in_text(SOURCES, data.source)
    registry.check_options(valid, data.options, where or f"data source {data.source}")


def check_settings(config: Config) -> None:
    """Refuse values of settings that nothing can be done with, before any data is read; torch is not imported.

    Raises
    ------
    InputError
        The valid ones are listed.
    """
    check_source(config.data)
    weights_folder(config.run.weights)
    check_rule(config.data.split)
    module_2(config, window_of(config))
    if config.metrics.extra:
        catalogue(config.metrics.extra)


def window_of(config: Config) -> Window:
    """The HU window of the slices.

    Raises
    ------
    InputError
        When it is empty.
    """
    try:
        return Window(*config.data.window)
    except ValueError as error:
        raise InputError(f"data.window: {error}") from error


def shared_versions() -> dict[str, int]:
    """Versions of what shapes the pairs that every cell trains on."""
    return {"data": data.VERSION, "physics": physics.VERSION, "purification": purification.VERSION}
