"""Lines in pairs, and the names of the classes that show them."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import ipv2_bench.benchmark
from ipv2_bench.benchmark.views.line_pairs import LinePair, baseline_pairs, distinct_titles, newcomer_pairs
from ipv2_bench.metrics.catalogue import catalogue
from tests.benchmark.examples import a_line, sure

FD, PSNR, MTF = (catalogue().columns[name] for name in ("fd_randconv", "psnr_db", "edge_mtf50"))


def test_a_pair_knows_its_change_and_what_it_means() -> None:
    line = a_line("IPv2", {"fd_randconv": [3.0], "psnr_db": [22.0], "edge_mtf50": [1.2]})
    base = a_line("IPv1", {"fd_randconv": [4.0], "psnr_db": [20.0], "edge_mtf50": [0.9], "ssim": [0.5]})
    pair = LinePair(line, base)
    assert (pair.change(FD), pair.relative_change(FD), pair.change(PSNR)) == (-1.0, -0.25, 2.0)
    assert pair.improves(FD) and pair.improves(PSNR) and not pair.worsens(FD)
    assert pair.worsens(MTF) and not pair.improves(MTF)  # 1 is best
    assert pair.has(FD) and not pair.has(catalogue().columns["ssim"])
    assert pair.difference(FD) is None and not pair.is_certain(FD)
    assert LinePair(line, a_line("IPv1", {"fd_randconv": [0.0]})).relative_change(FD) is None


def test_a_pair_is_certain_where_its_interval_excludes_zero() -> None:
    better, base = sure("IPv2", [1.0, 1.1]), sure("IPv1", [3.0, 3.1])
    interval = LinePair(better, base).difference(FD)
    assert interval is not None and interval.mean == pytest.approx(-2.0) and interval.high < 0
    assert LinePair(better, base).is_certain(FD)
    assert not LinePair(sure("IPv2", [3.0, 3.0], spread=2.0), base).is_certain(FD)


def test_which_lines_are_paired() -> None:
    first, second, alone = a_line("IPv1", {}), a_line("IPv2", {}), a_line("IPv2", {}, key="ffm", denoiser="FFM")
    assert baseline_pairs([first, second, alone]) == [LinePair(second, first)]
    assert newcomer_pairs([first, alone], ["ffm"]) == [LinePair(alone, first)]
    twice = [a_line("IPv2", {}, key=key, denoiser="U-Net") for key in ("a", "b")]
    assert distinct_titles([*twice, alone]) == {"a": "U-Net (a)", "b": "U-Net (b)", "ffm": "FFM"}


def test_no_two_classes_of_the_benchmark_have_one_name() -> None:
    files = Path(ipv2_bench.benchmark.__file__).parent.rglob("*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert len(names) > 50 and [name for name, count in names.items() if count > 1] == []
