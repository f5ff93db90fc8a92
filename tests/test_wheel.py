"""The built wheel, installed into an environment of its own, works in an empty folder without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from pydicom import dcmread

from ipv2_bench import __version__
from tests.conftest import Smoke
from tests.dicom_files import MARKER
from tests.program import LONGEST, MEASURED_TIMES, ROOT, table


def call(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    """Run a program without this checkout on its path, and check its exit code."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "IPV2_BENCH_CT")}
    command = [str(word) for word in words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation")
    call(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel, beside which the packages of the tests are importable."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    offline = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    call(sys.executable, "-m", "pip", "--python", programs / "python", "install", *offline, wheel, cwd=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(call(programs / "python", "-c", where, cwd=folder).stdout.strip())
    # A path in a .pth file does not bring that folder's own .pth files, hence not the checkout.
    others = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (own / "packages_of_the_tests.pth").write_text("\n".join(others) + "\n")
    return programs


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, in which all commands are run one after the other."""
    return tmp_path_factory.mktemp("empty")


def test_the_wheel_holds_the_program_and_its_data_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"ipv2_bench", f"ipv2_bench-{__version__}.dist-info"}
    for path in (ROOT / "experiments").glob("*.yaml"):
        assert f"ipv2_bench/experiments/{path.name}" in names
    for path in (ROOT / "leaderboards" / "published").glob("*.csv"):
        assert f"ipv2_bench/published/{path.name}" in names
    package = [p for p in (ROOT / "ipv2_bench").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert {p.relative_to(ROOT).as_posix() for p in package} <= set(names)
    registry = "ipv2_bench/denoisers/pretrained/registry.json"  # of the weights in the package
    assert registry in names and f"{Path(registry).parent.as_posix()}/unet-native.safetensors" in names
    odd = [name for name in names if "test" in name.split("/")[1] or name.endswith((".pyc", ".json"))]
    assert odd == [registry]


def test_it_is_the_installed_program(installed: Path, empty: Path) -> None:
    code = "import ipv2_bench, ipv2_bench.installed as i; print(ipv2_bench.__file__, i.experiments(), i.published())"
    for place in call(installed / "python", "-c", code, cwd=empty).stdout.split():
        assert Path(place).is_relative_to(installed.parent)
    assert call(installed / "ipv2-bench", "--version", cwd=empty).stdout == f"ipv2-bench {__version__}\n"


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("denoisers", "corediff: "),
        ("strategies", "IPv1+1+2"),
        ("measures", "edge_mtf50"),
        ("sources", "virtual_scan: "),
        ("configs", "native"),
    ],
)
def test_lists(installed: Path, empty: Path, what: str, named: str) -> None:
    assert named in call(installed / "ipv2-bench", "list", what, cwd=empty).stdout


def test_check(installed: Path, empty: Path, ct_tree: Path) -> None:
    assert "fd_randconv, kid_x100_randconv: ready" in call(installed / "ipv2-bench", "check", cwd=empty).stdout
    text = call(installed / "ipv2-bench", "check", ct_tree, "--picture", "check.png", cwd=empty).stdout
    assert "6 slices in 2 series without a problem" in text and (empty / "check.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def reproduced(installed: Path, empty: Path) -> str:
    """What ``reproduce --config smoke`` printed."""
    return call(installed / "ipv2-bench", "reproduce", "--config", "smoke", "wandb.mode=disabled", cwd=empty).stdout


def test_reproduce_gives_what_the_checkout_gives(reproduced: str, empty: Path, smoke: Smoke) -> None:
    assert "22 cells completed in" in reproduced and "open leaderboards/smoke/index.html in a browser" in reproduced
    for n in (1, 2, 3):
        own, other = (table(folder / f"table{n}.csv") for folder in (empty / "leaderboards" / "smoke", smoke.out))
        for line, expected in zip(own, other, strict=True):
            assert {k: v for k, v in line.items() if k not in MEASURED_TIMES} == {
                k: v for k, v in expected.items() if k not in MEASURED_TIMES
            }
    page = (empty / "leaderboards" / "smoke" / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") > 5 and "<style>" in page


def test_simulate_and_denoise(reproduced: str, installed: Path, empty: Path, ct_tree: Path) -> None:
    simulated = call(installed / "ipv2-bench", "simulate", ct_tree, "OUT", "--format", "dicom", "data.photons=17000", cwd=empty)
    assert "6 slices of 2 series scanned" in simulated.stdout
    assert sorted(p.name for p in (empty / "OUT").iterdir() if p.is_dir()) == ["gt", "lq", "truth"]
    weights = next((empty / "runs" / "smoke" / "cells").rglob("model.safetensors"))
    done = call(installed / "ipv2-bench", "denoise", "OUT/lq", "DENOISED", "--checkpoint", weights, cwd=empty)
    assert "6 slices denoised" in done.stdout and "not a medical device" in done.stderr
    written = sorted((empty / "DENOISED").rglob("*.dcm"))
    assert len(written) == 6 and MARKER not in str(dcmread(written[0]))
