"""W&B runs are written offline, whole, once, without a trace of the machine, and read back with the SDK's own messages."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wandb
import wandb_workspaces.reports.v2 as wr
from PIL import Image

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.training.live import picture_of
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.rows.files import write_row
from ipv2_bench.benchmark.rows.lines import Line
from ipv2_bench.benchmark.rows.make import Rows
from ipv2_bench.benchmark.tables import Table, load_tables
from ipv2_bench.benchmark.views.table_view import TableView
from ipv2_bench.benchmark.views.tables import table_views
from ipv2_bench.benchmark.views.wandb import publish as publishing
from ipv2_bench.benchmark.views.wandb import tables_run
from ipv2_bench.benchmark.views.wandb.cell_run import CellRun, images_name, publish_cell
from ipv2_bench.benchmark.views.wandb.panels import CellImages, cell_panels, panels, sampler_states
from ipv2_bench.benchmark.views.wandb.publish import destination_of, publish
from ipv2_bench.benchmark.views.wandb.report import PICTURES, layout
from ipv2_bench.benchmark.views.wandb.runs import ATTEMPTS, Destination, log_artifact, use_artifacts
from ipv2_bench.benchmark.views.wandb.tables_run import publish_tables
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser, save_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.catalogue import catalogue
from ipv2_bench.physics.intensity import Window
from tests.wandb_files import history, of_type, records

REPOSITORY = Path(__file__).parents[2]


def cell_folder(folder: Path, steps: int = 12) -> Path:
    """A cell's folder as training leaves it."""
    folder.mkdir(parents=True)
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "epoch", "loss", "lr", "val_loss"])
        writer.writerows([[s, s // 5, 1 / s, 1e-3, 0.5 if s % 4 == 0 else ""] for s in range(1, steps + 1)])
    with (folder / "throughput.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "slices_per_s", "gpu_memory_mb"])
        writer.writerows([[s, 20.0 + s, ""] for s in range(4, steps + 1, 4)])
    (folder / "samples.csv").write_text("step,psnr_db\n4,21.5\n12,23.5\n")
    (folder / "samples").mkdir()
    for step in (4, 12):
        Image.fromarray(np.full((8, 24), step, np.uint8)).save(picture_of(folder, step))
    torch.manual_seed(0)
    options = {"widths": [8, 16], "steps": 3}
    save_denoiser(FlowMatching(**options), folder / "model.safetensors", "fm", options, window_hu="-1000 400")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folder that W&B writes into."""
    return tmp_path / "runs" / "wandb"


@pytest.fixture
def run(phantom: SliceSet, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> CellRun:
    monkeypatch.chdir(tmp_path)
    folder = cell_folder(Path("runs") / "cells" / "abc")
    test = np.arange(4)
    np.save(folder / "denoised.npy", np.asarray(phantom.normal[:4]))
    return CellRun(
        folder=folder,
        name="FM",
        cell_id="abc",
        measuring="m",
        destination=Destination("p", "g", "offline", root),
        config={"strategy": "IPv2"},
        metrics={"psnr_db": 20.0},
        draw=lambda: cell_panels(phantom, test, Window(), folder),
    )


def offline(root: Path) -> list[Path]:
    return sorted((root / "wandb").glob("offline-run-*"))


def trained_steps(folder: Path) -> list[int]:
    return [row["_step"] for row in history(folder) if "train/loss" in row]


def test_what_an_offline_run_holds(run: CellRun, root: Path, tmp_path: Path) -> None:
    publish_cell(run)
    (folder,) = offline(root)
    rows = history(folder)
    trained = [r for r in rows if "train/loss" in r]
    assert [r["_step"] for r in trained] == list(range(1, 13))
    assert trained[3]["val/loss"] == 0.5 and "val/loss" not in trained[4]
    assert trained[3]["train/slices_per_s"] == 24.0 and "train/gpu_memory_mb" not in trained[3]
    assert all(r["train/lr"] == 1e-3 for r in trained)
    assert trained[4]["epoch"] == 1
    shown = {key.removeprefix("images/").split(".")[0] for r in rows for key in r if key.startswith("images/")}
    assert shown == {key for keys in PICTURES.values() for key in keys}
    assert {r["_step"]: r["val/psnr_db"] for r in rows if "val/psnr_db" in r} == {4: 21.5, 12: 23.5}
    assert [r["_step"] for r in trained if any(key.startswith("images/validation") for key in r)] == [4, 12]
    artifact, images = artifacts(folder)
    assert images.type == "images" and images.name == "images-abc"
    assert artifact.type == "model" and artifact.manifest.contents[0].path == "model.safetensors"
    assert not Path(artifact.manifest.contents[0].local_path).is_absolute()
    (started,) = of_type(folder, "run")
    assert (started.project, started.run_group, started.job_type, started.display_name) == ("p", "g", "cell", "FM")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path


def test_online_weights_lead_to_images_and_images_to_rows(run: CellRun) -> None:
    class Online:
        """Takes what a run takes that can reach W&B, but for images of one cell."""

        offline = False

        def __init__(self) -> None:
            self.seen: list[tuple[str, str]] = []

        def log_artifact(self, artifact: wandb.Artifact) -> None:
            artifact.wait = lambda: None  # type: ignore[method-assign, return-value, assignment]
            self.seen.append(("logs", artifact.name))

        def use_artifact(self, artifact: wandb.Artifact | str) -> None:
            if artifact == "images-gone:latest":
                raise wandb.errors.CommError("artifact not found")
            self.seen.append(("uses", artifact if isinstance(artifact, str) else artifact.name))

    weights, images = (run.folder / name for name in ("model.safetensors", "denoised.npy"))
    one, other = Online(), Online()
    log_artifact(one, "model-abc", "model", {"model.safetensors": weights}, use=True)
    log_artifact(one, images_name("abc"), "images", {"denoised.npy": images})
    missing = use_artifacts(other, [images_name(name) for name in ("abc", "gone")])
    assert one.seen == [("logs", "model-abc"), ("uses", "model-abc"), ("logs", "images-abc")]
    assert other.seen == [("uses", "images-abc:latest")]
    assert missing == ["images-gone (CommError: artifact not found)"]


def test_a_lineage_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables_run, "use_artifacts", lambda run, names: [f"{name} (gone)" for name in names])
    publish_tables({}, [], Destination("p", "g", "offline", tmp_path / "wandb"), ["images-a", "images-b"])
    assert "W&B has no artifact images-a (gone) (2 such), so that the rows' lineage goes without it" in capsys.readouterr().err


def artifacts(folder: Path) -> list[Any]:
    """Artifacts that a run logs, whichever way the SDK records them."""
    requests = [r.log_artifact.artifact for r in of_type(folder, "request") if r.HasField("log_artifact")]
    return of_type(folder, "artifact") or requests


def test_weights_outside_of_the_working_folder_stay_there(
    run: CellRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "of-mrs-doe" / "cell"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    to = replace(run.destination, root=elsewhere / "wandb")
    publish_cell(replace(run, folder=cell_folder(secret), destination=to, draw=list))
    assert len(offline(elsewhere / "wandb")) == 1
    assert all(b"of-mrs-doe" not in f.read_bytes() for f in elsewhere.rglob("*") if f.is_file())


def test_a_run_is_written_once_and_anew_when_it_was_cut_off(run: CellRun, root: Path) -> None:
    publish_cell(run)
    (first,) = offline(root)
    publish_cell(run)
    assert offline(root) == [first]
    run.marker.unlink()  # killed before it was marked as complete
    (file,) = first.glob("*.wandb")
    file.write_bytes(file.read_bytes()[:3000])
    publish_cell(run)
    (second,) = offline(root)
    assert trained_steps(second) == list(range(1, 13))
    assert second.name.rpartition("-")[2] == first.name.rpartition("-")[2]


def test_a_run_that_got_no_file_is_written_anew(run: CellRun, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = iter([True, False])

    def lose(live: object, *_: object) -> None:
        """W&B ends as if all were well, and its file does not exist."""
        finish(live, *_)
        if next(missing):
            (file,) = root.glob("wandb/offline-run-*/*.wandb")
            file.unlink()

    finish = wandb.Run.__exit__
    monkeypatch.setattr(wandb.Run, "__exit__", lose)
    publish_cell(run)
    (folder,) = offline(root)
    assert trained_steps(folder) == list(range(1, 13))
    shutil.rmtree(folder)
    run.marker.unlink()
    missing = iter([True] * ATTEMPTS)
    with pytest.raises(InputError, match=f"no file for the run abc-.*{ATTEMPTS} times over: see that the folder can be written"):
        publish_cell(run)
    assert next(missing, None) is None and not run.published
    assert not any(root.glob("wandb/offline-run-*"))  # no folder of a run without its file


FIRST = """
import os, subprocess, sys, wandb
wandb.init(mode="offline", dir=".", settings=wandb.Settings(silent=True)).finish()
assert os.environ["WANDB_SERVICE"]
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[2]], cwd=sys.argv[1]).returncode)
"""
SECOND = """
from pathlib import Path
from ipv2_bench.benchmark.views.wandb.cell_run import CellRun, images_name, publish_cell
from ipv2_bench.benchmark.views.wandb.runs import Destination
publish_cell(CellRun(Path("cell"), "FM", "other", "m", Destination("p", "g", "offline", Path("wandb"))))
"""


def test_the_service_of_another_program_in_another_folder_is_not_used(run: CellRun, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run.folder, elsewhere / "cell")
    environment = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"} | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", FIRST, str(elsewhere), SECOND], cwd=tmp_path, env=environment, check=True)
    (folder,) = offline(elsewhere / "wandb")
    assert len(trained_steps(folder)) == 12
    assert any("model.safetensors" in str(r) for r in records(folder))


def view_of(*lines: Line) -> TableView:
    return TableView(Table("table1", "a table", False, (), {}), catalogue(), list(lines), True)


def test_tables_carry_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = Path("rows") / "a.json"
    row.parent.mkdir()
    row.write_text("{}")
    line = Line("NDCT", "FM <b>", "IPv2", "1+2+3", "fm", None, 4, (0,), {"fid": 39.0}, {"psnr_db": [20.5]})
    to = Destination("p", "g", "offline", Path("wandb").absolute())
    publish_tables({"table1": view_of(line)}, [row], to)
    (folder,) = offline(to.root)
    updates = [item for summary in of_type(folder, "summary") for item in summary.update]
    means = {item.key: item.value_json for item in updates if item.key.startswith("table1/")}
    assert means == {"table1/NDCT/FM <b> + IPv2/psnr_db": "20.5"}  # published numbers are not of this run
    (page,) = folder.rglob("*.html")
    text = page.read_text()
    assert "<td>20.5</td>" in text and "<td>39</td>" in text and "<th>published_fid</th>" in text
    assert "FM &lt;b&gt;" in text and "<b>" not in text
    (artifact,) = artifacts(folder)
    assert artifact.type == "rows" and artifact.manifest.contents[0].path == "a.json"
    assert str(tmp_path).encode() not in b"".join(f.read_bytes() for f in folder.rglob("*") if f.is_file())
    publish_tables({"table1": view_of(line)}, [row], to)
    assert len(offline(to.root)) == 1
    row.write_text('{"changed": 1}')
    publish_tables({"table1": view_of(line)}, [row], to)
    assert len(offline(to.root)) == 2
    publish_tables({"table1": view_of(line, line)}, [row], replace(to, mode="disabled"))
    assert len(offline(to.root)) == 2


def test_the_worst_slices_come_first(phantom: SliceSet) -> None:
    truth = np.asarray(phantom.truth)
    denoised = truth.copy()
    for i, error in enumerate((0.01, 0.3, 0.05, 0.0, 0.2, 0.1)):
        denoised[i] += error
    images = CellImages(np.asarray(phantom.low), denoised, np.asarray(phantom.normal), truth)
    by_name = {p.name: p for p in panels(images, np.array([0, 1]), Window(), None)}
    assert [c.split(":")[0] for c in by_name["worst"].captions] == [f"slice {i}" for i in (1, 4, 5, 2, 0, 3)]
    assert by_name["worst"].captions[0] == "slice 1: 420 HU from the truth"
    assert by_name["worst"].pictures[0].shape == (128, 3 * 128)
    assert "states" not in by_name
    grey = by_name["lung/difference"].pictures
    assert abs(int(np.median(grey[0])) - 127 - 0.01 * 1400 / 600 * 255) < 2


def test_without_a_truth_the_ndct_is_the_target(phantom: SliceSet) -> None:
    low, normal = np.asarray(phantom.low), np.asarray(phantom.normal)
    by_name = {p.name: p for p in panels(CellImages(low, normal, normal, None), np.array([0]), Window(), None)}
    assert "lung/NDCT" in by_name and not any(name.endswith("/truth") for name in by_name)
    assert by_name["worst"].captions[0] == "slice 0: 0 HU from the NDCT"
    assert by_name["lung/difference"].captions == ["denoised minus NDCT, ±300 HU"]


def test_the_steps_of_sampling_end_in_the_denoised_slice(tmp_path: Path, phantom: SliceSet) -> None:
    folder = cell_folder(tmp_path / "c")
    states_of = sampler_states(folder / "model.safetensors")
    assert states_of is not None
    low = np.asarray(phantom.low[0])
    states = states_of(low)
    model = FlowMatching(widths=(8, 16), steps=3)
    assert len(states) == model.steps
    denoiser, _ = load_denoiser(folder / "model.safetensors")
    expected = denoiser.restore(torch.from_numpy(low.copy())[None, None])[0, 0].numpy()
    assert np.abs(states[-1].clip(0, 1) - expected).max() < 1e-6
    assert sampler_states(tmp_path / "none.safetensors") is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def benchmark(folder: Path) -> Benchmark:
    """Two complete cells."""
    rows = "".join(f"  - {{denoiser: fm, strategy: {strategy}}}\n" for strategy in ("IPv1", "IPv2"))
    (folder / "table9.yaml").write_text(f"title: two cells\nrows:\n{rows}")
    places = [f"run.work={folder / 'runs'}", f"run.out={folder / 'out'}", "wandb.mode=offline"]
    config = load_config("smoke", [f"tables=[{folder / 'table9.yaml'}]", *places])
    opened = Benchmark.open(config, load_tables(config), progress=False)
    assert opened.compute(progress=False) == []
    return opened


Publish = Callable[..., list[Path]]


@pytest.fixture
def published(benchmark: Benchmark, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publishes the benchmark from its own folder; the runs are returned."""
    monkeypatch.chdir(folder)

    def publish_all(progress: bool = False, processes: int = 1, **wandb_settings: str) -> list[Path]:
        config = benchmark.config
        settings = {
            "wandb": config.wandb.model_copy(update=wandb_settings),
            "run": config.run.model_copy(update={"processes": processes}),
        }
        config = config.model_copy(update=settings)
        to_publish = replace(benchmark, prepared=replace(benchmark.prepared, config=config))
        rows = Rows(to_publish)
        of_tables = rows.of_tables()
        files = sorted({write_row(config.out, row) for lines in of_tables["table9"] for row in lines})
        publish(destination_of(config), to_publish, rows, table_views(config, benchmark.tables, of_tables), files, progress)
        return offline(config.work / "wandb")

    return publish_all


def test_every_cell_and_the_tables_have_a_run(
    published: Publish, benchmark: Benchmark, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert published(mode="disabled") == []
    runs = published(progress=True, processes=2)
    shown = capsys.readouterr()
    assert "send them with: wandb sync" in shown.out and not shown.err
    of_cells = {f.name.rpartition("-")[0].rpartition("-")[2]: f for f in runs if "-tables-" not in f.name}
    assert of_cells.keys() == {spec.cell_id for spec in benchmark.cells.values()} and len(runs) == 3
    for spec in benchmark.cells.values():
        (started,) = of_type(of_cells[spec.cell_id], "run")
        config = {item.key: item.value_json for item in started.config.update}
        assert started.display_name == spec.name and started.run_group == "smoke"
        assert config["denoiser"] == '"fm"' and config["strategy"] == f'"{spec.strategy.name}"'
        assert {"seed", "options", "data_manifest", "budget", "measuring", "commit", "processor"} <= config.keys()
        assert trained_steps(of_cells[spec.cell_id]) == [1, 2, 3, 4]
        assert {"fd_randconv", "rmse_hu", "seconds_per_slice", "parameters"} <= summary_keys(of_cells[spec.cell_id])
    content = b"".join(f.read_bytes() for run in runs for f in run.rglob("*") if f.is_file())
    assert str(folder).encode() not in content and str(REPOSITORY).encode() not in content
    assert published() == runs  # nothing is written twice


def summary_keys(run: Path) -> set[str]:
    return {item.key for summary in of_type(run, "summary") for item in summary.update}


def test_the_report_shows_what_the_runs_logged(published: Publish, benchmark: Benchmark) -> None:
    of_cells = [f for f in published() if "-tables-" not in f.name]
    logged = {key.removesuffix("._type") for f in of_cells for row in history(f) for key in row}
    logged |= {key for f in of_cells for key in summary_keys(f)}
    report = layout(benchmark.config, "someone")
    shown = [panel for block in report.blocks if isinstance(block, wr.PanelGrid) for panel in block.panels]
    pictures = {key for p in shown if isinstance(p, wr.MediaBrowser) for key in p.media_keys}
    # A training this short has a picture of its validation slice on a slow machine only.
    assert pictures - logged <= {"images/validation"} and pictures >= {f"images/{key}" for key in PICTURES["Lung window"]}
    bars = {m.name: p.title for p in shown if isinstance(p, wr.BarPlot) for m in p.metrics}
    assert bars.keys() <= logged
    assert bars["psnr_db"].endswith("(higher is better)") and bars["noise_hu_lung"].endswith("(lower is better)")
    scatters = [p for p in shown if isinstance(p, wr.ScatterPlot)]
    assert [p.y.name for p in scatters] == ["fd_randconv", "fd_efficientnet", "rmse_hu"]
    assert {p.x.name for p in scatters} == {"seconds_per_slice"} <= logged
    (table,) = [b.text for b in report.blocks if isinstance(b, wr.MarkdownBlock)]
    assert "two cells" in table and "FM + IPv2" in table


def test_what_is_outside_of_the_working_folder_is_reported_and_left_there(
    published: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = published(project="elsewhere")
    assert capsys.readouterr().err.count("W&B's runs go without weights or rows that are outside") == 1
    elsewhere = [f for f in runs if of_type(f, "run")[0].project == "elsewhere"]
    assert len(elsewhere) == 3 and not any(artifacts(f) for f in elsewhere)


def test_trouble_with_wandb_is_reported_and_not_raised(
    published: Publish, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(publishing, "publish_tables", refuse)
    published()
    assert "W&B could not be written (OSError: no space); the tables are complete" in capsys.readouterr().err


def test_importing_the_room_imports_nothing_heavy() -> None:
    names = "publish, report, cell_run, tables_run, panels"
    code = f"import sys; from ipv2_bench.benchmark.views.wandb import {names}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert not {"torch", "wandb", "pandas", "lightning", "matplotlib"} & set(done.stdout.split())
