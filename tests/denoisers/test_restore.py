"""Denoising slices of any size: padding, dropout, input that cannot be used, and files of weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ipv2_bench import registry
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.checkpoint import load_denoiser, save_denoiser
from ipv2_bench.denoisers.corediff import CoreDiff
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.test_contract import LEARNED, SMALL, a_pair, build, trained

FM = {"widths": [8, 16], "steps": 2}


class Mirror(Denoiser):
    """Returns what it is given, and keeps it."""

    divisor = 8

    def loss(self, pair: TrainingPair, generator: torch.Generator) -> Tensor:
        return pair.input.mean()

    def denoise(self, low: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.given = low
        return low


@pytest.mark.parametrize("size", [(33, 47), (40, 40), (9, 500), (3, 11), (1, 1)])
def test_padding_is_cut_off_exactly(size: tuple[int, int]) -> None:
    low, mirror = torch.rand(2, 1, *size, generator=torch_generator(0)), Mirror()
    assert torch.equal(mirror.restore(low), low)
    missing = [-n % 8 for n in size]
    how = "reflect" if all(m < n for m, n in zip(missing, size, strict=True)) else "edge"
    padded = np.pad(low.numpy(), [(0, 0), (0, 0), *((0, m) for m in missing)], mode=how)
    assert np.array_equal(mirror.given.numpy(), padded)


def test_dropout_is_off_and_comes_back() -> None:
    denoiser = FlowMatching(widths=(8, 16), steps=2, dropout=0.5).train()
    with torch.no_grad():
        for p in denoiser.parameters():
            p.normal_(0, 0.1)
    denoiser.network.time.eval()  # a part that somebody froze
    before = [m.training for m in denoiser.modules()]
    low = a_pair().input
    assert torch.equal(denoiser.restore(low), denoiser.restore(low))
    assert [m.training for m in denoiser.modules()] == before and any(before) and not all(before)
    with pytest.raises(ValueError, match="got values"):
        denoiser.restore(low - 1000.0)
    assert [m.training for m in denoiser.modules()] == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: x[:0], r"got shape \(0, 1, 32, 32\)"),
        (lambda x: x[..., :0], r"got shape \(2, 1, 32, 0\)"),
        (lambda x: x.double(), r"torch.float64: expected torch.float32"),
        (lambda x: (x * 255).byte(), r"torch.uint8: expected torch.float32"),
        (lambda x: x * float("nan"), r"values from nan to nan: expected \[0, 1\]"),
        (lambda x: x.index_fill(0, torch.tensor([1]), float("inf")), r"to inf: expected \[0, 1\]"),
        (lambda x: 1400 * x - 1000, r"expected \[0, 1\] of the HU window"),
    ],
)
def test_slices_that_cannot_be_denoised_are_refused(spoil, said: str) -> None:
    for denoiser in (trained("corediff")[0], trained("fm")[0]):
        with pytest.raises(ValueError, match=said):
            denoiser.restore(spoil(a_pair().input))


@pytest.mark.parametrize("name", LEARNED)
def test_every_denoiser_survives_its_file(name: str, tmp_path: Path) -> None:
    denoiser, path = trained(name)[0], tmp_path / "model.safetensors"
    known = registry.options(type(denoiser), Denoiser)
    save_denoiser(denoiser, path, name, {k: v for k, v in SMALL.items() if k in known}, window_hu="-1000 400")
    loaded, notes = load_denoiser(path)
    low = a_pair().input
    assert type(loaded) is type(denoiser) and notes["window_hu"] == "-1000 400" and not loaded.training
    assert torch.equal(loaded.restore(low, torch_generator(0)), denoiser.restore(low, torch_generator(0)))
    assert not torch.equal(loaded.restore(low, torch_generator(0)), build(name).restore(low, torch_generator(0)))


def saved(folder: Path, **notes: str) -> Path:
    path = folder / "model.safetensors"
    save_denoiser(FlowMatching(**FM), path, "fm", FM, window_hu="-1000 400")
    if notes:
        with safe_open(path, framework="pt") as file:
            told = file.metadata()
        save_file(load_file(path), path, metadata={**told, **notes})
    return path


def test_one_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model.safetensors is not as it was written"):
        load_denoiser(path)


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    weights = {k: v.to(torch.bfloat16) for k, v in load_file(saved(tmp_path)).items()}
    save_file(weights, tmp_path / "half.safetensors", metadata={"denoiser": "fm", "options": json.dumps(FM)})
    with pytest.raises(InputError, match=r"half.safetensors holds another size of fm .*bfloat16 and not torch.float32"):
        load_denoiser(tmp_path / "half.safetensors")


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ({"options": "5"}, "unreadable options"),
        ({"options": "null"}, "unreadable options"),
        ({"options": "{"}, "unreadable options"),
        ({"options": '{"widths": "wide"}'}, "widths is 'wide': expected a list"),
        ({"options": '{"widths": [8, 800000]}'}, "holds another size of fm"),
        ({"denoiser": "nothing"}, "'nothing' is unknown"),
        ({"denoiser": ":"}, "asks for code from outside"),
    ],
)
def test_what_a_file_says_of_itself_is_not_trusted(notes: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        load_denoiser(saved(tmp_path, **notes))


def test_a_file_imports_no_code_that_nobody_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strangers_own.py").write_text(
        "from ipv2_bench.denoisers.fm import FlowMatching\nclass Mine(FlowMatching):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name = "strangers_own:Mine"
    path = saved(tmp_path, denoiser=name)
    with pytest.raises(InputError, match=rf"model.safetensors asks for code from outside.* --outside {name}"):
        load_denoiser(path)
    assert "strangers_own" not in sys.modules
    assert type(load_denoiser(path, outside=[name])[0]).__name__ == "Mine"
    del sys.modules["strangers_own"]


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    denoiser = CoreDiff(width=8)
    with torch.no_grad():
        denoiser.network.leave.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"network.leave.bias of denoiser corediff holds NaN"):
        save_denoiser(denoiser, tmp_path / "model.safetensors", "corediff", {"width": 8})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("fm", "steps", 2.5, "steps is 2.5: expected a whole number, such as 10"),
        ("fm", "steps", "three", "steps is 'three': expected a whole number"),
        ("fm", "widths", 8, r"widths is 8: expected a list of such numbers, such as \(64, 128, 256, 512\)"),
        ("fm", "dropout", float("nan"), "dropout is nan: expected a finite number"),
        ("fm", "dropout", 1.0, "dropout is 1.0"),
        ("fm", "time_scale", "fast", "time_scale is 'fast': expected a finite number"),
        ("fm", "lr", float("inf"), "lr is inf"),
        ("corediff", "width", -8, "width is -8 and modulator 32: expected at least 1"),
        ("corediff", "modulator", 0, "width is 64 and modulator 0"),
        ("corediff", "ema_every", 2.5, "ema_every is 2.5: expected a whole number"),
        ("corediff", "modulate_stage_one", "false", "modulate_stage_one is 'false': expected true or false"),
        ("cold_diffusion", "residual", "no", "residual is 'no': expected true or false"),
        ("fm", "solver", 3, "solver is 3: expected a word"),
    ],
)
def test_options_of_the_wrong_type_are_refused_by_name(name: str, option: str, value: object, said: str) -> None:
    cls = registry.find("ipv2_bench.denoisers", name, Denoiser)
    with pytest.raises(InputError, match=f"denoiser {name}: {said}"):
        registry.build(cls, Denoiser, {option: value}, f"denoiser {name}")
