"""``ipv2-bench wandb-report``: a report on W&B."""

from __future__ import annotations

import argparse

from ipv2_bench.commands.arguments import add_config, config_of

HELP = "make a report of the benchmark's runs on Weights & Biases"
EXAMPLES = """\
ipv2-bench wandb-report --entity my-team                after the runs have been sent with wandb sync"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--entity", default="", help="user or team (default: the account's own)")
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Make the report and print its address."""
    config = config_of(given)
    from ipv2_bench.benchmark.views.wandb.report import publish_report

    print(publish_report(config, given.entity))
    return 0
