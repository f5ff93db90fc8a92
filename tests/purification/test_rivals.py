"""The rivals of purification against their formulas, written out, and the known motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench.benchmark.cells.plan import check_denoisers
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tasks.comparison import single_line
from ipv2_bench.data.breathing import Breathing, deform
from ipv2_bench.data.datamodule import PairedCTDataModule
from ipv2_bench.data.pair import Crops, Pair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import FIELD_MM
from ipv2_bench.data.split import Split
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import numpy_generator, torch_generator
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.correction_network import CorrectionNetwork, bent, roughness
from ipv2_bench.purification.masks import dark_mask
from ipv2_bench.purification.strategies.patch_similarity import PatchSimilarity, agreeing
from ipv2_bench.purification.strategies.registered import Registered, at_full_size, folded_share, registration, warped
from ipv2_bench.purification.strategy import names
from tests.data.conftest import EVERYTHING, MODEL, trainer_at
from tests.denoisers.small import LEARNED, a_pair, build

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


# --- registered


def known_motion(i: int) -> np.ndarray:
    """The breathing of a slice of the fixture at its size, [2, 128, 128] in pixels."""
    p, j = divmod(i, 3)
    fine = Breathing().displacement(256, FIELD_MM / 256, numpy_generator(5, "phantom", p, j, "breathing"))
    return fine.reshape(2, 128, 2, 128, 2).mean(axis=(2, 4)) / 2


def test_registration_finds_the_known_motion(phantom: SliceSet) -> None:
    strategy = Registered()
    assert phantom.truth is not None
    errors = []
    for i, motion in enumerate(strategy.motion(phantom)):
        body = ndimage_body(phantom.truth[i])
        missed = at_full_size(motion, 128) - known_motion(i)
        errors.append([np.square(field[:, body]).sum(axis=0).mean() for field in (missed, known_motion(i))])
    # In mm: less than half of what there was.
    after, before = np.sqrt(np.mean(errors, axis=0)) * FIELD_MM / 128
    assert before > 3.0 and after < 0.5 * before, (after, before)
    of_ndct, of_registered = (
        np.square(x - np.asarray(phantom.truth)).mean() for x in (np.asarray(phantom.normal), strategy.targets(phantom))
    )
    assert of_registered < 0.25 * of_ndct


def ndimage_body(truth: np.ndarray) -> np.ndarray:
    from ipv2_bench.purification.masks import body_mask

    return body_mask(truth)


def test_aligned_slices_stay_and_a_shift_is_found(phantom: SliceSet) -> None:
    image = np.asarray(phantom.normal[1])
    body = ndimage_body(image)
    assert np.sqrt(np.square(registration(image, image, 128, 1.0, 10)[:, body]).sum(axis=0).mean()) < 0.1
    field = np.zeros((2, 128, 128))
    field[1] = 2.0
    moved = deform(image, field).astype(np.float32)  # moved(x) = image(x + 2 columns)
    found = at_full_size(registration(moved, image, 64, 1.0, 10), 128)
    assert abs(float(np.median(found[1][body])) - 2.0) < 0.3 and abs(float(np.median(found[0][body]))) < 0.3
    exact = warped(image, np.stack([np.zeros((64, 64)), np.ones((64, 64))]).astype(np.float32))
    np.testing.assert_allclose(exact[:, 4:-4], moved[:, 4:-4], atol=1e-5)


def test_folded_motions_are_told_and_left_out(phantom: SliceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(32.0)[:, None].repeat(32, axis=1)
    mirrored = np.stack([31 - 2 * rows, np.zeros((32, 32))])  # x → 31 − x
    assert folded_share(np.zeros((2, 32, 32))) == 0.0 and folded_share(mirrored) == 1.0
    both = np.where((rows < 8)[None], mirrored, 0.0)
    assert 0.15 < folded_share(both) < 0.35

    motions = np.zeros((6, 2, 32, 32))
    motions[2] = mirrored
    monkeypatch.setattr(Registered, "motion", lambda self, slices: motions)
    data = PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("registered", folded=0.03))
    assert data.split.train.tolist() == [0, 3, 4, 5] and data.used == pytest.approx(0.8)
    motions[:] = mirrored
    with pytest.raises(InputError, match="train on none of the training slices"):
        PairedCTDataModule(phantom, EVERYTHING, Strategy.from_name("registered", folded=0.04))


# --- patch_similarity


def test_patches_are_those_whose_masks_agree(phantom: SliceSet) -> None:
    low, normal = phantom.low[0], phantom.normal[0]
    same = dark_mask(low) == dark_mask(normal)
    kept = agreeing(low, normal, 32, 0.9)
    expected = [[same[i : i + 32, j : j + 32].mean() >= 0.9 for j in range(0, 97, 8)] for i in range(0, 97, 8)]
    assert kept.tolist() == np.array(expected).astype(int).tolist() and 0 < kept.mean() < 1


def test_crops_are_kept_patches_and_as_many_pixels(phantom: SliceSet) -> None:
    strategy = PatchSimilarity(patch=32, threshold=0.95)
    kept = strategy.patches(phantom)
    data = PairedCTDataModule(phantom, EVERYTHING, strategy, batch_size=1, seed=2)
    assert data.used == pytest.approx(kept.kept[EVERYTHING.train].mean()) and 0 < data.used < 1
    assert data.crops == Crops(32, per_slice=16)
    data.setup("fit")
    raw = next(iter(data.train_dataloader()))
    seen = set()
    for batches in range(6):
        data.trainer = trainer_at(batches)
        pair = data.on_after_batch_transfer(raw, 0)
        i, corners = data.latest[0], kept.corners(data.latest[0])
        own = {phantom.low[i][r : r + 32, c : c + 32].tobytes(): (r, c) for r, c in corners.tolist()}
        places = [own[x[0].numpy().tobytes()] for x in pair.input]
        for (r, c), target in zip(places, pair.target, strict=True):
            assert np.array_equal(target[0].numpy(), phantom.normal[i][r : r + 32, c : c + 32])
        seen |= set(places)
    assert len(seen) > 20
    with pytest.raises(InputError, match="train on none of the training slices"):
        PairedCTDataModule(phantom, Split(np.array([0]), np.array([1]), np.array([2])), Nothing())


class Nothing(PatchSimilarity):
    """No patch is kept."""

    def usable(self, slices: SliceSet) -> np.ndarray:
        return np.zeros(len(slices))


# --- neighbor2neighbor


def test_pairs_are_neighbours_in_cells_of_the_uldct_alone() -> None:
    places = torch.arange(64.0).reshape(1, 1, 8, 8) / 64  # every pixel tells its place
    pair = Pair(places, torch.full_like(places, torch.nan), torch.zeros_like(places), torch.ones(1), torch.arange(1))
    strategy, counts = Strategy.from_name("neighbor2neighbor"), torch.zeros(4, 4)
    for draw in range(400):
        first, second = strategy.training_pair(pair, None, [torch_generator("n2n", draw)])
        assert first.shape == second.shape == (1, 1, 4, 4)
        (r1, c1), (r2, c2) = ((x[0, 0] * 64 // 8, x[0, 0] * 64 % 8) for x in (first, second))
        for r, c in ((r1, c1), (r2, c2)):
            assert torch.equal(r // 2, torch.arange(4.0)[:, None].expand(4, 4))
            assert torch.equal(c // 2, torch.arange(4.0)[None].expand(4, 4))
        assert ((r1 - r2).abs() + (c1 - c2).abs() == 1).all()
        in_cell = ((r1 % 2 * 2 + c1 % 2).long().flatten(), (r2 % 2 * 2 + c2 % 2).long().flatten())
        counts.index_put_(in_cell, torch.ones(16), accumulate=True)
    # Eight ordered pairs, each an eighth of 6,400 draws: four standard deviations are 106.
    assert (counts[counts > 0] - 800).abs().max() < 106 and int((counts > 0).sum()) == 8
    with pytest.raises(ValueError, match="give a generator"):
        strategy.training_pair(pair)


# --- correction


def test_the_deformation_is_that_of_the_formula() -> None:
    generator = torch_generator("bent")
    image = torch.rand(2, 1, 9, 12, generator=generator)
    field = torch.zeros(2, 2, 9, 12)
    torch.testing.assert_close(bent(image, field), image)
    field[:, 0], field[:, 1] = 2.0, -1.0  # target(row + 2, column − 1)
    torch.testing.assert_close(bent(image, field)[..., :-2, 1:], image[..., 2:, :-1], rtol=0, atol=1e-5)
    field = torch.rand(2, 2, 9, 12, generator=generator)
    by_hand = [
        sum(float((field[b, k, r + dr, c + dc] - field[b, k, r, c]) ** 2) for r in range(9 - dr) for c in range(12 - dc))
        / ((9 - dr) * (12 - dc))
        for b in range(2) for k in range(2) for dr, dc in ((1, 0), (0, 1))
    ]
    assert float(roughness(field)) == pytest.approx(sum(by_hand) / 8, rel=1e-5)


def test_the_loss_is_that_of_the_formula() -> None:
    estimate, target = (torch.rand(2, 1, 24, 24, generator=torch_generator("correction", k)) for k in range(2))
    torch.manual_seed(0)
    network = CorrectionNetwork(4, smoothness=0.7)
    # At the beginning the deformation is the identity.
    assert float(network(estimate, target).detach()) == pytest.approx(2 * float((estimate - target).abs().mean()), rel=1e-5)
    torch.nn.init.normal_(network.last.weight, std=0.3)
    field = network.displacement(estimate, target).detach()
    assert float(field.std()) > 0.01
    by_row, by_column = field[:, :, 1:] - field[:, :, :-1], field[..., 1:] - field[..., :-1]
    expected = (2 * bent(estimate, field) - 2 * target).abs().mean() + 0.7 * ((by_row**2).mean() + (by_column**2).mean()) / 2
    assert float(network(estimate, target).detach()) == pytest.approx(float(expected), rel=1e-5)


def test_it_learns_a_motion_and_the_target_cannot_shrink() -> None:
    image = torch.nn.functional.interpolate(torch.rand(1, 1, 8, 8, generator=torch_generator("target")), 48, mode="bicubic")
    estimate, target = image[..., 2:-2, 2:-2], image[..., 4:, 2:-2]  # target(row) = estimate(row + 2)
    torch.manual_seed(0)
    network = CorrectionNetwork(8)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = network(estimate, target)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    rows = network.displacement(estimate, target)[0, 0, 8:-8, 8:-8].detach()
    assert abs(float(rows.median()) - 2.0) < 0.5


@pytest.mark.parametrize("name", LEARNED)
def test_every_denoiser_can_be_corrected_and_keeps_its_own_weights_alone(name: str) -> None:
    denoiser, pair = build(name), a_pair()
    before = set(denoiser.state_dict())
    estimate = denoiser.estimate(pair, torch_generator("estimate"))
    assert estimate.shape == pair.target.shape and estimate.requires_grad
    denoiser.correction = Strategy.from_name("correction").correction()
    assert denoiser.correction is not None
    denoiser.correction(estimate, pair.target).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in denoiser.correction.parameters())
    trained = [p for n, p in denoiser.named_parameters() if not n.startswith("correction") and p.grad is not None]
    assert trained and any(p.grad.abs().max() > 0 for p in trained if p.grad is not None)
    assert any(n.startswith("correction.") for n in denoiser.state_dict())
    denoiser.correction = None
    assert set(denoiser.state_dict()) == before


def test_one_without_an_estimate_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_plain.py").write_text(PLAIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load_config("smoke", [f"run.work={tmp_path}"])
    refused = r"denoiser my_plain:Mine cannot be trained under a strategy that corrects its output: let it write estimate"
    with pytest.raises(InputError, match=refused):
        check_denoisers(config, [single_line("my_plain:Mine", "correction", None)])
    check_denoisers(config, [single_line("my_plain:Mine", "raw", None)])
    check_denoisers(config, [single_line("identity", "correction", None)])


PLAIN = '''
import torch

from ipv2_bench.denoisers.base import Denoiser


class Mine(Denoiser):
    def __init__(self, **options):
        super().__init__(**options)
        self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)

    def loss(self, pair, generator):
        return (self.layer(pair.input) - pair.target).abs().mean()

    def denoise(self, low, generator=None):
        return self.layer(low)
'''


# --- from outside


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
