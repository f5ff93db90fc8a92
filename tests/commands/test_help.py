"""The help groups the commands and shows examples that are understood; lists fit a terminal."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from ipv2_bench import registry
from ipv2_bench.benchmark.config import default_config, load_config
from ipv2_bench.benchmark.tasks import lists
from ipv2_bench.cli import GROUPS, command_modules, main, parse, parser
from ipv2_bench.installed import configurations
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.purification.strategy import names
from tests.program import ROOT

COMMANDS = {name: module for modules in command_modules().values() for name, module in modules.items()}


def test_the_help_groups_every_command() -> None:
    lines = parser().format_help().splitlines()
    at = [lines.index(f"{title}:") for title in GROUPS]
    assert at == sorted(at)
    for (group, modules), start in zip(command_modules().items(), at, strict=True):
        shown = lines[start + 1 : start + 1 + len(modules)]
        assert [x.split()[0] for x in shown] == list(modules), group
        assert all(module.HELP in x for module, x in zip(modules.values(), shown, strict=True))
    assert set(COMMANDS) >= {"reproduce", "train", "evaluate", "compare", "rank", "verify", "render", "check", "list"}
    assert all(len(x) <= 130 for x in lines)


def test_the_help_imports_nothing_heavy() -> None:
    code = "import sys, ipv2_bench.cli as c; c.parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "scipy", "skimage", "lightning", "omegaconf", "pydantic"} & set(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_of_their_command_and_understood(name: str) -> None:
    lines = COMMANDS[name].EXAMPLES.splitlines()
    assert lines and all(line.startswith(f"ipv2-bench {name}") for line in lines)
    for line in lines:
        words = shlex.split(line.partition("   ")[0].replace("*", "x"))[1:]
        given = parse(words)
        settings = [w for w in getattr(given, "settings", None) or [] if "=" in w]
        config = getattr(given, "config", None)
        if config in configurations():
            load_config(config, settings)
        else:
            default_config(settings, data={"source": "virtual_scan"})
        assert getattr(given, "what", "denoisers") in ("denoisers", "strategies", "measures", "sources", "configs")
    assert COMMANDS[name].__doc__.startswith(f"``ipv2-bench {name}``: ")


def test_settings_may_be_on_both_sides_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "trains.a=1", "--quiet", "train.stepz=2"]) == 2
    said = capsys.readouterr().err
    assert "'trains'" in said and "'train.stepz'" in said


def test_denoisers_are_listed_with_options_and_defaults() -> None:
    text = lists.denoisers()
    for name in registry.names("ipv2_bench.denoisers"):
        assert f"\n{name}: " in f"\n{text}"
    assert "widths=[" in text and "seed=" not in text


def test_sources_strategies_measures_and_configurations_are_listed() -> None:
    assert [x.split(":")[0] for x in lists.sources().splitlines() if not x.startswith(" ")] == registry.names(
        "ipv2_bench.data.sources"
    )
    assert [x.split()[0] for x in lists.strategies().splitlines()] == names()
    shown = [x.split()[0] for x in lists.measures().splitlines()[1:] if not x.startswith(" ")]
    assert shown == list(catalogue().columns)
    assert [x.split()[0] for x in lists.configs().splitlines()] == configurations()


@pytest.mark.parametrize("what", ["denoisers", "strategies", "measures", "sources", "configs"])
def test_lists_fit_100_columns(what: str) -> None:
    assert all(len(line) <= 100 for line in getattr(lists, what)().splitlines())
