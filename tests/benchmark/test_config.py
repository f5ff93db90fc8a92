"""Configurations: every file loads, and what does not fit is refused by name with the valid choices."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from ipv2_bench import registry
from ipv2_bench.benchmark.config import SECTIONS, Config, load_config
from ipv2_bench.benchmark.plan import denoiser_options
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.data.source import Source
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.errors import InputError

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
CONFIGS = sorted(p for p in EXPERIMENTS.glob("*.yaml") if not p.name.startswith("table"))
TABLES = sorted(EXPERIMENTS.glob("table*.yaml"))


@pytest.fixture
def config(tmp_path: Path) -> object:
    """Load a text as configuration, with overrides."""

    def load(text: str, *overrides: str) -> Config:
        path = tmp_path / "made.yaml"
        path.write_text(text)
        return load_config(path, overrides)

    return load


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_experiment_loads_and_names_what_exists(path: Path) -> None:
    loaded = load_config(path)
    source = registry.find("ipv2_bench.data.sources", loaded.data.source, Source)
    assert set(loaded.data.options) <= set(registry.options(source, Source))
    for name in loaded.denoisers:
        cls, options = denoiser_options(loaded, name)
        registry.build(cls, Denoiser, options, name)  # refuses what it does not have
    tables = load_tables(loaded)
    papers = ["table1", "table2", "table3"]
    assert [t.key for t in tables] == (["table_what_matters"] if path.stem == "what_matters" else papers)
    used = {row.denoiser for t in tables for row in t.rows if row.denoiser}
    assert used | {loaded.weak_denoiser} <= set(loaded.denoisers)
    assert sum(loaded.data.fractions) == pytest.approx(1)


def test_every_table_belongs_to_a_configuration() -> None:
    named = {name for path in CONFIGS for name in load_config(path).tables}
    named |= set(re.findall(r"tables=\[(\S+)\]", (EXPERIMENTS.parent / "Makefile").read_text(encoding="utf-8")))
    assert named == {path.name for path in TABLES}


def test_the_papers_protocol() -> None:
    paper = load_config(EXPERIMENTS / "paper.yaml")
    assert (paper.train.epochs, paper.train.batch_size, paper.data.size, paper.data.split) == (200, 2, 512, "slice")
    assert paper.data.fractions == (0.7, 0.15, 0.15)
    assert paper.denoisers["fm"]["lr"] == 1e-4 and paper.denoisers["corediff"]["lr"] == 2e-4


def test_an_empty_file_is_the_default(config: object) -> None:
    loaded = config("{}\n")
    defaults = Config()
    for f in fields(Config):
        if f.name != "folder":
            assert getattr(loaded, f.name) == getattr(defaults, f.name), f.name


def test_overrides_win_and_keep_their_type(config: object) -> None:
    text = "train: {steps: 5, lr: 1.0e-3}\ndenoisers: {fm: {steps: 3}}\n"
    overrides = "train.steps=7", "train.clip=1", "data.window=[-160,240]", "denoisers.fm.steps=9", "seeds=[0,2]"
    loaded = config(text, *overrides)
    assert loaded.train.steps == 7 and loaded.train.lr == 1e-3
    assert loaded.train.clip == 1.0 and isinstance(loaded.train.clip, float)
    assert loaded.data.window == (-160.0, 240.0) and all(isinstance(v, float) for v in loaded.data.window)
    assert loaded.denoisers == {"fm": {"steps": 9}}
    assert loaded.seeds == (0, 2)
    assert config(text, "seeds=4").seeds == (4,)
    assert config(text, "data.root=scans", "data.min_lung=0.1").data.options == {"root": "scans", "min_lung": 0.1}


@pytest.mark.parametrize("section", ["train", "noise", "run", "wandb"])
def test_unknown_keys_of_sections_are_refused_with_the_valid_ones(config: object, section: str) -> None:
    for loading in (lambda: config(f"{section}: {{stepz: 3}}\n"), lambda: config("{}\n", f"{section}.stepz=3")):
        with pytest.raises(InputError, match=rf"setting '{section}\.stepz' is unknown: use one of ") as caught:
            loading()
        assert all(f"{section}.{f.name}" in str(caught.value) for f in fields(SECTIONS[section]))


def test_unknown_keys_at_the_top_are_refused_with_the_valid_ones(config: object) -> None:
    with pytest.raises(InputError, match="setting 'trains' is unknown: use one of ") as caught:
        config("trains: {steps: 3}\n")
    assert all(f.name in str(caught.value) for f in fields(Config) if f.name not in ("folder", "own_tables"))
    with pytest.raises(InputError, match="'folder' is unknown"):
        config("{}\n", "folder=elsewhere")


def test_unknown_options_of_a_source_are_refused_with_the_valid_ones(config: object) -> None:
    loaded = config("data: {source: phantom, patientz: 3}\n")
    source = registry.find("ipv2_bench.data.sources", loaded.data.source, Source)
    with pytest.raises(InputError, match=r"source has no option 'patientz': use one of .*levels.*patients"):
        registry.build(source, Source, loaded.data.options, "source")
    with pytest.raises(
        InputError, match=r"'fantom' is unknown: use one of paired_dicom, paired_png, phantom, virtual_scan"
    ):
        registry.find("ipv2_bench.data.sources", "fantom", Source)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("train.steps=many", "train.steps is 'many': expected int"),
        ("train.steps=1.5", "train.steps is '1.5': expected int"),
        ("train.steps=true", "train.steps is 'True': expected int"),
        ("train.lr=fast", "train.lr is 'fast': expected float"),
        ("train.lr=.inf", "train.lr is inf: expected a finite number"),
        ("train.clip=.nan", "train.clip is nan: expected a finite number"),
        ("run.accelerator=tpux", "run.accelerator is 'tpux': use one of auto, cpu"),
        ("noise.calibrate=1", "noise.calibrate is '1': expected bool"),
        ("data.window=[0]", r"data.window is '\[0\]': expected 2 numbers"),
        ("data.window=[a,b]", "data.window is 'a': expected float"),
        ("data.fractions=[0.5,0.5]", "data.fractions is .*expected 3 numbers"),
        ("data.size=128.0", "data.size is '128.0': expected int"),
        ("name=3", "name is '3': expected str"),
        ("name=../elsewhere", "name is '../elsewhere': expected letters"),
        ("meaningful=3", "meaningful is '3': expected bool"),
        ("seeds=[a]", "seeds is .*expected whole numbers"),
        ("seeds=[]", "seeds is .*at least one"),
        ("seeds=[0.5]", "seeds is .*expected whole numbers"),
        ("seeds=true", "seeds is .*expected whole numbers"),
        ("tables=[1]", "tables is "),
        ("train=5", "train is '5': expected settings"),
        ("data=phantom", "data is 'phantom': expected settings"),
        ("denoisers=[fm]", "expected settings such as denoisers.NAME"),
        ("denoisers.fm=3", "denoisers must map"),
        ("train.steps", "'train.steps' is no setting: write key=value"),
        ("=3", "'=3' is no setting"),
    ],
)
def test_values_of_the_wrong_type_are_refused_by_name(config: object, override: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        config("train: {steps: 5}\ndenoisers: {fm: {}}\n", override)


def test_rows_tell_of_clipping_where_there_is_some(config: object) -> None:
    assert "clip" not in config("train: {steps: 5}\ndenoisers: {fm: {}}\n").train.budget
    assert config("train: {steps: 5}\ndenoisers: {fm: {}}\n", "train.clip=1.0").train.budget["clip"] == 1.0


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "near.yaml").write_text("- a\n- b\n")
    with pytest.raises(InputError, match=r"far\.yaml is not there: there are near\.yaml"):
        load_config(tmp_path / "far.yaml")
    with pytest.raises(InputError, match=r"near\.yaml holds no mapping"):
        load_config(tmp_path / "near.yaml")
    (tmp_path / "near.yaml").write_text("train: {steps: [\n")
    with pytest.raises(InputError, match=r"near\.yaml is not valid YAML"):
        load_config(tmp_path / "near.yaml")
