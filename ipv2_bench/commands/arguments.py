"""Arguments that several commands share, and what they are turned into."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ipv2_bench.errors import InputError

if TYPE_CHECKING:
    from ipv2_bench.benchmark.config import Config
    from ipv2_bench.benchmark.tables import Table


GREY_HELP = "grey levels of PNG to the nearest, or down as the authors' scripts (default: %(default)s)"


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config`` and overrides."""
    parser.add_argument(
        "--config", default="quick", metavar="NAME|FILE", help="configuration, by name or path (default: %(default)s)"
    )
    add_settings(parser)


def add_settings(parser: argparse.ArgumentParser, example: str = "train.steps=100") -> None:
    """Overrides ``key=value``, and ``--quiet``."""
    parser.add_argument("settings", nargs="*", metavar="key=value", help=f"settings, such as {example}")
    add_quiet(parser)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help="no progress")


def add_tables(parser: argparse.ArgumentParser) -> None:
    """``--tables``."""
    parser.add_argument("--tables", default="", metavar="N,N", help="numbers of tables, such as 1,3 (default: all)")


def add_strategy(parser: argparse.ArgumentParser) -> None:
    """``--strategy`` and ``--background``."""
    parser.add_argument("--strategy", default="IPv2", help="strategy of the training pairs (default: %(default)s)")
    parser.add_argument("--background", help="rule of module 1 (default: flood_fill)")


def add_one_cell(parser: argparse.ArgumentParser) -> None:
    """A denoiser, its strategy, and the configuration."""
    parser.add_argument("--denoiser", required=True, metavar="NAME", help="a name, or package.module:Class")
    add_strategy(parser)
    add_config(parser)


def one_cell_of(given: argparse.Namespace) -> Config:
    """The configuration of :func:`add_one_cell`; names are checked before anything heavy is imported."""
    from ipv2_bench.benchmark.cells.denoisers import check_names
    from ipv2_bench.benchmark.tasks.comparison import single_line

    config = config_of(given)
    check_names(config, [single_line(given.denoiser, given.strategy, given.background)])
    return config


def config_of(given: argparse.Namespace) -> Config:
    """The configuration that is asked for, with its overrides."""
    from ipv2_bench.benchmark.config import load_config

    return load_config(given.config, given.settings)


def benchmark_of(given: argparse.Namespace) -> tuple[Config, list[Table]]:
    """Configuration and tables that are asked for; names are checked before anything heavy is imported."""
    from ipv2_bench.benchmark.cells.denoisers import check_names
    from ipv2_bench.benchmark.tables import load_tables

    config = config_of(given)
    tables = load_tables(config, table_numbers(given))
    check_names(config, tables)
    return config, tables


def table_numbers(given: argparse.Namespace) -> list[int] | None:
    """The numbers of ``--tables``; ``None`` for all tables.

    Raises
    ------
    InputError
        When they are no numbers.
    """
    text = getattr(given, "tables", "")
    try:
        return [int(n) for n in text.split(",")] if text else None
    except ValueError:
        raise InputError(f"--tables is '{text}': expected numbers such as 1,3") from None


def row_files(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Files of rows among the words, and the settings.

    Raises
    ------
    InputError
        Without a file.
    """
    files = [word for word in words if word.endswith(".json")]
    if not files:
        raise InputError("no row is named: give files under leaderboards/*/rows")
    return [Path(f) for f in files], [word for word in words if word not in files]
