"""The settings of a folder of pairs that needs no configuration: its source, size and split are read from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ipv2_bench import registry
from ipv2_bench.benchmark.config import Config, default_config, load_config
from ipv2_bench.data.findings import Findings, LeftOut, Unusable
from ipv2_bench.data.formats.listing import files_below
from ipv2_bench.data.formats.png import read_png
from ipv2_bench.data.source import Source
from ipv2_bench.data.sources.paired_dicom import EXPECTED, PairedDicom
from ipv2_bench.data.sources.paired_png import PairedPng, has_png_pairs
from ipv2_bench.errors import InputError, refuse


def pairs_config(root: Path, name: str | None, settings: Sequence[str]) -> Config:
    """The configuration of a folder of pairs.

    Parameters
    ----------
    root
        Folder with ``lq`` and ``gt`` of PNG or DICOM.
    name
        A configuration, by name or path, whose ``data.root`` becomes ``root``; ``None`` to read what the folder says.
    settings
        Overrides ``key=value``.

    Raises
    ------
    InputError
        When the folder holds no pairs.
    """
    if name is not None:
        config = load_config(name, settings)
        data = config.data.model_copy(update={"options": {**config.data.options, "root": str(root)}})
        return config.model_copy(update={"data": data})
    if not root.is_dir():
        raise InputError(f"the folder {root} does not exist: name one with lq and gt of PNG or DICOM pairs")
    read = _png_data if has_png_pairs(root) else _dicom_data
    return default_config(settings, data=read(root, settings))


def _png_data(root: Path, _settings: Sequence[str]) -> dict[str, object]:
    """PNG pairs at the size of the first that can be read, in the parts of a split where folders tell them."""
    pairs = PairedPng(str(root)).pairs(Findings())
    for pair in pairs:
        try:
            size = read_png(pair.low).unit.shape[1]
        except Unusable:
            continue
        split = "folder" if any(pair.part for pair in pairs) else "slice"
        return {"source": "paired_png", "root": str(root), "size": size, "split": split}
    raise InputError(f"no PNG under {root} can be read: see ipv2-bench check {root}")


def _dicom_data(root: Path, settings: Sequence[str]) -> dict[str, object]:
    """Pairs of series at the size of the smallest; split by slice, since a folder may hold one patient.

    The series are read as they will be, with the options that are set, and decoded once: what is decoded is kept in the cache.
    """
    if not files_below(root, Findings(), LeftOut()).dicom:
        raise InputError(f"no pairs of PNG or DICOM under {root}: {EXPECTED}")
    data: dict[str, object] = {"source": "paired_dicom", "root": str(root), "split": "slice"}
    config = default_config(settings, data=data)
    source = registry.build(PairedDicom, Source, config.data.options, "data source paired_dicom")
    source.cache = Path(config.run.work) / "cache"
    findings = Findings()
    with _no_warnings():  # they are given when the data set is prepared
        pairs = source.series_pairs(findings)
    refuse([str(finding) for finding in findings.list()], "data set")
    return {**data, "size": min(max(pair.low.hu.shape[1:]) for pair in pairs)}


@contextmanager
def _no_warnings() -> Iterator[None]:
    logger = logging.getLogger("ipv2_bench")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
