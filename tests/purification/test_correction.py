"""The strategy ``correction`` against its formula, written out, and with every denoiser."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ipv2_bench.benchmark.cells.plan import check_denoisers
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tasks.comparison import single_line
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.correction_network import CorrectionNetwork, bent, roughness
from tests.denoisers.small import LEARNED, a_pair, build


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
