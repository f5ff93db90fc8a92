"""Folders of any name: spaces, signs of shells, YAML and settings, any letters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ipv2_bench.cli import main

NAMES = ["Patient #12", "data.size=3", "a: b, {c} [d]", "$x ${y} `z`", "ä 患者 'q' \"r\"", "--quiet me", "%s %d"]


@pytest.mark.parametrize("name", NAMES)
def test_commands_read_and_write_folders_of_any_name(
    ct_tree: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / name
    shutil.copytree(ct_tree, source)
    decoy = tmp_path / "Patient"  # what is left of the first name where a comment begins
    decoy.mkdir()
    assert main(["check", "--quiet", str(source)]) == 0
    assert main(["denoise", str(source), str(tmp_path / f"den {name}"), "--checkpoint", "identity", "--quiet"]) == 0
    assert len(list((tmp_path / f"den {name}").rglob("*.dcm"))) == 6
    out = tmp_path / f"sim {name}"
    assert main(["simulate", str(source), str(out), "--format", "dicom", "--quiet", "data.views=20", "data.photons=9000"]) == 0
    assert len(list((out / "lq").rglob("*.dcm"))) == 6
    settings = [f"data.root={source}", "data.source=virtual_scan", "data.views=20", "data.split=slice", "data.size=32"]
    settings.append(f"run.work={tmp_path / 'runs'}")
    split = tmp_path / f"split {name}.json"
    assert main(["split", "--write", str(split), "--config", "smoke", "--quiet", *settings, "data.fractions=[0.33,0,0.67]"]) == 0
    assert split.is_file()
    monkeypatch.chdir(tmp_path)  # and by a relative path, which may look like a setting
    assert main(["check", "--quiet", "--", name]) == 0
