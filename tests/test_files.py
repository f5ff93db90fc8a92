"""Files appear whole or not at all, CSV has one format, and an output folder is taken once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import BinaryIO

import pytest

from ipv2_bench.errors import InputError, refuse
from ipv2_bench.files import (
    MARKER,
    csv_text,
    number_text,
    prepare_output,
    read_csv,
    read_json,
    sha256_of,
    write_json,
    write_text,
    write_whole,
)


def test_a_file_that_could_not_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def cut_off(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError

    path = tmp_path / "deep" / "a.bin"
    for before in (None, b"whole"):
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(RuntimeError):
            write_whole(path, cut_off)
        assert [p.read_bytes() for p in path.parent.iterdir()] == ([] if before is None else [before])
    write_whole(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o644


def test_what_a_file_holds_already_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": [1, "ä"]})
    stamp = path.stat().st_mtime_ns
    write_text(path, path.read_text(encoding="utf-8"))
    assert path.stat().st_mtime_ns == stamp and read_json(path) == {"b": [1, "ä"]}
    write_text(path, "other")
    with pytest.raises(InputError, match=r"a.json is no JSON .*: remove it or write it anew"):
        read_json(path)
    with pytest.raises(InputError, match=r"none.json cannot be read \(No such file or directory\): name a file"):
        read_json(tmp_path / "none.json")


def test_csv_has_one_format(tmp_path: Path) -> None:
    rows = [{"a": 1.23456789, "b": 'x, "y"', "c": True}, {"b": None, "d": math.inf, "e": 3}]
    text = csv_text(rows)
    assert text == 'a,b,c,d,e\n1.23457,"x, ""y""",1,,\n,,,inf,3\n'
    assert csv_text(rows, ["d", "a"], digits=3) == "d,a\n,1.23\ninf,\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read_csv(tmp_path / "a.csv")[0]["b"] == 'x, "y"' and read_csv(tmp_path / "none.csv") == []
    assert [number_text(x) for x in (None, math.nan, 0.1 + 0.2, 1e-9, 12345678.0)] == ["", "", "0.3", "1e-09", "1.23457e+07"]


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_an_output_folder_is_taken_once(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    prepare_output(out, [source], "denoise", {"checkpoint": "a"})
    prepare_output(out, [source], "denoise", {"checkpoint": "a"})  # the same goes on
    assert json.loads((out / MARKER).read_text())["command"] == "denoise"
    for command, what in (("denoise", {"checkpoint": "b"}), ("purify", {"checkpoint": "a"})):
        with pytest.raises(InputError, match="holds the output of another command or other settings"):
            prepare_output(out, [source], command, what)
    (out / MARKER).write_text("no JSON")
    with pytest.raises(InputError, match="holds the output of another command"):
        prepare_output(out, [source], "denoise", {"checkpoint": "a"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for taken in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        with pytest.raises(InputError, match="exists and is not empty: nothing is overwritten"):
            prepare_output(taken, [source], "denoise", {})
    for inside in (source, source / "sub", tmp_path):
        with pytest.raises(InputError, match="are inside each other: name an OUT outside of IN"):
            prepare_output(inside, [source], "denoise", {})


def test_problems_are_listed_in_one_error() -> None:
    refuse([], "settings")
    with pytest.raises(InputError, match=r"^one$"):
        refuse(["one"], "settings")
    with pytest.raises(InputError, match=r"^2 problems in the settings:\n  1. one\n  2. two$"):
        refuse(["one", "two"], "settings")
