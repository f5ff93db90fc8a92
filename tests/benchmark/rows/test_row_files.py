"""Rows as files: their schema, and their text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError

from ipv2_bench.benchmark.rows.files import read_row, row_text, write_row
from ipv2_bench.benchmark.rows.row import SCHEMA, Row, RowDenoiser, schema, storable
from ipv2_bench.errors import InputError
from tests.benchmark.examples import a_row
from tests.conftest import Smoke


def test_a_row_survives_its_file(tmp_path: Path) -> None:
    drawn = {"z": np.array([1 / 3, np.nan, np.inf, -1e9])}
    row = a_row(3, title="a [1,2] b", replicates=drawn, fd_randconv=1.5, psnr_db=-2e-7)
    path = write_row(tmp_path, row)
    assert path.parent == tmp_path / "rows" and re.fullmatch(r"fm-IPv2-NDCT-seed3-[0-9a-f]{16}\.json", path.name)
    again = read_row(path)
    assert again.model_dump() == row.model_dump()
    text = path.read_text(encoding="utf-8")
    assert '"window_hu": [-1000.0, 400.0],' in text and '"z": [0.333333, null, null, -1000000000.0]' in text
    assert '"title": "a [1,2] b"' in text and text.startswith(f'{{\n "schema": {SCHEMA},\n "images"')
    z = again.drawn["z"]
    assert z[0] == 0.333333 and np.isnan(z[1:3]).all() and z[3] == -1e9
    assert storable(drawn)["z"] == [0.333333, None, None, -1e9]


def test_a_row_that_is_written_again_is_not_touched(tmp_path: Path) -> None:
    stamp = write_row(tmp_path, a_row(fd_randconv=1.0)).stat().st_mtime_ns
    assert write_row(tmp_path, a_row(fd_randconv=1.0)).stat().st_mtime_ns == stamp


def test_rows_of_two_names_of_the_lattice_have_files_of_their_own(tmp_path: Path) -> None:
    names = {write_row(tmp_path, a_row(strategy=s)).name for s in ("IPv2", "IPv1+1+2", "IPv2 [both_outside]")}
    assert {name.rpartition("-NDCT-seed0-")[0] for name in names} == {"fm-IPv2", "fm-IPv1+1+2", "fm-IPv2-both_outside"}


def test_a_row_is_immutable_and_holds_no_nan() -> None:
    row = a_row(fd_randconv=1.0)
    with pytest.raises(ValidationError, match="frozen"):
        row.seed = 3
    with pytest.raises(ValidationError, match="finite"):
        a_row(fd_randconv=float("nan"))


def test_the_schema_is_one_and_every_written_row_keeps_it(smoke: Smoke) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["properties"]["schema"]["const"] == SCHEMA
    validator = jsonschema.Draft202012Validator(schema())
    paths = sorted((smoke.out / "rows").glob("*.json"))
    assert len(paths) > 20
    for path in paths:
        validator.validate(json.loads(path.read_text(encoding="utf-8")))
        assert row_text(read_row(path)) == path.read_text(encoding="utf-8"), path.name


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Callable[[dict], Any]], Path]:
    """The file of a row with a change."""

    def make(change: Callable[[dict], Any]) -> Path:
        data = json.loads(row_text(a_row(fd_randconv=1.0, rmse_hu=70.0)))
        change(data)
        path = tmp_path / "row.json"
        path.write_text(json.dumps(data))
        return path

    return make


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r["measures"].update(rmse_hu="low"), r"row.json breaks the schema at measures.rmse_hu: .*valid number"),
        (lambda r: r.pop("seed"), r"at seed: Field required"),
        (lambda r: r.update(note="mine"), r"at note: Extra inputs are not permitted"),
        (lambda r: r["provenance"]["extractors"]["randconv"].update(sha256="x"), r"provenance.extractors.randconv.sha256"),
        (lambda r: r["provenance"]["budget"].update(steps=-1), r"at provenance.budget.steps"),
        (lambda r: r["cost"].update(note=1), r"at cost.note"),
        (lambda r: r.update(replicates={"rmse_hu": [1.0, "x"]}), r"at replicates.rmse_hu: .*a list of numbers and null"),
        (lambda r: r.update(replicates={"rmse_hu": 1.0}), r"at replicates.rmse_hu: .*a list of numbers and null"),
        (lambda r: r.update(replicates={"rmse_hu": [1.0, math.inf]}), r"at replicates.rmse_hu: .*finite"),
        (lambda r: r.update(replicates={"rmse_hu": [1.0], "psnr_db": [1.0, None]}), r"lists of \[1, 2\] numbers"),
        (lambda r: r.update(images="../../secret"), r"at images: "),
        (lambda r: r.update(label="truth"), r"at label: "),
        (lambda r: r.update(denoiser="fm"), r"at denoiser: "),
        (lambda r: r.update(schema=1), rf"is of schema 1, not {SCHEMA}: compute it anew"),
    ],
)
def test_a_row_that_breaks_the_schema_is_refused_with_the_field_named(
    changed: Callable, change: Callable, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        read_row(changed(change))


def test_what_is_no_file_of_a_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"the row bad.json is no JSON"):
        read_row(tmp_path / "bad.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match=r"the row list.json breaks the schema at the row"):
        read_row(tmp_path / "list.json")
    with pytest.raises(InputError, match=r"the row none.json does not exist: name files under leaderboards"):
        read_row(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"the row .* is no JSON"):
        read_row(tmp_path)


def write(path: Path, row: Row, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(row_text(row)) | changes))


def test_rows_with_the_same_images_have_files_of_their_own(tmp_path: Path) -> None:
    """Labels may be the same for all seeds and budgets, and the images of a variant the same as of what it varies."""
    one = a_row()
    longer = one.provenance.model_copy(update={"budget": one.provenance.budget.model_copy(update={"steps": 99})})
    variant = one.model_copy(update={"denoiser": RowDenoiser(key="fm_same", title="FM, same", variant_of="fm")})
    others = [one.model_copy(update={"seed": 1}), one.model_copy(update={"provenance": longer}), variant]
    elsewhere = one.provenance.model_copy(update={"commit": "f" * 40, "packages": {"torch": "1"}, "processor": "another"})
    assert len({write_row(tmp_path, row) for row in (one, *others)}) == 4
    assert write_row(tmp_path, one.model_copy(update={"provenance": elsewhere})) == write_row(tmp_path, one)
    assert write_row(tmp_path, one).name.startswith("fm-IPv2-NDCT-seed0-")
