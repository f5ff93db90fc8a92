"""A whole benchmark at smoke size, in processes of its own, as a user runs it."""

from __future__ import annotations

import getpass
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.benchmark.tables import FILTERS
from ipv2_bench.data.thorax import Patient, draw_section
from tests.conftest import Smoke
from tests.dicom_files import MARKER, MARKER_DATE, MARKER_UID, write_series
from tests.program import ROOT, SMALL, run_here, table


def test_smoke_says_that_it_means_nothing_and_what_it_did(smoke: Smoke) -> None:
    out = smoke.done.stdout
    assert out.count("numbers mean nothing") == 3
    assert all(f"\nTable {n}: " in out for n in (1, 2, 3))
    assert "smoke: 12 training and 6 test slices of 4 patients at 64×64; 22 cells, 0 of them complete" in out
    assert "22 cells completed in" in out
    assert out.rstrip().endswith("written to leaderboards/smoke; open leaderboards/smoke/index.html in a browser")


def test_without_a_terminal_there_is_a_line_for_each_cell_and_tables_fit_100_columns(smoke: Smoke) -> None:
    out, err = smoke.done.stdout, smoke.done.stderr
    assert "\x1b" not in out + err and "\r" not in out + err
    assert [x.split(":")[0] for x in err.splitlines() if " complete: " in x] == [
        f"cell {n} of 22 complete" for n in range(1, 23)
    ]
    assert "FFM · IPv2 · seed 0: training: 4 of 4 steps" in err
    assert all(len(x) <= 100 for x in out.splitlines())


def test_every_line_of_every_table_is_filled(smoke: Smoke) -> None:
    for number, n in ((1, 19), (2, 4), (3, 18)):
        lines = table(smoke.out / f"table{number}.csv")
        assert len(lines) == n
        for line in lines:
            assert line["n_images"] == "6" and line["n_seeds"] == "1"
            assert all(float(line[k]) >= 0 for k in ("fd_randconv", "psnr_db", "rmse_hu", "noise_hu_lung"))
            assert np.isfinite(float(line["kid_x100_randconv"]))
            assert (line["seconds_per_slice"] != "") == (number != 2)
            floor = line["denoiser"] in ("identity", "Gaussian", "TV")
            if number != 2:
                assert (float(line["network_calls"]) >= 2) != floor and float(line["inference_memory_mb"]) > 100
            assert line["fid"] == line["kid_x100"] == line["clip_fid_x100"] == ""  # their weights are not there
        assert (smoke.out / f"table{number}.md").read_text().startswith(f"## Table {number}: ")
        with Image.open(smoke.out / f"table{number}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 20
    published = {(x["denoiser"], x["strategy"]): x["published_fid"] for x in table(smoke.out / "table1.csv")}
    assert published["FFM", "IPv2"] == "27.02" and published["FFM", "IPv2 [both_outside]"] == ""


def test_rows_say_where_they_come_from(smoke: Smoke) -> None:
    rows = [json.loads(p.read_text()) for p in (smoke.out / "rows").glob("*.json")]
    assert len(rows) == 19 + 4 + 9 + 4  # table 3 shares some lines against the NDCT with table 1
    for row in rows:
        came = row["provenance"]
        assert came["meaningful"] is False and came["benchmark"] == "smoke"
        assert len(came["data_manifest"]) == 64
        assert set(came["packages"]) >= {"python", "torch", "lightning", "numpy"}
        assert came["versions"].keys() >= {"data", "physics", "purification"}
        if row["denoiser"]:
            floor = row["denoiser"]["key"] in ("identity", *FILTERS)
            assert (row["cost"]["network_calls"] >= 2) == (row["cost"]["parameters"] > 1000) != floor
        else:
            assert row["cost"] is None


def test_every_cell_and_the_tables_have_a_wandb_run(smoke: Smoke) -> None:
    runs = list((smoke.folder / "runs" / "smoke" / "wandb" / "wandb").glob("offline-run-*"))
    assert len(runs) == 22 + 1
    without_states = 0
    for folder in runs:
        if "-tables-" not in folder.name:
            titles = {p.name.split("_")[0] for p in folder.rglob("*.png")}
            whole = {"uLDCT", "denoised", "NDCT", "truth", "difference", "worst", "states"}
            assert titles in (whole, whole - {"states"})
            without_states += "states" not in titles
            windows = {p.parent.name for p in folder.rglob("*.png")}
            assert windows >= {"lung", "mediastinum", "zoom"}
    assert without_states == 3  # the untouched uLDCT and the filters do not sample


def test_nothing_that_is_written_names_a_folder_or_a_user(smoke: Smoke) -> None:
    places = [str(smoke.folder), str(ROOT), str(Path.home()) + "/", f"/{getpass.getuser()}/"]
    for path in smoke.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for place in places:
                assert place.encode() not in content, f"{path.relative_to(smoke.folder)} holds {place}"


def test_a_second_run_does_nothing_and_changes_nothing(smoke: Smoke) -> None:
    def files() -> dict[Path, tuple[bytes, int]]:
        return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in smoke.folder.rglob("*") if p.is_file()}

    before = files()
    again = run_here(smoke.folder, "reproduce", "--config", "smoke")
    after = files()
    # Other tests measure images of these slices at the same time, whose features are kept with them.
    assert before == {p: what for p, what in after.items() if p in before or p.parent.name != "features"}
    assert "22 cells, 22 of them complete" in again.stdout and "cells computed" not in again.stdout
    assert "complete:" not in again.stderr and "training" not in again.stderr


def test_rows_of_earlier_code_give_way(smoke: Smoke, tmp_path: Path) -> None:
    shutil.copytree(smoke.out, tmp_path / "smoke")
    folder = tmp_path / "smoke" / "rows"
    before = {p.name: p.read_bytes() for p in folder.glob("*.json")}
    row = json.loads(next(iter(before.values())))
    (folder / "earlier.json").write_text(json.dumps({**row, "images": "0" * 16}))
    other = {**row, "images": "1" * 16, "provenance": {**row["provenance"], "data_manifest": "0" * 64}}
    (folder / "other_data.json").write_text(json.dumps(other))
    done = run_here(tmp_path, "reproduce", "--config", "smoke", *smoke.settings(tmp_path))
    moved = folder / "set_aside"
    assert f"rows that the new ones replace, such as those of earlier code: 2, now in {moved}\n" in done.stdout
    assert {p.name for p in moved.iterdir()} == {"earlier.json", "other_data.json"}
    assert {p.name: p.read_bytes() for p in folder.glob("*.json")} == before
    run_here(tmp_path, "render", "--config", "smoke", f"run.out={tmp_path}")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients of four slices each, as DICOM."""
    root = tmp_path_factory.mktemp("scans")
    for p in range(4):
        patient = Patient.draw(np.random.default_rng(p))
        hu = np.stack([draw_section(patient, level, 64, 6.25).hu for level in (0.4, 0.5, 0.6, 0.7)])
        write_series(root / f"{MARKER}-{p}", hu, 6.25)
    return root


def at_smoke_size(name: str) -> tuple[str, ...]:
    """A configuration with little to do."""
    return ("--quiet", "--config", name, "train.steps=2", "data.size=64", "noise.views=32", *SMALL)


def test_native_runs_at_smoke_size_and_keeps_patients_private(scans: Path, tmp_path: Path) -> None:
    decided = tmp_path.parent / f"{tmp_path.name}-{MARKER}" / "split.json"
    words = (*at_smoke_size("native"), f"data.root={scans}", "data.views=32", "seeds=[0]", "train.crop=32")
    words += ("tables=[table2.yaml]", "data.folds=null", "data.fractions=[0.5,0.0,0.5]", "data.photons=1620.0", "data.cutoff=0.0")
    decided.parent.mkdir()
    run_here(tmp_path, "split", "--write", str(decided), *words)
    done = run_here(tmp_path, "reproduce", *words, f"data.split={decided}")
    assert len(table(tmp_path / "leaderboards" / "native" / "table2.csv")) == 4
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    written |= {Path("output"): f"{done.stdout}{done.stderr}".encode(), Path("names"): repr([*written]).encode()}
    assert len(written) > 40
    for path, content in written.items():
        for mark in (MARKER, MARKER_DATE, MARKER_UID, str(scans), scans.name):
            # The names of files hold the folder that the test itself made.
            assert mark.encode() not in content or (mark == scans.name and path.name == "names"), f"{path} holds {mark}"


def test_quick_runs_at_smoke_size_with_its_cells_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    words = ("data.patients=4", "data.levels=4", "data.fractions=[0.5,0.25,0.25]", f"run.work={elsewhere}")
    done = run_here(tmp_path, "reproduce", *at_smoke_size("quick"), *words, "--tables", "2")
    assert done.stderr.count("W&B's runs go without weights or rows that are outside of the working folder") == 1
    sent = [p.read_bytes() for p in elsewhere.rglob("*.wandb")]
    assert len(sent) == 2 and not any(str(elsewhere).encode() in content for content in sent)
    assert len(table(tmp_path / "leaderboards" / "phantom" / "table2.csv")) == 4


def test_paper_runs_at_smoke_size_on_png_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for p in range(5):
        hu = draw_section(Patient.draw(np.random.default_rng(p)), 0.5, 64, 6.25).hu
        for side, noise in (("gt", 0.0), ("lq", 120.0)):
            for part in ("train", "test"):
                (tmp_path / "pairs" / part / side).mkdir(parents=True, exist_ok=True)
                image = hu + noise * rng.standard_normal(hu.shape)
                gray = ((image + 1000) / 1400 * 255).clip(0, 255).astype(np.uint8)
                Image.fromarray(gray).save(tmp_path / "pairs" / part / side / f"{p}.png")
    small = ("data.root=pairs", "data.pixel_mm=6", "data.fractions=[0.4,0.1,0.5]", "train.epochs=1", "train.steps=null")
    run_here(tmp_path, "reproduce", *at_smoke_size("paper"), *small, "--tables", "1")
    lines = table(tmp_path / "leaderboards" / "paper" / "table1.csv")
    # Without a truth there is no oracle, and of the floor only the untouched uLDCT.
    assert len(lines) == 13 and all(x["psnr_db"] == "" and x["fd_randconv"] for x in lines)  # the truth is not known
