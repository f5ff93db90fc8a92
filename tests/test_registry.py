"""Classes are found by the names of their modules, their options read from source text, and wrong words refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ipv2_bench import registry
from ipv2_bench.data.source import Source
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.denoisers import ROOMS
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.metrics.base import Measure
from tests.program import ROOT

PACKAGES = {
    "ipv2_bench.denoisers": Denoiser,
    "ipv2_bench.data.sources": Source,
    "ipv2_bench.metrics.measures": Measure,
}


@pytest.mark.parametrize("package", PACKAGES)
def test_source_text_says_what_the_class_says(package: str) -> None:
    names = registry.names(package)
    assert len(names) >= 4
    for name in names:
        cls = registry.find(package, name, PACKAGES[package])
        assert registry.key_of(cls) == name
        if package == "ipv2_bench.metrics.measures":
            continue
        imported = {k: p.default for k, p in registry.options(cls, PACKAGES[package]).items()}
        read = registry.options_in_text(package, name)
        assert read.keys() == imported.keys()
        known = {k: v for k, v in read.items() if v is not registry.UNKNOWN}
        assert known == {k: imported[k] for k in known} and len(known) >= len(read) - 2


def test_no_two_rooms_have_files_of_one_name() -> None:
    folder = ROOT / "ipv2_bench" / "denoisers"
    files = [path.name for room in ("", *ROOMS) for path in (folder / room).glob("[!_]*.py")]
    assert len(files) > 14 and len(set(files)) == len(files)


def test_names_are_listed_without_importing_what_they_name() -> None:
    packages = ", ".join(map(repr, PACKAGES))
    code = f"import sys; from ipv2_bench import registry; [registry.names(p) for p in ({packages})]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ipv2_bench.denoisers.iterative.fm", "ipv2_bench.data.sources.phantom"} & set(done.stdout.split())


def test_unknown_names_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(InputError, match=r"source 'fantom' is unknown: did you mean phantom\? use one of paired_dicom"):
        registry.find("ipv2_bench.data.sources", "fantom", Source)
    with pytest.raises(InputError, match="module 'nowhere' of 'nowhere:X' is not on the Python path: install it"):
        registry.find("ipv2_bench.data.sources", "nowhere:X", Source)
    for name in ("json:JSONDecoder", "json:nothing", "ipv2_bench.denoisers.iterative.fm:FlowMatching"):
        with pytest.raises(InputError, match=f"'{name}' is no Source: expected a subclass of it named"):
            registry.find("ipv2_bench.data.sources", name, Source)


def test_a_class_from_outside_is_found_and_its_own_errors_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "source_of_mine.py").write_text(
        "from ipv2_bench.data.sources.phantom import Phantom\nclass Mine(Phantom):\n    pass\n"
    )
    cls = registry.find("ipv2_bench.data.sources", "source_of_mine:Mine", Source)
    assert issubclass(cls, Phantom) and registry.key_of(cls) == "source_of_mine:Mine"
    (tmp_path / "broken_of_mine.py").write_text("import a_package_that_is_absent\n")
    with pytest.raises(InputError, match="'broken_of_mine:Mine' needs the module 'a_package_that_is_absent': install it"):
        registry.find("ipv2_bench.data.sources", "broken_of_mine:Mine", Source)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"pateints": 3}, r"source has no option 'pateints': did you mean patients\? use one of bowtie, .*views"),
        ({"patients": "many"}, "source: patients is 'many': expected a whole number, such as 24"),
        ({"patients": True}, "source: patients is True: expected a whole number"),
        ({"patients": 1.5}, "source: patients is 1.5: expected a whole number"),
        ({"photons": float("inf")}, "source: photons is inf: expected a finite number"),
        ({"patients": 0}, "source: patients is 0: expected at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(given: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        registry.build(Phantom, Source, given, "source")


def test_whole_numbers_are_numbers() -> None:
    assert registry.build(Phantom, Source, {"photons": 4000, "patients": 2}, "source").patients == 2
