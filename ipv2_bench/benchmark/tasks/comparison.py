"""Tables that commands put together: a comparison with the baselines, and a single line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ipv2_bench.benchmark.tables import NDCT, Table, TableLine
from ipv2_bench.errors import InputError
from ipv2_bench.purification.strategy import Strategy

BASELINES = ("fm", "ffm", "cold_diffusion", "corediff", "identity")


def comparison(denoisers: Sequence[str], strategy: str, background: str | None) -> Table:
    """The table of a comparison.

    Raises
    ------
    InputError
        Without a denoiser, or for an unknown strategy.
    """
    if not denoisers or not all(denoisers):
        raise InputError("no denoiser to compare: name one, such as --denoiser my_package.my_module:MyDenoiser")
    chosen = Strategy.from_name(strategy, background=background)
    names = [*(b for b in BASELINES if b not in denoisers), *dict.fromkeys(denoisers)]
    # The module and the strategy too, so that no comparison takes the place of another.
    key = "_".join(["compare", *(re.sub(r"[^\w+]+", "-", word).strip("-") for word in ("-".join(denoisers), chosen.name))])
    title = f"{', '.join(denoisers)} beside the baselines under {chosen.name}"
    lines = tuple(TableLine(NDCT, n, chosen) for n in names)
    return Table(key, title, False, lines, {}, newcomers=tuple(denoisers))


def single_line(denoiser: str, strategy: str, background: str | None) -> Table:
    """The table of one denoiser under one strategy.

    Raises
    ------
    InputError
        For an unknown strategy or rule of module 1.
    """
    line = TableLine(NDCT, denoiser, Strategy.from_name(strategy, background=background))
    return Table("cell", "one cell", False, (line,), {})
