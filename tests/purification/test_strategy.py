"""What all strategies have in common: names, identities, pairs, refusals; and those from outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ipv2_bench.benchmark.cells.plan import check_denoisers
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tables import NDCT, Table, TableLine
from ipv2_bench.benchmark.tasks.comparison import single_line
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Crops
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.errors import InputError
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.strategy import names
from tests.data.conftest import EVERYTHING, MODEL, trainer_at

RIVALS = ("correction", "neighbor2neighbor", "patch_similarity", "registered", "simulated", "raw")


def test_lattice_and_rivals_are_in_one_list() -> None:
    assert names()[:8] == ["IPv1", "IPv1+1", "IPv1+2", "IPv1+3", "IPv1+1+2", "IPv1+1+3", "IPv1+2+3", "IPv2"]
    assert names()[8:] == sorted([*RIVALS, "oracle"])
    assert all(Strategy.from_name(name).summary for name in names())


@pytest.mark.parametrize("name", names())
def test_every_strategy_gives_pairs_that_every_denoiser_can_train_on(name: str, phantom: SliceSet) -> None:
    data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name(name), MODEL, batch_size=2, seed=4)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))
    data.trainer = trainer_at(0)
    first, again = (data.on_after_batch_transfer(raw, 0) for _ in range(2))
    assert torch.equal(first.input, again.input) and torch.equal(first.target, again.target)
    assert first.input.shape == first.target.shape and first.input.shape[-1] in (64, 128)
    assert all(x.dtype == torch.float32 and x.min() >= 0 and x.max() <= 1 for x in first)
    assert not torch.equal(first.input, first.target)


def test_names_and_identities_tell_rivals_and_options_apart() -> None:
    strategies = [Strategy.from_name(name) for name in names()[8:]]
    strategies += [Strategy.from_name("patch_similarity", threshold=0.9), Strategy.from_name("registered", grid_mm=2.0)]
    assert len({str(s.training_identity()) for s in strategies}) == len({s.name for s in strategies}) == len(strategies)
    assert strategies[-1].name == "registered [grid_mm=2.0]" and strategies[-1].has_options
    assert Strategy.from_name("raw").training_identity() == {"kind": "raw"}


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("patch_similarity", {"patch": 30}, "patch is 30: expected a multiple of 8"),
        ("patch_similarity", {"threshold": 0.0}, "threshold is 0.0: expected a share"),
        ("patch_similarity", {"thershold": 0.9}, "did you mean threshold"),
        ("registered", {"grid_mm": 0.0}, "grid_mm is 0.0"),
        ("registered", {"folded": 2.0}, "folded 2.0"),
        ("correction", {"smoothness": -1.0}, "smoothness is -1.0"),
        ("neighbor2neighbor", {"patch": 64}, "has no options"),
        ("registerd", {}, "did you mean registered"),
    ],
)
def test_bad_options_are_named(name: str, options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Strategy.from_name(name, **options)

OUTSIDE = '''
from dataclasses import dataclass

from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.purification.strategy import Strategy


@dataclass(frozen=True)
class Half(Strategy):
    """The uLDCT mixed with the NDCT."""

    share: float = 0.5

    def training_pair(self, pair, add_noise=None, generators=None):
        return TrainingPair((1 - self.share) * pair.low + self.share * pair.normal, pair.normal)


class Plain(Strategy):
    pass
'''


def test_a_strategy_from_outside_is_one_file(
    phantom: SliceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_strategies.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    strategy = Strategy.from_name("my_strategies:Half", share=0.25)
    assert strategy.name == "my_strategies:Half [share=0.25]"
    identity = strategy.training_identity()
    assert identity["share"] == 0.25 and len(identity["version"]) == 16
    data = PairedCTDataModule(phantom, EVERYTHING, strategy)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))
    torch.testing.assert_close(data.purify(raw, 0).input, 0.75 * raw.low + 0.25 * raw.normal)
    with pytest.raises(InputError, match=r"'my_strategies:Whole' is no Strategy"):
        Strategy.from_name("my_strategies:Whole")
    with pytest.raises(InputError, match=r"my_strategies:Plain is no frozen dataclass: write @dataclass"):
        Strategy.from_name("my_strategies:Plain")
    with pytest.raises(InputError, match=r"has no option 'shares': did you mean share"):
        Strategy.from_name("my_strategies:Half", shares=0.1)


def test_oracle_needs_the_truth(phantom: SliceSet) -> None:
    with pytest.raises(InputError, match="aligned truth, which is not known"):
        PairedCTDataModule(replace(phantom, truth=None), EVERYTHING, Strategy.from_name("oracle"))


@pytest.mark.parametrize(
    ("strategy", "settings", "named"),
    [
        ("neighbor2neighbor", ["data.size=72"], "neighbor2neighbor trains on 36×36 pixels, and denoiser fm takes multiples of 8"),
        ("neighbor2neighbor", ["data.size=64", "train.crop=64"], "crops of 64 pixels are larger than the slices of 32 that are"),
        ("neighbor2neighbor", ["data.size=64", "train.crop=32"], ""),
        ("patch_similarity", ["data.size=64", "train.crop=32"], ""),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_training(
    strategy: str, settings: list[str], named: str, tmp_path: Path
) -> None:
    config = load_config("smoke", [f"run.work={tmp_path}", "denoisers.fm.widths=[8,16]", "denoisers.fm.unshuffle=4", *settings])
    lines = [single_line("fm", strategy, None)]
    if not named:
        check_denoisers(config, lines)
        return
    with pytest.raises(InputError, match=named):
        check_denoisers(config, lines)


def test_a_patch_that_does_not_fit_the_denoiser_is_refused(tmp_path: Path) -> None:
    config = load_config("smoke", [f"run.work={tmp_path}", "denoisers.fm.widths=[8,16]", "denoisers.fm.unshuffle=8"])
    line = TableLine(NDCT, "fm", Strategy.from_name("patch_similarity", patch=24))
    with pytest.raises(InputError, match=r"\[patch=24\] trains on 24×24 pixels, and denoiser fm takes multiples of 16"):
        check_denoisers(config, [Table("one", "one", False, (line,), {})])


def test_crops_larger_than_half_slices_are_refused_by_the_data_module(phantom: SliceSet) -> None:
    with pytest.raises(InputError, match="crops of 96 pixels are larger than the slices of 64"):
        PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("neighbor2neighbor"), crops=Crops(96))
