"""What W&B gets of tables, and the environment that it leaves as it was."""

from __future__ import annotations

import csv
import io
import os
import re
from typing import Any

import pytest
import wandb

from ipv2_bench.benchmark.views.table_csv import table_csv
from ipv2_bench.benchmark.views.wandb.runs import SERVICE, Destination, write_run
from ipv2_bench.benchmark.views.wandb.tables_run import _html
from tests.benchmark.examples import a_line, a_view, sure


def test_the_page_of_a_table_shows_what_its_csv_file_holds() -> None:
    odd = a_line("IPv1", {"fd_randconv": [4.0], "psnr_db": [float("nan")]}, {"fid": 39.33}, denoiser='A, "B"\nC')
    view = a_view([odd, sure("IPv2", [1.23456789, 1.3])])
    header, *rows = csv.reader(io.StringIO(table_csv(view)))
    text = _html(view)
    assert re.findall(r"<th>(.*?)</th>", text) == header
    cells = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr><td>.*?</tr>", text, re.DOTALL)]
    assert [[cell.replace("&#34;", '"') for cell in row] for row in cells] == rows


@pytest.mark.parametrize("other", [None, "3-unix-/another"])
def test_the_address_of_another_service_is_put_back(other: str | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVICE, raising=False)
    if other is not None:
        monkeypatch.setenv(SERVICE, other)
    seen = []

    def refuse(**_: object) -> None:
        seen.append(os.environ.get(SERVICE))
        raise OSError("no space")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(OSError, match="no space"):
        write_run(lambda _: None, "id", Destination("p", "g", "offline", tmp_path))
    assert seen == [None] and os.environ.get(SERVICE) == other
