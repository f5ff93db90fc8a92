"""The whole road at smoke size, in processes of its own, as a user runs it."""

from __future__ import annotations

import csv
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wandb_workspaces.reports.v2 as wr
from PIL import Image
from wandb_workspaces.reports.v2 import interface

from ipv2_bench.cli import main
from ipv2_bench.data.thorax import Patient, draw_section
from tests.dicom_files import MARKER, MARKER_DATE, MARKER_UID, write_series
from tests.wandb_files import history, records

REPOSITORY = Path(__file__).resolve().parents[2]
SMOKE = REPOSITORY / "experiments" / "smoke.yaml"
TIMES = ("seconds_per_slice", "seconds_per_slice_std", "inference_memory_mb", "inference_memory_mb_std")
SMALL = (
    "denoisers.fm={widths: [8,16], steps: 2}",
    "denoisers.ffm={widths: [8,16], steps: 2}",
    "denoisers.cold_diffusion={widths: [8,16], steps: 2}",
    "denoisers.corediff={width: 8, modulator: 4, steps: 2}",
)


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen:
    environment = {"IPV2_BENCH_CT": "", "WANDB_MODE": "offline", "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "ipv2_bench.cli", *words],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
    process = start(folder, *words, **environment)
    out, err = process.communicate(timeout=400)
    assert process.returncode == code, f"exit code {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return subprocess.CompletedProcess(words, code, out, err)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess, float]:
    folder = tmp_path_factory.mktemp("smoke")
    begun = time.monotonic()
    done = run(folder, "reproduce", "--config", str(SMOKE))
    return folder, done, time.monotonic() - begun


def test_smoke_takes_under_a_minute_and_says_that_it_means_nothing(smoke) -> None:
    _, done, seconds = smoke
    assert seconds < 60 * float(os.environ.get("IPV2_BENCH_TEST_SLACK", 1.5))
    assert done.stdout.count("numbers mean nothing") == 3
    assert "Table1" in done.stdout and "Table2" in done.stdout and "Table3" in done.stdout
    assert "cells: 100%" in done.stderr


def test_every_line_of_every_table_is_filled(smoke) -> None:
    folder = smoke[0] / "leaderboards" / "smoke"
    for number, n in ((1, 12), (2, 4), (3, 10)):
        lines = table(folder / f"table{number}.csv")
        assert len(lines) == n
        for line in lines:
            assert line["n_images"] == "6" and line["n_seeds"] == "1"
            assert all(float(line[k]) >= 0 for k in ("fd_randconv", "psnr_db", "rmse_hu", "noise_hu_lung"))
            assert np.isfinite(float(line["kid_x100_randconv"]))
            assert (line["seconds_per_slice"] != "") == (number != 2)
            if number != 2:
                assert float(line["network_calls"]) >= 2 and float(line["inference_memory_mb"]) > 100
            assert line["fid"] == line["kid_x100"] == line["clip_fid_x100"] == ""  # their weights are not there
        assert (folder / f"table{number}.md").read_text().startswith(f"## Table{number}")
        with Image.open(folder / f"table{number}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 20
    published = {(x["denoiser"], x["strategy"]): x["published_fid"] for x in table(folder / "table1.csv")}
    assert published["FFM", "IPv2"] == "27.02" and published["FFM", "IPv2 [both_outside]"] == ""


def test_rows_say_where_they_come_from(smoke) -> None:
    rows = [json.loads(p.read_text()) for p in (smoke[0] / "leaderboards" / "smoke" / "rows").glob("*.json")]
    assert len(rows) == 12 + 4 + 5 + 4  # table 3 shares one NDCT line with table 1 by name
    for row in rows:
        assert row["provenance"]["meaningful"] is False
        assert len(row["provenance"]["data_manifest"]) == 64
        assert set(row["provenance"]["versions"]) >= {"python", "torch", "lightning", "numpy"}
        if row["denoiser"]:
            assert row["cost"]["network_calls"] >= 2 and row["cost"]["parameters"] > 1000


def test_every_cell_and_the_tables_have_a_wandb_run(smoke) -> None:
    runs = list((smoke[0] / "runs" / "smoke" / "wandb" / "wandb").glob("offline-run-*"))
    assert len(runs) == 15 + 1
    for folder in runs:
        if "-tables-" not in folder.name:
            titles = {p.name.split("_")[0] for p in folder.rglob("*.png")}
            assert titles == {"uLDCT", "denoised", "NDCT", "truth", "difference", "worst", "states"}
            windows = {p.parent.name for p in folder.rglob("*.png")}
            assert windows >= {"lung", "mediastinum", "zoom"}


def test_nothing_that_is_written_tells_where_or_by_whom(smoke) -> None:
    places = [str(smoke[0]), str(REPOSITORY), str(Path.home()) + "/", f"/{getpass.getuser()}/"]
    for path in smoke[0].rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for place in places:
                assert place.encode() not in content, f"{path.relative_to(smoke[0])} holds {place}"


def test_a_second_run_does_nothing_and_changes_nothing(smoke) -> None:
    folder = smoke[0]
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    begun = time.monotonic()
    run(folder, "reproduce", "--config", str(SMOKE))
    assert time.monotonic() - begun < 10 * float(os.environ.get("IPV2_BENCH_TEST_SLACK", 1.5))
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_rows_of_earlier_code_give_way_and_all_others_stay(smoke) -> None:
    folder = smoke[0] / "leaderboards" / "smoke" / "rows"
    before = {p.name: p.read_bytes() for p in folder.glob("*.json")}
    row = json.loads(next(iter(before.values())))
    earlier = {**row, "images": "0" * 16, "provenance": {**row["provenance"], "commit": "0" * 12}}
    longer = {**row, "provenance": {**row["provenance"], "budget": {**row["provenance"]["budget"], "steps": 99}}}
    for name, other in (("earlier", earlier), ("longer", longer), ("theirs", {**row, "denoiser_key": "their:Own"})):
        (folder / f"{name}.json").write_text(json.dumps(other))
    (folder / "broken.json").write_text("{")
    done = run(smoke[0], "reproduce", "--config", str(SMOKE))
    assert "a new one in its place: 1\n" in done.stdout
    kept = ("longer.json", "theirs.json", "broken.json")
    assert {p.name for p in folder.glob("*.json")} == before.keys() | set(kept)
    for name in kept:
        (folder / name).unlink()
    assert {p.name: p.read_bytes() for p in folder.glob("*.json")} == before


def test_the_study_follows_from_the_same_cells(smoke) -> None:
    folder = smoke[0]
    done = run(folder, "study", "--config", str(SMOKE), "--quiet")
    out = folder / "leaderboards" / "smoke"
    assert done.stdout.strip() == (out / "study.md").read_text().strip() and "numbers mean nothing" in done.stdout
    correlations = table(out / "study.csv")
    assert {(x["label"], x["distance"], x["truth"]) for x in correlations} >= {
        (label, "fd_randconv", truth) for label in ("NDCT", "IPv2(NDCT)") for truth in ("rmse_hu", "ssim")
    }
    assert all(-1.0 <= float(x["rho"]) <= 1.0 and float(x["low"]) <= float(x["high"]) for x in correlations)
    sets = {x["images"]: x for x in table(out / "study_sets.csv")}
    assert sum(int(x["trained"]) for x in sets.values()) == 15  # the cells of the tables, the weak denoiser among them
    assert float(sets["NDCT"]["fd_randconv to NDCT"]) < 1e-6 < float(sets["NDCT"]["rmse_hu"])
    assert float(sets["aligned truth"]["rmse_hu"]) == 0.0 < float(sets["aligned truth"]["fd_randconv to NDCT"])
    with Image.open(out / "study.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_the_study_of_what_was_not_computed_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "study", "--config", str(SMOKE), "--quiet", code=2)
    assert "is not complete: run ipv2-bench reproduce" in done.stderr and "Traceback" not in done.stderr


def test_train_and_evaluate_use_the_same_cells(smoke) -> None:
    folder = smoke[0]
    trained = run(folder, "train", "--config", str(SMOKE), "--denoiser", "fm", "--strategy", "IPv2")
    assert "model.safetensors" in trained.stdout
    line = run(folder, "evaluate", "--config", str(SMOKE), "--denoiser", "fm", "--strategy", "IPv2").stdout
    measured = next(x for x in table(folder / "leaderboards" / "smoke" / "table1.csv") if x["strategy"] == "IPv2")
    assert f"| {float(measured['rmse_hu']):.3g} ± " in line
    never = run(folder, "evaluate", "--config", str(SMOKE), "--denoiser", "fm", "--strategy", "raw", code=2)
    assert "is not trained: run ipv2-bench train" in never.stderr


def test_the_files_of_the_rows_give_all_tables_and_the_page_again(smoke, tmp_path: Path) -> None:
    written = smoke[0] / "leaderboards" / "smoke"
    again = tmp_path / "leaderboards" / "smoke"
    shutil.copytree(written / "rows", again / "rows")
    for kept in (written / "index.html", *written.glob("study*"), *written.glob("*.png")):
        shutil.copy(kept, again)
    (again / "index.html").write_text((again / "index.html").read_text().replace("<h2>What it costs", "<h2>Forged"))
    done = run(tmp_path, "render", "--config", str(SMOKE))
    assert not (tmp_path / "runs").exists() and done.stdout.count("numbers mean nothing") == 3
    names = {p.name for p in again.iterdir()} - {"rows"}
    assert {"index.html", "table1.csv", "table2.md", "table3_detail.md", "table3_differences.csv"} <= names
    for name in names:
        assert (again / name).read_bytes() == (written / name).read_bytes(), name
    (again / "index.html").unlink()
    assert "without pictures" in run(tmp_path, "render", "--config", str(SMOKE)).stderr
    assert "<img" not in (again / "index.html").read_text()


def test_the_report_on_wandb_shows_what_the_runs_logged(smoke, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder = smoke[0]
    monkeypatch.chdir(folder)
    logged: set[str] = set()
    for found in (folder / "runs").rglob("offline-run-*"):
        if found.is_dir() and "-tables-" not in found.name:
            logged |= {key.removesuffix("._type") for row in history(found) for key in row}
            items = [r.summary.update for r in records(found) if r.WhichOneof("record_type") == "summary"]
            logged |= {".".join([*x.nested_key] or [x.key]) for update in items for x in update}
    sent = []
    monkeypatch.setattr(wr.Report, "save", lambda self: sent.append(self))
    monkeypatch.setattr(wr.Report, "url", "https://wandb.ai/someone/ipv2-bench/reports/x")
    assert main(["wandb-report", "--config", str(SMOKE), "--entity", "someone"]) == 0
    assert capsys.readouterr().out == "https://wandb.ai/someone/ipv2-bench/reports/x\n"
    (report,) = sent
    grids = [b for b in report.blocks if isinstance(b, wr.PanelGrid)]
    panels = [p for grid in grids for p in grid.panels]
    pictures = {key for p in panels if isinstance(p, wr.MediaBrowser) for key in p.media_keys}
    assert pictures <= logged and len(pictures) == 15
    curves = {key for p in panels if isinstance(p, wr.LinePlot) for key in p.y}
    assert curves - logged == {"train/gpu_memory_mb"}  # there is none on a processor
    measures = {m.name for p in panels if isinstance(p, wr.BarPlot) for m in p.metrics}
    measures |= {a.name for p in panels if isinstance(p, wr.ScatterPlot) for a in (p.x, p.y)}
    assert measures <= logged and {"fd_randconv", "rmse_hu", "seconds_per_slice"} <= measures
    tables = [b.text for b in report.blocks if isinstance(b, wr.MarkdownBlock)]
    assert [t.strip() for t in tables] == [
        (folder / "leaderboards" / "smoke" / f"table{n}.md").read_text().strip() for n in (1, 2, 3)
    ]
    known = {"project": {"internalId": "1"}}  # the one thing that the SDK asks before it sends
    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", lambda *_: known)
    told = report._to_model().model_dump_json()  # as it is sent
    assert str(folder) not in told and '"smoke"' in told and "jobType" in told


def test_the_report_on_wandb_needs_an_account(smoke, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(smoke[0])
    monkeypatch.setenv("HOME", str(smoke[0]))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert main(["wandb-report", "--config", str(SMOKE)]) == 2
    assert "run wandb login" in capsys.readouterr().err
    monkeypatch.setattr(wr.Report, "save", lambda self: 1 / 0)
    assert main(["wandb-report", "--config", str(SMOKE), "--entity", "someone"]) == 2
    assert "W&B did not take the report (ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    assert main(["wandb-report", "--config", str(SMOKE), "--entity", "someone"]) == 2
    assert "pip install 'ipv2-bench[wandb-report]'" in capsys.readouterr().err


def test_distances_are_attributed_to_regions(smoke) -> None:
    folder = smoke[0]
    done = run(folder, "attribute", "--config", str(SMOKE), "--denoiser", "fm,corediff")
    lines = table(folder / "leaderboards" / "smoke" / "attribution.csv")
    assert len(lines) == 6 and {x["denoiser"] for x in lines} == {"fm", "corediff"}
    measured = next(x for x in table(folder / "leaderboards" / "smoke" / "table1.csv") if x["strategy"] == "IPv2")
    ours = next(x for x in lines if (x["denoiser"], x["strategy"]) == ("fm", "IPv2"))
    assert float(ours["fd_randconv"]) == pytest.approx(float(measured["fd_randconv"]), rel=0.01)
    # Nearly untrained, they err everywhere: the truth in the place of a large part changes the distance.
    assert all(x["fd_randconv_true_tissue"] != x["fd_randconv"] for x in lines)
    assert "| FD | FD, true rim |" in done.stdout


@pytest.fixture(scope="module")
def two_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of two cells that train long enough to be killed."""
    folder = tmp_path_factory.mktemp("two_cells")
    rows = "rows:\n  - {denoiser: fm, strategy: IPv2}\n  - {denoiser: corediff, strategy: IPv1}\n"
    (folder / "table9.yaml").write_text("title: killed\n" + rows)
    text = (
        SMOKE.read_text()
        .replace("steps: 4,", "steps: 120,")
        .replace("{widths: [8, 16], steps: 2}", "{widths: [8, 16]}")
    )
    text = text.replace("modulator: 4, steps: 3", "modulator: 4, steps: 3, ema_start: 20, ema_every: 5")
    (folder / "killed.yaml").write_text(text + "tables: [table9.yaml]\nwandb: {mode: disabled}\n")
    return folder


@pytest.mark.parametrize("moment", ["before training", "in training", "after training"])
def test_a_killed_run_ends_in_the_same_tables(two_cells: Path, tmp_path: Path, moment: str) -> None:
    words = ("reproduce", "--config", str(two_cells / "killed.yaml"))
    whole = two_cells / "whole"
    if not whole.exists():
        whole.mkdir()
        run(whole, *words)
    process = start(tmp_path, *words, IPV2_BENCH_CHECKPOINT_SECONDS="0")
    awaited = {"before training": "index.json", "in training": "last.ckpt", "after training": "model.safetensors"}[
        moment
    ]
    deadline = time.monotonic() + 120
    while not any((tmp_path / "runs").rglob(awaited)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    assert not (tmp_path / "leaderboards").exists()
    time.sleep(1.0)  # the workers see that they are orphans
    run(tmp_path, *words)
    expected, got = (table(f / "leaderboards" / "smoke" / "table9.csv") for f in (whole, tmp_path))
    assert [{k: v for k, v in x.items() if k not in TIMES} for x in got] == [
        {k: v for k, v in x.items() if k not in TIMES} for x in expected
    ]
    for path in (whole / "runs").rglob("history.csv"):
        assert path.read_bytes() == (tmp_path / path.relative_to(whole)).read_bytes()
    if moment == "in training":
        run(tmp_path, *words, "wandb.mode=offline")
        cells = [f for f in (tmp_path / "runs").rglob("offline-run-*") if "-tables-" not in f.name]
        assert len(cells) == 2
        for folder in cells:
            assert [row["_step"] for row in history(folder) if "train/loss" in row] == list(range(1, 121))


def test_a_failed_cell_is_told_and_the_others_go_on(two_cells: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(
        "from ipv2_bench.denoisers.fm import FlowMatching\n"
        "class Breaks(FlowMatching):\n"
        "    def loss(self, pair, generator):\n"
        "        return super().loss(pair, generator) * float('nan')\n"
        "class Works(FlowMatching):\n"
        "    title = 'Mine'\n"
    )
    rows = "rows:\n" + "".join(f"  - {{denoiser: 'outside:{c}', strategy: IPv2}}\n" for c in ("Breaks", "Works"))
    (tmp_path / "table9.yaml").write_text("title: outside\n" + rows)
    options = "{widths: [8, 16], steps: 2}"
    text = SMOKE.read_text() + "tables: [table9.yaml]\nwandb: {mode: disabled}\n"
    text = text.replace("denoisers:", f"denoisers:\n  'outside:Breaks': {options}\n  'outside:Works': {options}")
    (tmp_path / "outside.yaml").write_text(text)
    search = f"{REPOSITORY}{os.pathsep}{tmp_path}"
    done = run(tmp_path, "reproduce", "--config", "outside.yaml", code=1, PYTHONPATH=search)
    assert "the loss of Breaks is nan at step 1" in done.stderr and "train.clip" in done.stderr
    assert [x["denoiser"] for x in table(tmp_path / "leaderboards" / "smoke" / "table9.csv")] == ["Mine"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients of four slices each, as DICOM."""
    root = tmp_path_factory.mktemp("scans")
    for p in range(4):
        patient = Patient.draw(np.random.default_rng(p))
        hu = np.stack([draw_section(patient, level, 64, 6.25).hu for level in (0.4, 0.5, 0.6, 0.7)])
        write_series(root / f"{MARKER}-{p}", hu, 6.25)
    return root


def quick(name: str) -> tuple[str, ...]:
    config = str(REPOSITORY / "experiments" / f"{name}.yaml")
    return ("reproduce", "--quiet", "--config", config, "train.steps=2", "data.size=64", "noise.views=32", *SMALL)


def test_virtual_scan_runs_at_smoke_size_and_keeps_patients_private(scans: Path, tmp_path: Path) -> None:
    decided = tmp_path.parent / f"{tmp_path.name}-{MARKER}" / "split.json"
    words = (*quick("virtual_scan")[1:], f"data.root={scans}", "data.views=32", "seeds=[0]")
    decided.parent.mkdir()
    run(tmp_path, "split", "--write", str(decided), *words)
    done = run(tmp_path, "reproduce", *words, f"data.split={decided}")
    assert len(table(tmp_path / "leaderboards" / "virtual_scan" / "table1.csv")) == 12
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    written |= {Path("what it said"): f"{done.stdout}{done.stderr}".encode(), Path("names"): repr([*written]).encode()}
    assert len(written) > 100
    for path, content in written.items():
        for mark in (MARKER, MARKER_DATE, MARKER_UID, str(scans), scans.name):
            # In the names of files stands the folder that the test itself made.
            assert mark.encode() not in content or (mark == scans.name and path.name == "names"), f"{path} holds {mark}"


def test_quick_runs_at_smoke_size_with_its_cells_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    words = ("data.patients=4", "data.levels=4", "data.fractions=[0.5,0.25,0.25]", f"run.work={elsewhere}")
    done = run(tmp_path, *quick("quick"), *words, "--tables", "2")
    assert done.stderr.count("W&B's runs go without weights or rows that are outside of the working folder") == 1
    sent = [p.read_bytes() for p in elsewhere.rglob("*.wandb")]
    assert len(sent) == 2 and not any(str(elsewhere).encode() in content for content in sent)
    assert len(table(tmp_path / "leaderboards" / "phantom" / "table2.csv")) == 4


def test_paper_runs_at_smoke_size_on_png_pairs(scans: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for p in range(5):
        hu = draw_section(Patient.draw(np.random.default_rng(p)), 0.5, 64, 6.25).hu
        for side, noise in (("gt", 0.0), ("lq", 120.0)):
            for part in ("train", "test"):
                (tmp_path / "pairs" / part / side).mkdir(parents=True, exist_ok=True)
                image = hu + noise * rng.standard_normal(hu.shape)
                gray = ((image + 1000) / 1400 * 255).clip(0, 255).astype(np.uint8)
                Image.fromarray(gray).save(tmp_path / "pairs" / part / side / f"{p}.png")
    small = ("data.root=pairs", "data.pixel_mm=6", "data.fractions=[0.4,0.1,0.5]", "train.epochs=1", "train.steps=0")
    run(tmp_path, *quick("paper"), *small, "--tables", "1")
    lines = table(tmp_path / "leaderboards" / "paper" / "table1.csv")
    assert len(lines) == 12 and all(x["psnr_db"] == "" and x["fd_randconv"] for x in lines)  # the truth is not known
