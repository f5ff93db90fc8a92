"""Virtual scans on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from ipv2_bench.cli import main
from ipv2_bench.data.dicom.tree import Wanted, read_tree
from ipv2_bench.data.formats.png import read_png
from ipv2_bench.data.sources.paired_dicom import PairedDicom
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.errors import InputError
from ipv2_bench.physics.intensity import Window
from tests.dicom_files import MARKER

Capture = pytest.CaptureFixture[str]


def test_simulate_writes_what_the_virtual_scan_gives(ct_tree: Path, ct_pairs: Path, tmp_path: Path) -> None:
    files = {
        side: sorted(p.relative_to(ct_pairs / side) for p in (ct_pairs / side).rglob("*.png"))
        for side in ("lq", "gt", "truth")
    }
    assert files["lq"] == files["gt"] == files["truth"] and len(files["lq"]) == 6
    wanted = VirtualScan(str(ct_tree), views=48).slices(tmp_path, Window(), 64)
    for key, low, normal, truth in zip(wanted.key, wanted.low, wanted.normal, wanted.truth, strict=True):
        for side, image in (("lq", low), ("gt", normal), ("truth", truth)):
            found = read_png(ct_pairs / side / f"{key}.png")
            assert found.bits == 16 and np.abs(found.unit - image).max() <= 0.51 / 65535


def test_simulated_dicom_is_read_again_and_holds_no_identity(ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    words = ["simulate", str(ct_tree), str(out), "--format", "dicom", "--quiet", "data.views=48", "data.photons=12000"]
    assert main(words) == 0
    for side, title in (("lq", "virtual scan, 12000 photons per mm of the detector"), ("gt", "NDCT"), ("truth", "aligned truth")):
        assert {dcmread(p).SeriesDescription for p in (out / side).rglob("*.dcm")} == {title}
    assert "6 slices of 2 series scanned" in capsys.readouterr().out
    assert not any(MARKER.encode() in p.read_bytes() for p in out.rglob("*") if p.is_file())
    low, normal = (read_tree(out / side, wanted=Wanted(derived=True)) for side in ("lq", "gt"))
    assert [len(s.hu) for s in low] == [3, 3]
    originals = read_tree(ct_tree)
    assert all(any(np.array_equal(n.hu, o.hu) for o in originals) for n in normal)
    assert all(s.spacing_mm == 6.25 and np.allclose(np.diff(s.position_mm), 4.0) for s in low)
    assert low[0].hu.std() > normal[0].hu.std() * 0.9
    (out / "lq" / low[0].names[0]).unlink()
    assert main(words) == 0
    assert "1 slices of 2 series scanned, 5 had been before" in capsys.readouterr().out
    # The two trees are pairs as they are.
    check = ["check", str(out), "--quiet"]
    assert main(check) == 0, capsys.readouterr().out
    assert "3 common positions" in capsys.readouterr().out
    slices = PairedDicom(str(out), min_lung=0.01).slices(tmp_path / "cache", Window(), 64)
    assert len(slices) == 6 and len(set(slices.patient)) == 2
    (out / "lq" / "one.dcm").write_bytes((ct_tree / "0" / "slice000.dcm").read_bytes())
    assert main(check) == 2  # among others derived images are left out, by both alike
    assert "left out: 6 derived (such as " in capsys.readouterr().out
    with pytest.raises(InputError):
        PairedDicom(str(out), min_lung=0.01).slices(tmp_path / "other", Window(), 64)


def test_photons_and_size_are_those_that_are_asked_for(ct_tree: Path, tmp_path: Path, capsys: Capture) -> None:
    noise = {}
    for photons in ("2000", "200000"):
        out = tmp_path / photons
        words = ["simulate", str(ct_tree), str(out), "--quiet", "--size", "48", "--format", "png8", "data.views=48"]
        assert main([*words, f"data.photons={photons}"]) == 0
        low, truth = (sorted((out / side).glob("*.png"))[0] for side in ("lq", "truth"))
        assert read_png(low).unit.shape == (48, 48) and read_png(low).bits == 8
        noise[photons] = float((read_png(low).unit - read_png(truth).unit).std())
    assert noise["2000"] > 2 * noise["200000"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "tiff"), "--format is 'tiff': use png8, png16 or dicom"),
        (("--size", "-1"), "--size is -1: expected pixels along a side"),
        (("data.levels=3",), "virtual scan has no option 'levels': use one of "),
        (("data.photon=3",), "virtual scan has no option 'photon': did you mean photons? use one of "),
        (("data.source=phantom",), "simulate does not use the setting 'data.source': leave it out"),
        (("data.split=slice",), "simulate does not use the setting 'data.split': leave it out"),
        (("data.size=32",), "simulate does not use the setting 'data.size': give --size"),
        (("data.root=ct",), "simulate does not use the setting 'data.root': give the folder as CT"),
        (("data.options.root=ct",), "simulate does not use the setting 'data.options.root': leave it out"),
        (("run.work=w",), "simulate does not use the setting 'run.work': leave it out"),
        (("noise.photons=3.0",), "simulate does not use the setting 'noise.photons': leave it out"),
        (("data.min_lung=0.99",), "no slice shows lung over 99% of the body: lower data.min_lung"),
    ],
)
def test_refusals(ct_tree: Path, tmp_path: Path, capsys: Capture, words: tuple[str, ...], said: str) -> None:
    assert main(["simulate", str(ct_tree), str(tmp_path / "out"), "--quiet", *words]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_an_output_of_other_settings_is_kept(ct_tree: Path, ct_pairs: Path, capsys: Capture) -> None:
    assert main(["simulate", str(ct_tree), str(ct_pairs), "--quiet", "data.views=40", "data.photons=17000"]) == 2
    assert "holds the output of another command or other settings: name another folder" in capsys.readouterr().err
    assert main(["simulate", str(ct_tree), str(ct_tree / "out"), "--quiet"]) == 2
    assert "are inside each other: name an OUT outside of IN" in capsys.readouterr().err
