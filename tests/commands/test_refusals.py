"""Refusals of bad words: one line, exit code 2, the near word where there is one, at once and without torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Smoke
from tests.program import Light, run_light

LARGEST = 1.0
"""Seconds of processor time in which a command that computes nothing answers."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of one's own, one of them broken."""
    path = tmp_path_factory.mktemp("words")
    (path / "mine.yaml").write_text("train: {stepz: 3}\n")
    (path / "broken.yaml").write_text("train: {steps: [\n")
    (path / "table9.yaml").write_text("row: []\n")
    (path / "row.json").write_text("{}")
    (path / "data").mkdir()
    return path


def least_seconds(done: Light, folder: Path, *words: str) -> float:
    """Processor time of a command: of two more runs too, where the first took long, since other tests share the processor."""
    seconds = done.seconds
    for _ in range(2):
        seconds = seconds if seconds < LARGEST else min(seconds, run_light(folder, *words).seconds)
    return seconds


def refused(folder: Path, *words: str) -> str:
    """The one line of a refusal, after checks that hold for every one."""
    done = run_light(folder, *words)
    assert done.code == 2, done.err
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("ipv2-bench: ")
    assert not {"torch", "lightning", "skimage", "pandas", "matplotlib"} & done.modules
    assert least_seconds(done, folder, *words) < LARGEST
    return line


WORDS = [
    ("reproduse", "command 'reproduse' is unknown: did you mean reproduce? use one of "),
    ("xyz", "command 'xyz' is unknown: use one of "),
    ("", "the following arguments are required: COMMAND"),
    ("train", "the following arguments are required: --denoiser"),
    ("reproduce --confg smoke", "unrecognized arguments: --confg: did you mean --config?"),
    ("reproduce train.step", "'train.step' is no setting: write key=value"),
    ("reproduce --config smok", "the configuration 'smok' is unknown: did you mean smoke? use one of gpu, native, paper"),
    ("reproduce --config near.yaml", "the configuration near.yaml does not exist: give the path of a YAML file"),
    ("reproduce --config broken.yaml", "broken.yaml is not valid YAML"),
    ("reproduce --config mine.yaml", "setting 'train.stepz' is unknown: did you mean steps? use one of train.steps"),
    ("reproduce trian.steps=3", "setting 'trian' is unknown: did you mean train? use one of name"),
    ("reproduce train.steps=many", "train.steps is 'many': expected a whole number"),
    ("reproduce train.precision=bf16", "train.precision is 'bf16': use one of 32-true, 16-mixed, bf16-mixed"),
    ("reproduce wandb.mode=cloud", "wandb.mode is 'cloud': use one of auto"),
    ("reproduce data.source=fantom", "source 'fantom' is unknown: did you mean phantom? use one of paired_dicom"),
    ("reproduce data.pateints=3", "data source phantom has no option 'pateints': did you mean patients? use one of"),
    ("reproduce data.split=ptient", "split 'ptient' is unknown: did you mean patient? use patient, slice"),
    ("reproduce data.window=[5,1]", "data.window: HU window [5.0, 1.0] is empty: give low < high"),
    ("reproduce noise.filter_name=box", "noise: filter_name 'box' is unknown: use one of ram-lak"),
    ("reproduce run.weights=nowhere", "run.weights is 'nowhere': there is no such folder"),
    ("reproduce weak_denoiser=fmm", "denoiser 'fmm' is unknown: did you mean fm? use one of alden, cold_diffusion"),
    ("reproduce denoisers.fm.stepz=3", "denoiser fm has no option 'stepz': did you mean steps? use one of "),
    ("reproduce denoisers.fm.steps=x", "denoiser fm: steps is 'x': expected a whole number"),
    ("reproduce metrics.extra=[lung_egde]", "measure 'lung_egde' is unknown: did you mean lung_edge? use one of checkerboard"),
    ("reproduce tables=[tabel1.yaml]", "the table tabel1.yaml does not exist: did you mean table1.yaml? there are "),
    ("reproduce tables=[table9.yaml]", "table9.yaml: 'row' is unknown: did you mean rows? use one of title"),
    ("reproduce --tables 7", "table 7 is unknown: use one of 1, 2, 3"),
    ("reproduce --tables one", "--tables is 'one': expected numbers such as 1,3"),
    ("train --denoiser corediffs", "denoiser 'corediffs' is unknown: did you mean corediff? use one of "),
    ("train --denoiser nowhere.at:All", "module 'nowhere.at' of 'nowhere.at:All' is not on the Python path"),
    ("train --denoiser fm --strategy simulate", "strategy 'simulate' is unknown: did you mean simulated? use one of IPv1"),
    ("train --denoiser fm --background flod_fill", "background 'flod_fill' is unknown: did you mean flood_fill? use"),
    ("evaluate --denoiser fmm", "denoiser 'fmm' is unknown: did you mean fm"),
    ("compare --denoiser fmm", "denoiser 'fmm' is unknown: did you mean fm"),
    ("attribute --denoiser fmm", "denoiser 'fmm' is not in Table 1: did you mean fm"),
    ("calibrate noise.dose=7", "noise: dose is 7.0: expected a fraction of the full dose"),
    ("split --write x.json data.source=fantom", "source 'fantom' is unknown: did you mean phantom?"),
    ("simulate data out data.photon=3", "virtual scan has no option 'photon': did you mean photons? use one of "),
    ("simulate data out --format tif", "--format is 'tif': use png8, png16 or dicom"),
    ("simulate data out train.steps=3", "simulate does not use the setting 'train.steps': leave it out, or give data.window"),
    ("simulate data out data.window=[400,-1000]", "data.window: HU window [400.0, -1000.0] is empty: give low < high"),
    ("check data data.window=[400,-1000]", "data.window: HU window [400.0, -1000.0] is empty: give low < high"),
    ("calibrate data.window=[400,-1000]", "data.window: HU window [400.0, -1000.0] is empty: give low < high"),
    ("split --write x.json data.window=[400,-1000]", "data.window: HU window [400.0, -1000.0] is empty: give low < high"),
    ("train --denoiser fm data.window=[400,-1000]", "data.window: HU window [400.0, -1000.0] is empty: give low < high"),
    ("purify data out --strategy IPv22", "strategy 'IPv22' is unknown: did you mean IPv2? use one of IPv1"),
    ("denoise data out --checkpoint nl_mean", "denoiser 'nl_mean' is unknown: did you mean nl_means? use one of "),
    ("denoise data out --checkpoint gone.safetensors", "the checkpoint gone.safetensors does not exist"),
    ("check data datas.window=[0,1]", "setting 'datas' is unknown: did you mean data?"),
    ("check data data.tolerance=2", "check has no option 'tolerance': did you mean tolerance_mm?"),
    ("rank", "no row is named: give files under leaderboards/*/rows"),
    ("rank row.json --by rmse_hv", "--by 'rmse_hv' is unknown: did you mean rmse_hu? use one of fid"),
    ("rank row.json", "the row row.json breaks the schema at "),
    ("verify", "no row is named: give files under leaderboards/*/rows"),
    ("verify none.json", "the row none.json does not exist"),
    ("render --config smoke", "no row under leaderboards/smoke/rows is of a line of these tables"),
    ("list denoiser", "there is no list of 'denoiser': did you mean denoisers? use one of denoisers, strategies"),
    ("new-denoiser 1st", "'1st' is no name of a class: use letters and digits, such as MyDenoiser"),
]


@pytest.mark.parametrize(("words", "said"), WORDS, ids=[words for words, _ in WORDS])
def test_bad_words_are_refused_at_once(folder: Path, words: str, said: str) -> None:
    before = sorted(folder.iterdir())
    assert said in refused(folder, *words.split())
    assert sorted(folder.iterdir()) == before, "a refusal leaves nothing"


@pytest.fixture(scope="module")
def complete(smoke: Smoke, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows and cached slices of the smoke benchmark, as a run leaves them."""
    path = tmp_path_factory.mktemp("complete")
    shutil.copytree(smoke.out, path / "leaderboards" / "smoke")
    shutil.copytree(smoke.folder / "runs" / "cache", path / "runs" / "cache")
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--help", "leaderboard:"),
        ("reproduce --help", "examples:"),
        ("--version", "ipv2-bench "),
        ("check", "fd_randconv, kid_x100_randconv: ready"),
        ("rank {rows} --by rmse_hu", "## smoke: rmse_hu against "),
        ("render --config smoke", "Table 3: "),
        ("split --config smoke --write split.json", "12 train, 6 val and 6 test slices: split.json"),
        ("list denoisers", "corediff: "),
        ("list strategies", "IPv1+1+2"),
        ("list measures", "edge_mtf50"),
        ("list sources", "virtual_scan: "),
        ("list configs", "variants_ct"),
        ("new-denoiser Quick", "wrote quick.py"),
    ],
    ids=lambda value: value.split()[0] + value[-12:] if isinstance(value, str) else "",
)
def test_what_computes_nothing_answers_at_once(complete: Path, words: str, said: str) -> None:
    rows = sorted(str(p.relative_to(complete)) for p in (complete / "leaderboards" / "smoke" / "rows").glob("*.json"))
    given = [w for word in words.split() for w in (rows if word == "{rows}" else [word])]
    done = run_light(complete, *given)
    assert done.code == 0, done.err
    assert said in done.out
    assert not {"torch", "lightning", "skimage", "pandas", "matplotlib"} & done.modules
    assert least_seconds(done, complete, *given) < LARGEST
