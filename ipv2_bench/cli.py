"""The command line: parse, call the benchmark, print."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ipv2_bench import __version__
from ipv2_bench.benchmark import folder_commands
from ipv2_bench.errors import InputError

EXAMPLES = """examples:
  ipv2-bench reproduce                                            the three tables on the embedded phantom
  ipv2-bench reproduce --tables 1,3 seeds=[0,1]                   some tables, two training seeds
  ipv2-bench reproduce --config experiments/virtual_scan.yaml data.root=CT    on real chest CT
  ipv2-bench train --denoiser fm --strategy IPv2                  one denoiser under one strategy
  ipv2-bench evaluate --denoiser fm --strategy IPv2               its row, without training
  ipv2-bench report                                               the HTML page again, without training
  ipv2-bench render --config experiments/virtual_scan.yaml        tables and page from the files of the rows alone
  ipv2-bench new-denoiser MyDenoiser                              a commented file that runs
  ipv2-bench compare --denoiser my_denoiser:MyDenoiser            your denoiser beside the baselines
  ipv2-bench verify leaderboards/phantom/rows/*.json              rows held to their images
  ipv2-bench rank leaderboards/*/rows/*.json --by rmse_hu         rows side by side, where they can be compared
  ipv2-bench check                                                which columns can be computed here
  ipv2-bench check DATA --picture check.png                       what is wrong with a folder of DICOM or PNG
  ipv2-bench denoise IN OUT --checkpoint model.safetensors        a folder of DICOM or PNG slices, denoised
  ipv2-bench simulate CT OUT --format dicom                       a virtual ultra-low-dose scan, on disk
  ipv2-bench purify PAIRS OUT --strategy IPv2                     purified pairs, on disk
  ipv2-bench split --write split.json                             the split, to be used again as data.split=split.json
  ipv2-bench calibrate --write experiments/mine.yaml              photons that match the noise of your uLDCT
"""


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    top = argparse.ArgumentParser(
        prog="ipv2-bench",
        description="Image purification for ultra-low-dose lung CT: the IPv2 paper's tables, and your denoiser beside them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"ipv2-bench {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, words: str = "key=value") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=text, description=text, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.add_argument("--config", default="experiments/quick.yaml", help="configuration (default: %(default)s)")
        made.add_argument("settings", nargs="*", metavar=words, help="overrides, such as train.steps=100")
        made.add_argument("--quiet", action="store_true", help="no progress bars")
        return made

    report = "write the HTML page of complete tables again, without training"
    from_rows = "write tables and HTML page again from the files of the rows alone, without data or cells"
    texts = {"reproduce": "compute the tables of the paper", "report": report, "render": from_rows}
    for name, text in texts.items():
        tables = command(name, text)
        tables.add_argument("--tables", default="", help="numbers of tables, such as 1,3 (default: all)")
    made = command("compare", "train and measure your denoiser beside the baselines")
    made.add_argument("--denoiser", required=True, action="append", help="package.module:Class; may be given again")
    made.add_argument("--strategy", default="IPv2", help="a point of the lattice (default: %(default)s)")
    made.add_argument("--background", default="flood_fill", help="rule of module 1 (default: %(default)s)")
    text = "measure the images of rows (files named *.json) anew and say whether the rows are what they give"
    made = command("verify", text, "ROW.json or key=value")
    made.add_argument("--weights", action="store_true", help="also denoise anew with the row's weights")
    made = command("rank", "rank rows (files named *.json); what cannot be compared stands apart", "ROW.json")
    made.add_argument(
        "--by", default="rmse_hu", metavar="MEASURE", help="a column of the tables (default: %(default)s)"
    )
    text = "write a commented file with a denoiser that runs"
    made = commands.add_parser("new-denoiser", help=text, description=text)
    made.add_argument("name", help="of the class, such as MyDenoiser")
    made.set_defaults(settings=[])
    for name, text in (("train", "train one denoiser under one strategy"), ("evaluate", "measure a trained denoiser")):
        made = command(name, text)
        made.add_argument("--denoiser", required=True, help="a file of ipv2_bench/denoisers, or package.module:Class")
        made.add_argument("--strategy", default="IPv2", help="a point of the lattice (default: %(default)s)")
        made.add_argument("--background", default="flood_fill", help="rule of module 1 (default: %(default)s)")
    folder_commands.add_commands(command)
    made = command("attribute", "say which part of the images Table 1's distances come from")
    made.add_argument("--denoiser", default="", help="comma-separated (default: all of Table 1)")
    command("study", "say whether the distances order results as the aligned truth does")
    made = command(
        "wandb-report", "make the benchmark's report on Weights & Biases from its rows and the runs sent there"
    )
    made.add_argument("--entity", default="", help="user or team of the project (default: your own)")
    made = command("calibrate", "find the photons that give module 2 the noise of the uLDCT")
    made.add_argument("--low-alone", action="store_true", help="use the uLDCT without its NDCT (a rough answer)")
    made.add_argument("--write", metavar="FILE", help="put a copy of the configuration with the result there")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 when all went well, 1 when a cell failed, 2 when something given was not usable."""
    given, rest = parser().parse_known_args(argv)
    if any(word.startswith("-") or "=" not in word for word in rest):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    given.settings += rest  # settings may stand on both sides of options
    sys.path.append(str(Path.cwd()))  # where module:Class of one's own is looked for last
    try:
        return COMMANDS.get(given.command, _one_cell)(given)
    except InputError as error:
        print(f"ipv2-bench: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ipv2-bench: {error.strerror or error}: {error.filename or 'disk'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ipv2-bench: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _reproduce(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.reproduce import reproduce

    only = _numbers(given.tables)
    outcome = reproduce(load_config(given.config, given.settings), only, progress=not given.quiet)
    print("\n" + "\n".join(outcome.markdown.values()))
    print(f"written to {outcome.out}" + (f"; open {outcome.page} in a browser" if outcome.page else ""))
    for failure in outcome.failures:
        print(f"ipv2-bench: cell {failure.name} failed: {failure.message}", file=sys.stderr)
    return 1 if outcome.failures else 0


def _report(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.report.command import report

    print(report(load_config(given.config, given.settings), _numbers(given.tables), progress=not given.quiet))
    return 0


def _render(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.from_rows import render_rows

    made, out = render_rows(load_config(given.config, given.settings), _numbers(given.tables))
    print("\n" + "\n".join(made.markdown.values()))
    print(f"written to {out}")
    return 0


def _wandb_report(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.wandb_report import publish_report

    print(publish_report(load_config(given.config, given.settings), given.entity))
    return 0


def _numbers(tables: str) -> list[int] | None:
    try:
        return [int(n) for n in tables.split(",")] if tables else None
    except ValueError:
        raise InputError(f"--tables is '{tables}': expected numbers such as 1,3") from None


def _compare(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.compare import compare
    from ipv2_bench.benchmark.config import load_config

    config = load_config(given.config, given.settings)
    text, outcome = compare(config, given.denoiser, given.strategy, given.background, progress=not given.quiet)
    print("\n" + text)
    print(f"written to {outcome.out}" + (f"; open {outcome.page} in a browser" if outcome.page else ""))
    for failure in outcome.failures:
        print(f"ipv2-bench: cell {failure.name} failed: {failure.message}", file=sys.stderr)
    return 1 if outcome.failures else 0


def _verify(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.verify import report, verify

    rows = [word for word in given.settings if word.endswith(".json") and "=" not in word]
    if not rows:
        raise InputError("no row to verify: name files under leaderboards/*/rows")
    config = load_config(given.config, [word for word in given.settings if word not in rows])
    verdicts = verify(config, [Path(r) for r in rows], given.weights, progress=not given.quiet)
    print(report(verdicts))
    return 1 if any(v.differences for v in verdicts) else 0


def _rank(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.ranking import rank

    if not given.settings:
        raise InputError("no row to rank: name files under leaderboards/*/rows")
    print(rank([Path(r) for r in given.settings], given.by))
    return 0


def _new_denoiser(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.compare import new_denoiser

    print(new_denoiser(given.name, Path()))
    return 0


def _one_cell(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.single import evaluate, train

    config = load_config(given.config, given.settings)
    run = train if given.command == "train" else evaluate
    print(run(config, given.denoiser, given.strategy, given.background, progress=not given.quiet))
    return 0


def _calibrate(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.calibrate import calibrate_command
    from ipv2_bench.benchmark.config import load_config

    config, write = load_config(given.config, given.settings), Path(given.write) if given.write else None
    print(calibrate_command(config, Path(given.config), given.low_alone, write, progress=not given.quiet))
    return 0


def _attribute(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.attribution import attribute
    from ipv2_bench.benchmark.config import load_config

    denoisers = tuple(given.denoiser.split(",")) if given.denoiser else ()
    print(attribute(load_config(given.config, given.settings), denoisers, progress=not given.quiet))
    return 0


def _study(given: argparse.Namespace) -> int:
    from ipv2_bench.benchmark.config import load_config
    from ipv2_bench.benchmark.study import study

    print(study(load_config(given.config, given.settings), progress=not given.quiet))
    return 0


COMMANDS = {
    **folder_commands.COMMANDS,
    "reproduce": _reproduce,
    "report": _report,
    "render": _render,
    "wandb-report": _wandb_report,
    "compare": _compare,
    "new-denoiser": _new_denoiser,
    "verify": _verify,
    "rank": _rank,
    "calibrate": _calibrate,
    "attribute": _attribute,
    "study": _study,
}


if __name__ == "__main__":
    sys.exit(main())
