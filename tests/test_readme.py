"""What the README shows works, and what it says is what the boards hold."""

from __future__ import annotations

import ast
import csv
import re
import subprocess

import pytest
import torch

from ipv2_bench import __version__
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.installed import configurations
from tests.committed import committed_boards
from tests.documents import README, ROOT, blocks, check_command, check_setting, command_lines, make_targets, unexplained

TEXT = README.read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 150


def test_abbreviations_are_spelled_out() -> None:
    assert unexplained(TEXT) == []


def test_the_denoiser_example_is_a_denoiser() -> None:
    names: dict = {}
    exec(next(b for b in blocks(TEXT, "python") if "class MyDenoiser" in b), names)
    denoiser = names["MyDenoiser"](width=8, seed=0)
    pair = TrainingPair(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    assert torch.isfinite(denoiser.loss(pair, torch.Generator()))
    assert denoiser.restore(pair.input).shape == pair.input.shape


def test_every_command_is_understood() -> None:
    lines, targets = command_lines(TEXT), make_targets()
    assert len([x for x in lines if x.startswith("ipv2-bench")]) >= 10
    for line in lines:
        check_command(line, targets)


def test_every_setting_exists() -> None:
    for name in re.findall(r"`((?:data|train|run|noise|metrics|wandb)\.\w+)", TEXT):
        check_setting(name)


def test_every_configuration_is_in_the_table() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", TEXT, re.M)) == configurations()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_map_names_every_folder_in_the_order_of_imports() -> None:
    section = TEXT[TEXT.index("## Where the rest is") :]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    assert [name for name in sorted(top) if f"{name}/" not in section] == []
    chain = next(line for line in section.splitlines() if " → " in line)
    order = re.findall(r"(\w+)(?= →)|→ (\w+):", chain)
    names = [a or b for a, b in order]
    assert set(names) == {p.parent.name for p in (ROOT / "ipv2_bench").glob("*/__init__.py")}
    hook = (ROOT / "docs" / "hooks" / "reference.py").read_text(encoding="utf-8")
    assert tuple(names) == ast.literal_eval(re.search(r"^ORDER = (\(.*\))$", hook, re.M)[1])


def test_the_software_is_cited_by_its_version() -> None:
    assert f"IPv2-Bench {__version__}" in TEXT and "2602.19314" in TEXT
    cite = (ROOT / "docs" / "pages" / "cite.md").read_text("utf-8")
    assert f"version = {{{__version__}}}" in re.sub(r" +", " ", cite) and "2602.19314" in cite


def test_its_numbers_are_those_of_the_board() -> None:
    with (committed_boards() / "phantom" / "table1.csv").open(newline="", encoding="utf-8") as file:
        board = {(r["denoiser"], r["strategy"]): r for r in csv.DictReader(file)}
    name, hu, fid = r"([^|]+?)(?: \((\w+)\))?", r"([\d.]+) HU", r"([\d.]+)"
    shown = re.findall(rf"^\| {name} \| {hu} \| {hu} \| {hu} \| {hu} \| {fid} → {fid} \|", TEXT, re.M)
    assert len(shown) == 4
    for name, short, *numbers in shown:
        rows = [board[short or name, strategy] for strategy in ("IPv1", "IPv2", "IPv2 [both_outside]", "oracle")]
        expected = [float(row["rmse_hu"]) for row in rows] + [float(row["published_fid"]) for row in rows[:2]]
        assert [float(x) for x in numbers] == pytest.approx(expected, abs=0.051)
