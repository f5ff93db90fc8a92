"""Configurations: every file loads, and what does not fit is refused by name with the valid choices."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from ipv2_bench.benchmark.cells.denoisers import check_names, choose
from ipv2_bench.benchmark.cells.plan import check_denoisers
from ipv2_bench.benchmark.cells.runners.runner import check_runner
from ipv2_bench.benchmark.config import Config, default_config, load_config
from ipv2_bench.benchmark.tables import FILTERS, load_tables
from ipv2_bench.errors import InputError
from ipv2_bench.files import with_home
from ipv2_bench.installed import configurations
from tests.program import EXPERIMENTS, ROOT

TABLES = sorted(EXPERIMENTS.glob("table*.yaml"))
SECTIONS = ("train", "noise", "metrics", "run", "wandb")
Load = Callable[..., Config]


@pytest.fixture
def config(tmp_path: Path) -> Load:
    """Load a text as configuration, with overrides."""

    def load(text: str, *overrides: str) -> Config:
        path = tmp_path / "made.yaml"
        path.write_text(text)
        return load_config(path, overrides)

    return load


@pytest.mark.parametrize("name", configurations())
def test_every_experiment_loads_and_names_what_exists(name: str) -> None:
    loaded = load_config(name)
    tables = load_tables(loaded)
    check_names(loaded, tables)
    check_denoisers(loaded, tables)
    papers = ["table1", "table2", "table3"]
    own = {"paper": [*papers, "table_own_rates"]}
    own |= {"rivals": ["table4", "table5"]}
    own |= {key: ["table_variants"] for key in ("variants", "variants_ct")}
    own |= {key: [*papers, "table_tuned"] for key in ("native", "gpu")} | {"pretrained": ["table_pretrained"]}
    assert [t.key for t in tables] == own.get(name, papers)
    used = {line.denoiser for t in tables for line in t.lines if line.denoiser}
    assert used | {loaded.weak_denoiser} <= {*loaded.denoisers, "identity", *FILTERS}
    assert sum(loaded.data.fractions) == pytest.approx(1)


def test_every_table_belongs_to_a_configuration() -> None:
    named = {table for name in configurations() for table in load_config(name).tables}
    lists = re.findall(r"tables=\[(\S+)\]", (ROOT / "Makefile").read_text(encoding="utf-8"))
    named |= {name for names in lists for name in names.split(",")}
    assert named == {path.name for path in TABLES}


def test_a_configuration_is_found_by_name_and_by_path_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config("smoke") == load_config(EXPERIMENTS / "smoke.yaml")
    (tmp_path / "smoke").mkdir()  # a folder of that name is no configuration
    assert load_config("smoke").name == "smoke"
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    assert load_config("mine.yaml").name == load_config("./mine.yaml").name == "mine"
    with pytest.raises(InputError, match="the configuration 'smok' is unknown: did you mean smoke\\? use one of gpu, native"):
        load_config("smok")
    with pytest.raises(InputError, match=r"the configuration near/by.yaml does not exist: give the path of a YAML file"):
        load_config("near/by.yaml")


def test_the_papers_protocol() -> None:
    paper = load_config("paper")
    assert (paper.train.epochs, paper.train.batch_size, paper.data.size, paper.data.split) == (200, 2, 512, "folder")
    assert paper.data.fractions == (0.7, 0.15, 0.15)
    one = ("fm", "ffm", "cold_diffusion", "corediff")
    assert {choose(paper, name).options["lr"] for name in one} == {1e-4}
    own = {name: choose(paper, f"{name}_own").options for name in ("cold_diffusion", "corediff")}
    assert (own["cold_diffusion"]["lr"], own["cold_diffusion"]["ema_decay"], own["corediff"]["lr"]) == (2e-5, 0.995, 2e-4)


def test_an_empty_file_is_the_default(config: Load) -> None:
    assert config("{}\n").model_dump() == Config().model_dump() == default_config().model_dump()


def test_settings_cannot_be_changed_once_loaded(config: Load) -> None:
    loaded = config("{}\n")
    for change in (lambda: setattr(loaded, "name", "x"), lambda: setattr(loaded.train, "steps", 3)):
        with pytest.raises(ValidationError, match="frozen"):
            change()


def test_what_is_absent_is_null(config: Load) -> None:
    loaded = config("{}\n")
    assert loaded.train.steps is loaded.train.lr is loaded.train.clip is loaded.run.processes is loaded.run.weights is None
    assert (loaded.train.epochs, config("train: {steps: 5}\n").train.epochs) == (200, None)
    again = config("train: {steps: 5, clip: 1.0}\n", "train.steps=null", "train.epochs=3", "train.clip=null")
    assert (again.train.steps, again.train.epochs, again.train.clip) == (None, 3, None)
    assert (again.train.length, loaded.train.length) == ("3 epochs", "200 epochs")
    with pytest.raises(InputError, match=r"train.steps and train.epochs are both null: set one of them"):
        config("{}\n", "train.epochs=null")


def test_overrides_win_and_keep_their_type(config: Load) -> None:
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


@pytest.mark.parametrize("section", SECTIONS)
def test_unknown_keys_of_sections_are_refused_with_the_valid_ones(config: Load, section: str) -> None:
    for loading in (lambda: config(f"{section}: {{stepz: 3}}\n"), lambda: config("{}\n", f"{section}.stepz=3")):
        with pytest.raises(InputError, match=rf"setting '{section}\.stepz' is unknown: .*use one of ") as caught:
            loading()
        assert all(f"{section}.{name}" in str(caught.value) for name in type(getattr(Config(), section)).model_fields)
        assert ("did you mean steps?" in str(caught.value)) == (section == "train")


def test_unknown_keys_at_the_top_are_refused_with_the_valid_ones(config: Load) -> None:
    with pytest.raises(InputError, match=r"setting 'trains' is unknown: did you mean train\? use one of ") as caught:
        config("trains: {steps: 3}\n")
    assert all(name in str(caught.value) for name, field in Config.model_fields.items() if not field.exclude)
    with pytest.raises(InputError, match="'folder' is unknown"):
        config("{}\n", "folder=elsewhere")


def test_unknown_sources_and_options_of_a_source_are_refused_with_the_valid_ones(config: Load) -> None:
    with pytest.raises(InputError, match=r"data source phantom has no option 'patientz': did you mean patients\? use one of "):
        check_names(config("data: {source: phantom, patientz: 3}\n"), [])
    known = "paired_dicom, paired_png, phantom, varied_scan, virtual_scan"
    with pytest.raises(InputError, match=rf"source 'fantom' is unknown: did you mean phantom\? use one of {known}"):
        check_names(config("data: {source: fantom}\n"), [])


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("train.steps=many", "train.steps is 'many': expected a whole number"),
        ("train.steps=1.5", "train.steps is '1.5': expected a whole number"),
        ("train.steps=true", "train.steps is 'True': expected a whole number"),
        ("train.steps=0", "train.steps is 0: expected at least 1"),
        ("train.batch_size=-1", "train.batch_size is -1: expected at least 1"),
        ("train.clip=0", "train.clip is 0: expected more than 0"),
        ("run.checkpoint_seconds=-1", "run.checkpoint_seconds is -1: expected at least 0"),
        ("train.lr=fast", "train.lr is 'fast': expected a number"),
        ("train.lr=.inf", "train.lr is inf: expected a finite number"),
        ("train.clip=.nan", "train.clip is nan: expected a finite number"),
        ("run.accelerator=tpux", "run.accelerator is 'tpux': use one of auto, cpu"),
        ("noise.calibrate=1", "noise.calibrate is '1': expected true or false"),
        ("data.window=[0]", r"data.window is '\[0\]': expected 2 numbers"),
        ("data.window=[a,b]", "data.window is 'a': expected 2 numbers"),
        ("data.fractions=[0.5,0.5]", "data.fractions is .*expected 3 numbers"),
        ("data.size=128.0", "data.size is '128.0': expected a whole number"),
        ("name=3", "name is '3': expected letters"),
        ("name=../elsewhere", "name is '../elsewhere': expected letters"),
        ("meaningful=3", "meaningful is '3': expected true or false"),
        ("seeds=[a]", "seeds is .*expected different whole numbers"),
        ("seeds=[]", "seeds is .*at least one"),
        ("seeds=[0.5]", "seeds is .*expected different whole numbers"),
        ("seeds=[0,0]", "seeds is .*expected different whole numbers"),
        ("seeds=true", "seeds is .*expected different whole numbers"),
        ("tables=[1]", "tables is "),
        ("train=5", "train is '5': expected settings"),
        ("data=phantom", "data is 'phantom': expected settings"),
        ("denoisers=[fm]", "expected settings such as denoisers.NAME"),
        ("denoisers.fm=3", "denoisers must map"),
        ("train.steps", "'train.steps' is no setting: write key=value"),
        ("=3", "'=3' is no setting"),
    ],
)
def test_values_of_the_wrong_type_are_refused_by_name(config: Load, override: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        config("train: {steps: 5}\ndenoisers: {fm: {}}\n", override)


def test_several_wrong_values_are_listed_together(config: Load) -> None:
    with pytest.raises(InputError, match=r"2 problems in the settings:\n  1\. train.steps is .*\n  2\. run.accelerator is "):
        config("{}\n", "train.steps=many", "run.accelerator=tpux")


def test_a_budget_names_what_is_no_default(config: Load) -> None:
    def budget(*settings: str) -> dict:
        return config("train: {steps: 5}\n", *settings).train.model_dump(exclude_defaults=True)

    assert "clip" not in budget() and budget("train.clip=1.0")["clip"] == 1.0


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "near.yaml").write_text("- a\n- b\n")
    with pytest.raises(InputError, match=r"the configuration .*far\.yaml does not exist: give the path"):
        load_config(tmp_path / "far.yaml")
    with pytest.raises(InputError, match=r"near\.yaml holds no mapping"):
        load_config(tmp_path / "near.yaml")
    (tmp_path / "near.yaml").write_text("train: {steps: [\n")
    with pytest.raises(InputError, match=r"near\.yaml is not valid YAML"):
        load_config(tmp_path / "near.yaml")


def test_a_budget_of_whole_slices_is_written_as_before_there_were_crops() -> None:
    whole = load_config("paper").train
    assert not {"crop", "crops_per_slice", "mirror"} & whole.model_dump(mode="json").keys()
    cut = load_config("paper", ["train.crop=64", "train.crops_per_slice=8", "train.mirror=true"]).train
    assert cut.model_dump(mode="json").items() >= {"crop": 64, "crops_per_slice": 8, "mirror": True}.items()
    assert type(cut).model_validate(cut.model_dump()) == cut and type(whole).model_validate(whole.model_dump()) == whole
    assert (whole.batch, cut.batch) == ("2", "2 × 8 crops of 64×64, mirrored at random")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.crops_per_slice=4"], "train.crops_per_slice needs train.crop"),
        (["train.crop=0"], "train.crop"),
        (["train.crop=30"], r"train.crop is 30: denoiser \w+ takes multiples of 8 in training, such as 32"),
        (["train.crop=256"], "train.crop is 256: expected at most data.size, 128"),
    ],
)
def test_crops_that_cannot_be_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config = load_config("quick", settings)
        check_denoisers(config, load_tables(config))


PLACES = [
    "Patient #12", "a = b", "x: y", "$HOME/${data.size}", "{a: 1}", "[1, 2]", "12", "null", "'quoted'", "ä 患者", "a,b",
    "-x", "true", "1e3", "%s", "back\\slash", "  spaced  ",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["data.root", "run.work", "run.weights"])
def test_paths_are_taken_as_they_are_written(config: Load, place: str, key: str) -> None:
    loaded = config("name: a\ndata: {source: virtual_scan}\n", f"{key}={place}")
    found = {"data.root": loaded.data.options.get("root"), "run.work": loaded.run.work, "run.weights": loaded.run.weights}
    assert found[key] == place


def test_a_time_of_slurm_is_text(config: Load) -> None:
    for given in ("1", "12:00:00", "1-00:00:00"):
        assert config("name: a\n", "run.on=slurm", f"run.at.time={given}").run.at["time"] == given
        assert config(f"name: a\nrun: {{on: slurm, at: {{time: '{given}', memory: 1000}}}}\n").run.at["time"] == given
    assert config("name: a\nrun: {on: slurm, at: {memory: 1000}}\n").run.at["memory"] == "1000"
    with pytest.raises(InputError, match=r"run\.on=slurm: time is 43200: expected a word"):  # as YAML reads it
        check_runner(config("name: a\nrun: {on: slurm, at: {time: 12:00:00}}\n"))


def test_a_tilde_is_the_home_on_the_command_line_and_in_files(config: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    for given in ("~", "~/CT"):
        for file, words in (("", [f"data.root={given}"]), (f", root: '{given}'", [])):
            loaded = config(f"name: a\ndata: {{source: virtual_scan{file}}}\n", *words)
            assert loaded.data.options["root"] == given.replace("~", "/nowhere")
    assert config("name: a\ntitle: '~/a'\n", "run.work=~nobody-of-this-name/x").run.work == "~nobody-of-this-name/x"
    assert with_home("data.root=~/CT") == "data.root=/nowhere/CT" and with_home("title=a ~ b") == "title=a ~ b"


@pytest.mark.parametrize("title", ["a #1", "a: b", "50 % [x]", "# x"])
def test_words_are_taken_as_they_are_written(config: Load, title: str) -> None:
    assert config("name: a\n", f"title={title}").title == title


def test_numbers_lists_and_references_are_yaml(config: Load) -> None:
    words = ("seeds=[0, 1]", "train.lr=1e-3", "train.mirror=true", "data.size=64", "denoisers.fm={widths: [8, 16]}")
    loaded = config("name: a\n", *words)
    assert loaded.seeds == (0, 1) and loaded.train.lr == 1e-3 and loaded.train.mirror and loaded.data.size == 64
    assert loaded.denoisers["fm"] == {"widths": [8, 16]}
    assert config("name: a\n", "title=${name}").title == "a"
