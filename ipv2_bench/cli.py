"""The command line: finds the commands, parses, and turns every refusal into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from ipv2_bench import __version__, commands
from ipv2_bench.errors import InputError, Submitted
from ipv2_bench.files import disk_error_text, with_home
from ipv2_bench.registry import suggestion
from ipv2_bench.streams import safe_streams

DESCRIPTION = "Image purification for ultra-low-dose lung CT: the IPv2 paper's tables, and your denoiser beside them."
GROUPS = ("run", "leaderboard", "data", "look")
"""Groups in the order of the help; a group that is not here comes last."""


def command_modules() -> dict[str, dict[str, ModuleType]]:
    """Group → command → module, found in the folders of :mod:`ipv2_bench.commands`."""
    folders = [m.name for m in pkgutil.iter_modules(commands.__path__) if m.ispkg]
    ordered = [g for g in GROUPS if g in folders] + sorted(set(folders) - set(GROUPS))
    groups = {}
    for group in ordered:
        package = importlib.import_module(f"{commands.__name__}.{group}")
        files = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
        groups[group] = {
            name.replace("_", "-"): importlib.import_module(f"{package.__name__}.{name}") for name in files
        }
    return groups


class Parser(argparse.ArgumentParser):
    """A parser whose errors suggest what was meant."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line."""
        self.exit(2, f"ipv2-bench: {message} (see {self.prog} --help)\n")


def parser() -> Parser:
    """The arguments of all commands, with a help that groups them."""
    groups = command_modules()
    top = Parser(prog="ipv2-bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.usage = "ipv2-bench COMMAND …"
    top.epilog = _overview(groups)
    top.add_argument("--version", action="version", version=f"ipv2-bench {__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS, parser_class=Parser)
    for modules in groups.values():
        for name, module in modules.items():
            description = f"{module.HELP[0].upper()}{module.HELP[1:]}."
            sub = subparsers.add_parser(
                name,
                prog=f"ipv2-bench {name}",
                description=description,
                epilog=f"examples:\n{_indented(module.EXAMPLES)}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            module.arguments(sub)
            sub.set_defaults(run=module.run, parser=sub)
    return top


def _overview(groups: dict[str, dict[str, ModuleType]]) -> str:
    width = max(len(name) for modules in groups.values() for name in modules)
    lines = []
    for group, modules in groups.items():
        lines.append(f"{group}:")
        lines += [f"  {name.ljust(width)}  {module.HELP}" for name, module in modules.items()]
        lines.append("")
    return "\n".join([*lines, "ipv2-bench COMMAND --help has its options and examples."])


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command that some words ask for; exits with code 2 and one line when they are not understood."""
    top = parser()
    _refuse_unknown_command(words, top)
    given, rest = top.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-") or "=" not in word]
    if unknown or (rest and not hasattr(given, "settings")):
        given.parser.error(f"unrecognized arguments: {' '.join(unknown or rest)}{_meant(unknown, given.parser)}")
    if rest:
        given.settings += rest  # settings may be on both sides of options
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 when all went well, 1 when a cell failed, 2 when something given was not usable."""
    os.environ.pop("MPLBACKEND", None)  # figures go into files; libraries that import matplotlib would fail on a wrong one
    with safe_streams() as out:
        ended = False  # by argparse, behind a help or an error of its own
        try:
            code = _run(list(sys.argv[1:] if argv is None else argv))
        except SystemExit as end:
            ended, code = True, end.code if isinstance(end.code, int) else 1 if end.code else 0
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        out.flush()
        if out.lost:
            print(f"ipv2-bench: {out.lost}; what the command computes and writes is not affected", file=sys.stderr)
            code = code or 2
    if ended:
        raise SystemExit(code)
    return code


def _run(words: Sequence[str]) -> int:
    try:
        given = parse([with_home(word) for word in words])
        here = _working_folder()
        if here not in sys.path:
            sys.path.append(here)  # the last place where module:Class of one's own is looked for
        return given.run(given)
    except InputError as error:
        print(f"ipv2-bench: {error}", file=sys.stderr)
        return 2
    except Submitted as queued:
        print(queued)
        return 0
    except OSError as error:
        print(f"ipv2-bench: {disk_error_text(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ipv2-bench: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        raise InputError("the working folder does not exist any more: change to one that does") from None


def _refuse_unknown_command(words: Sequence[str], top: Parser) -> None:
    known = [name for modules in command_modules().values() for name in modules]
    name = words[0] if words else ""
    if name and not name.startswith("-") and name not in known:
        top.error(f"command '{name}' is unknown: {suggestion(name, known)}use one of {', '.join(known)}")


def _meant(unknown: Sequence[str], sub: argparse.ArgumentParser) -> str:
    """A suggestion for the first unknown option."""
    options = [o for action in sub._actions for o in action.option_strings]
    hint = next(filter(None, (suggestion(word.partition("=")[0], options) for word in unknown)), "")
    return f": {hint.rstrip()}" if hint else ""


if __name__ == "__main__":
    sys.exit(main())
