"""The learning curve: every length of training, beside what is not trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipv2_bench.cli import main
from tests.program import SMALL, table


def test_a_curve_has_every_length_beside_the_floor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [f"run.work={tmp_path / 'runs'}", f"run.out={tmp_path / 'out'}", "run.processes=1", "wandb.mode=disabled", *SMALL]
    assert main(["curve", "--config", "smoke", "--quiet", "--steps", "4,2", *settings]) == 0
    lines = table(tmp_path / "out" / "smoke" / "curve.csv")
    trained = ["FM + IPv1", "FM + IPv2", "FM + IPv2 [both_outside]", "FM + oracle"]
    assert {(x["images"], x["steps"]) for x in lines if x["steps"]} == {(name, n) for name in trained for n in ("2", "4")}
    by_name = {x["images"]: x for x in lines if not x["steps"]}
    assert set(by_name) == {"identity + raw", "Gaussian + oracle", "TV + oracle"}
    for x in lines:
        assert float(x["rmse_hu_low"]) < float(x["rmse_hu"]) < float(x["rmse_hu_high"]) and float(x["fd_randconv"]) > 0
    # Another length is another training.
    assert len({x["fd_randconv"] for x in lines if x["images"] == "FM + oracle"}) == 2
    said = capsys.readouterr().out
    assert said.strip() == (tmp_path / "out" / "smoke" / "curve.md").read_text().strip() and "| FM + IPv1 | 2 |" in said
    with Image.open(tmp_path / "out" / "smoke" / "curve.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.parametrize(("steps", "message"), [("0", "--steps is 0"), ("many", "--steps is 'many': expected whole numbers")])
def test_lengths_that_are_none_are_refused(steps: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curve", "--config", "smoke", "--steps", steps]) == 2
    assert message in capsys.readouterr().err
