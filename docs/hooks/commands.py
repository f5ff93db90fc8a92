"""A page with the help of every command, as the program prints it."""

from __future__ import annotations

import argparse
import os

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ipv2_bench.cli import EXAMPLES, parser

PAGE = "commands.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the page into the navigation."""
    assert config.nav is not None
    config.nav.append({"Commands": PAGE})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the page."""
    os.environ["COLUMNS"] = "100"  # argparse wraps at the terminal's width
    text = ["# Commands", "Run them from the repository's folder, where `experiments/` is.", _block(EXAMPLES)]
    for name, command in _commands().items():
        text += [f"## {name}", f"{(command.description or '').capitalize()}.", _block(_help(command))]
    files.append(File.generated(config, PAGE, content="\n\n".join(text) + "\n"))
    return files


def _commands() -> dict[str, argparse.ArgumentParser]:
    actions = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(actions[0].choices)


def _help(command: argparse.ArgumentParser) -> str:
    """Usage and options, without the description and the examples that stand above."""
    command.description = command.epilog = None
    return command.format_help()


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"
