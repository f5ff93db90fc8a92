"""``ipv2-bench reproduce``: the tables of a configuration."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ipv2_bench.commands.arguments import add_config, add_tables, benchmark_of, table_numbers

if TYPE_CHECKING:
    from ipv2_bench.benchmark.config import Config

HELP = "compute the tables of the paper"
EXAMPLES = """\
ipv2-bench reproduce                                    the three tables on the embedded phantom
ipv2-bench reproduce --tables 1,3 seeds=[0,1]           some tables, two training seeds
ipv2-bench reproduce --config native data.root=CT       the same on real chest CT
ipv2-bench reproduce --config mine.yaml                 a configuration of your own
ipv2-bench reproduce run.on=slurm run.at.cpus=8         each cell as a task of one job array; --detach to come back later"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    add_config(parser)
    add_tables(parser)
    parser.add_argument("--detach", action="store_true", help="with run.on=slurm: return once the cells are queued")


def run(given: argparse.Namespace) -> int:
    """Compute what is missing, write tables and page, and print them."""
    config, _ = benchmark_of(given)
    from ipv2_bench.benchmark.tasks.reproduce import reproduce
    from ipv2_bench.benchmark.views.terminal import outcome_text

    if given.detach:
        config = detached(config)
    outcome = reproduce(config, table_numbers(given), progress=not given.quiet)
    print(outcome_text(outcome.views, outcome.out, outcome.page))
    for failure in outcome.failures:
        print(f"ipv2-bench: cell {failure.name} failed: {failure.message}", file=sys.stderr)
    return 1 if outcome.failures else 0


def detached(config: Config) -> Config:
    """The configuration with cells that are queued and not waited for.

    Raises
    ------
    InputError
        Where cells run on this machine.
    """
    from ipv2_bench.errors import InputError

    if config.run.on == "local":
        raise InputError("--detach is for cells in a queue: set run.on=slurm")
    return config.model_copy(update={"run": config.run.model_copy(update={"at": {**config.run.at, "detach": True}})})
