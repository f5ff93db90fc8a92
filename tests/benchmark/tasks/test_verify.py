"""Rows that are not what their images give are noticed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ipv2_bench.benchmark.config import Config, load_config
from ipv2_bench.benchmark.tables import Table
from ipv2_bench.benchmark.tasks.reproduce import run_tables
from ipv2_bench.benchmark.tasks.verify import report, verify
from ipv2_bench.cli import main
from ipv2_bench.errors import InputError
from tests.benchmark.examples import table_line
from tests.program import SMALL

Made = tuple[Config, dict[str, Path]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small benchmark with measures against the label, and its rows by denoiser and label."""
    folder = tmp_path_factory.mktemp("verified")
    places = [f"run.work={folder / 'runs'}", f"run.out={folder / 'out'}"]
    config = load_config("smoke", [*places, "train.steps=3", "wandb.mode=disabled", *SMALL, "metrics.structure=true"])
    lines = (table_line("IPv1"), table_line("IPv1", label="IPv2(NDCT)"), table_line("IPv1", "identity"))
    outcome = run_tables(config, [Table("few", "few", False, lines, {})], progress=False)
    assert not outcome.failures
    rows = {p: json.loads(p.read_text()) for p in sorted((outcome.out / "rows").glob("*.json"))}
    by_line = {f"{r['denoiser']['key']} {r['label']}": p for p, r in rows.items()}
    assert len(by_line) == 3
    return config, by_line


@pytest.fixture
def changed(made: Made, tmp_path: Path) -> Callable[[Callable[[dict], Any]], Path]:
    """A copy of a row with a change."""

    def make(change: Callable[[dict], Any]) -> Path:
        row = json.loads(made[1]["fm NDCT"].read_text())
        change(row)
        path = tmp_path / "row.json"
        path.write_text(json.dumps(row))
        return path

    return make


def test_rows_are_what_their_images_give(made: Made) -> None:
    config, rows = made
    verdicts = verify(config, list(rows.values()), weights=True, progress=False)
    assert [v.differences for v in verdicts] == [(), (), ()] and all(v.checked > 40 for v in verdicts)
    assert report(verdicts).count(": equal (") == 3


@pytest.mark.parametrize("part", ["measures", "intervals", "n_units", "replicates"])
def test_a_changed_digit_is_caught_in_every_number(part: str, made: Any, changed: Any) -> None:
    config = made[0]
    row = json.loads(made[1]["fm NDCT"].read_text())
    assert row[part]
    for name in list(row[part])[:: 1 if part in ("measures", "n_units") else 4]:

        def change(r: dict, name: str = name) -> None:
            if part == "n_units":
                r[part][name] += 1
            elif part == "intervals":
                r[part][name][1] += 1e-3 * (abs(r[part][name][1]) + 1)
            elif part == "replicates":
                largest = max((abs(x) for x in r[part][name] if x is not None), default=0.0)
                r[part][name][7] = (r[part][name][7] or 0.0) + 1e-3 * largest + 1e-6
            else:
                r[part][name] += 1e-3 * (abs(r[part][name]) + 1e-3)

        (verdict,) = verify(config, [changed(change)], progress=False)
        assert len(verdict.differences) == 1 and f"{part}.{name} is " in verdict.differences[0], (part, name)
    (verdict,) = verify(config, [changed(lambda r: r[part].pop(next(iter(r[part]))))], progress=False)
    assert "is absent in the row" in report([verdict])


@pytest.mark.parametrize("name", ["n_images", "n_test_patients"])
def test_changed_numbers_of_slices_and_patients_are_caught(name: str, made: Any, changed: Any) -> None:
    (verdict,) = verify(made[0], [changed(lambda r: r.update({name: r[name] + 5}))], progress=False)
    assert len(verdict.differences) == 1 and f"{name} is " in verdict.differences[0]


def test_a_changed_draw_is_named(made: Any, changed: Any) -> None:
    def change(r: dict) -> None:
        r["replicates"]["ssim"][7] = 0.123456

    (verdict,) = verify(made[0], [changed(change)], progress=False)
    assert re.search(
        r"replicates.ssim is 0.123456 at 7 in the row and [\d.]+ at 7 from its images", verdict.differences[0]
    )


def test_other_weights_are_caught(made: Made, tmp_path: Path) -> None:
    config, rows = made
    images = json.loads(rows["fm NDCT"].read_text())["images"]
    file = config.work / "cells" / images / "model.safetensors"
    kept = tmp_path / "kept.safetensors"
    shutil.copy(file, kept)
    weights = load_file(file)
    with safe_open(file, framework="pt") as opened:
        notes = opened.metadata()
    other = {k: v + 0.05 for k, v in weights.items()}
    save_file(other, file, metadata=notes)
    with pytest.raises(InputError, match=r"model.safetensors is not as it was written"):
        verify(config, [rows["fm NDCT"]], weights=True, progress=False)
    del notes["sha256"]  # as in a forgery
    save_file(other, file, metadata=notes)
    (verdict,) = verify(config, [rows["fm NDCT"]], weights=True, progress=False)
    shutil.copy(kept, file)
    assert len(verdict.differences) == 1 and "its weights give images that differ by up to" in verdict.differences[0]


def test_rows_of_other_data_or_without_images_are_refused(made: Any, changed: Any) -> None:
    config = made[0]
    for key, value, named in (
        ("data_manifest", "0" * 64, "is of other data .data_manifest 0000"),
        ("window_hu", [-900.0, 400.0], "is of other data .window_hu"),
        ("n_train", 2, "is of other data .n_train 2 and not"),
    ):
        with pytest.raises(InputError, match=named):
            verify(config, [changed(lambda r, k=key, v=value: r["provenance"].update({k: v}))], progress=False)
    with pytest.raises(InputError, match=r"the images 0{16} of the row row.json are absent: put them under run.work"):
        verify(config, [changed(lambda r: r.update(images="0" * 16))], progress=False)


def test_the_command_says_equal_or_not(made: Any, changed: Any, capsys: pytest.CaptureFixture) -> None:
    config, rows = made
    words = [f"run.work={config.run.work}", f"run.out={config.run.out}", "train.steps=3", "wandb.mode=disabled", *SMALL]
    common = ["verify", "--config", "smoke", "--quiet", "metrics.structure=true", *words]
    assert main([*common, str(rows["fm NDCT"]), str(rows["identity NDCT"])]) == 0
    assert capsys.readouterr().out.count(": equal (") == 2
    assert main([*common, str(changed(lambda r: r["measures"].update(fd_randconv=0.1)))]) == 1
    assert "row.json: NOT equal: measures.fd_randconv is 0.1 in the row and" in capsys.readouterr().out
    assert main(common) == 2 and "no row is named: give files under" in capsys.readouterr().err


def test_rows_of_another_machine_are_equal_within_what_machines_differ(made: Made, changed: Any) -> None:
    config = made[0]

    def other_machine(row: dict) -> None:
        row["measures"] = {k: 1.03 * v for k, v in row["measures"].items()}
        row["measures"]["bias_hu_lung"] += 9.0
        row["replicates"] = {k: [None if x is None else 1.2 * x for x in v] for k, v in row["replicates"].items()}

    row = changed(other_machine)
    (verdict,) = verify(config, [row], progress=False)
    assert verdict.differences and report([verdict]).endswith("are compared with --retrained")
    (verdict,) = verify(config, [row], progress=False, retrained=True)
    assert verdict.differences == ()
    assert report([verdict], retrained=True).endswith("numbers within 5 %, as closely as machines agree)")

    def wrong(row: dict) -> None:
        row["measures"]["rmse_hu"] *= 1.06
        row["measures"]["bias_hu_lung"] += 40.0

    (verdict,) = verify(config, [changed(wrong)], progress=False, retrained=True)
    assert [d.split(" is ")[0] for d in verdict.differences] == ["measures.bias_hu_lung", "measures.rmse_hu"]
