"""What the names of strategies mean, and the options that they have in brackets."""

from __future__ import annotations

from collections.abc import Iterable

from ipv2_bench.purification.strategy import Strategy


def option_words(strategies: Iterable[Strategy]) -> dict[str, str]:
    """Every option in the names of some strategies → what it means."""
    return {option: meaning for strategy in strategies for option, meaning in strategy.option_words.items()}
