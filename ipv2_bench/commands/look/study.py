"""``ipv2-bench study``: whether the distances order results as the truth does."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, benchmark_of

HELP = "compare every distance with the aligned truth, over all that the tables computed"
EXAMPLES = """\
ipv2-bench study                                        after ipv2-bench reproduce, with the same settings"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Study and print the Markdown."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.study.run import study

    print(study(config, progress=not given.quiet))
    return 0
