"""A page with the help and the examples of every command, group by group, as the program prints them."""

from __future__ import annotations

import argparse
import os

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ipv2_bench.cli import command_modules, parser

PAGE = "commands.md"
INTRODUCTION = """\
# Commands

Every command works from any folder. `--config` takes the name of a configuration that comes with the program, such as
`native`, or the path of a YAML file; settings `key=value` may follow. The exit code is 0 when all went well, 1 when a
part of the work failed and the rest was done, 2 when something that was given could not be used."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the page into the navigation."""
    assert config.nav is not None
    config.nav.append({"Commands": PAGE})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Generate the page."""
    os.environ["COLUMNS"] = "100"  # argparse wraps at the terminal's width
    parsers = _parsers()
    text = [INTRODUCTION]
    for group, modules in command_modules().items():
        text.append(f"## {group.capitalize()} {{ #group-{group} }}")
        for name, module in modules.items():
            text += [f"### {name}", parsers[name].description, _block(module.EXAMPLES), _block(_options(parsers[name]))]
    files.append(File.generated(config, PAGE, content="\n\n".join(text) + "\n"))
    return files


def _parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name."""
    actions = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(actions[0].choices)


def _options(command: argparse.ArgumentParser) -> str:
    """Usage and options: the help without the description and the examples."""
    formatter = command._get_formatter()
    formatter.add_usage(command.usage, command._actions, command._mutually_exclusive_groups)
    for group in command._action_groups:
        formatter.start_section(group.title)
        formatter.add_arguments(group._group_actions)
        formatter.end_section()
    return formatter.format_help()


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"
