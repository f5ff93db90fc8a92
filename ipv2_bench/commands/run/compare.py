"""``ipv2-bench compare``: a new denoiser beside the baselines."""

from __future__ import annotations

import argparse
import sys

from ipv2_bench.commands.arguments import add_config, add_strategy, config_of

HELP = "train and measure your denoiser beside the baselines"
EXAMPLES = """\
ipv2-bench compare --denoiser my_denoiser:MyDenoiser                    your own, under IPv2
ipv2-bench compare --denoiser red_cnn --strategy IPv1 seeds=[0,1]       one of the program, two seeds
ipv2-bench compare --denoiser my:A --denoiser my:B train.steps=1000     two of your own, a longer training"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "--denoiser", required=True, action="append", metavar="NAME", help="a name, or package.module:Class; may be repeated"
    )
    add_strategy(parser)
    add_config(parser)


def run(given: argparse.Namespace) -> int:
    """Compute, write and print the comparison."""
    from ipv2_bench.benchmark.cells.denoisers import check_names
    from ipv2_bench.benchmark.tasks.comparison import comparison

    config = config_of(given)
    check_names(config, [comparison(given.denoiser, given.strategy, given.background)])
    from ipv2_bench.benchmark.tasks.compare import compare
    from ipv2_bench.benchmark.views.terminal import outcome_text

    text, outcome = compare(config, given.denoiser, given.strategy, given.background, progress=not given.quiet)
    print("\n" + text)
    print(outcome_text({}, outcome.out, outcome.page))
    for failure in outcome.failures:
        print(f"ipv2-bench: cell {failure.name} failed: {failure.message}", file=sys.stderr)
    return 1 if outcome.failures else 0
