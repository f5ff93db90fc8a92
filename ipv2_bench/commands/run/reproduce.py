"""``ipv2-bench reproduce``: the tables of a configuration."""

from __future__ import annotations

import argparse
import sys

from ipv2_bench.commands.arguments import add_config, add_tables, benchmark_of, table_numbers

HELP = "compute the tables of the paper"
EXAMPLES = """\
ipv2-bench reproduce                                    the three tables on the embedded phantom
ipv2-bench reproduce --tables 1,3 seeds=[0,1]           some tables, two training seeds
ipv2-bench reproduce --config virtual_scan data.root=CT the same on real chest CT
ipv2-bench reproduce --config mine.yaml                 a configuration of your own"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_config(parser)
    add_tables(parser)


def run(given: argparse.Namespace) -> int:
    """Compute what is missing, write tables and page, and print them."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.reproduce import reproduce
    from ipv2_bench.benchmark.views.terminal import outcome_text

    outcome = reproduce(config, table_numbers(given), progress=not given.quiet)
    print(outcome_text(outcome.views, outcome.out, outcome.page))
    for failure in outcome.failures:
        print(f"ipv2-bench: cell {failure.name} failed: {failure.message}", file=sys.stderr)
    return 1 if outcome.failures else 0
