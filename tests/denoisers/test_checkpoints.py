"""Files of weights and of interrupted trainings: what is in them, what is never in them, and which are refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ipv2_bench import registry
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.iterative.corediff import CoreDiff
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser, load_weights, save_denoiser
from ipv2_bench.errors import InputError
from ipv2_bench.physics.seeding import torch_generator
from tests.denoisers.small import LEARNED, a_pair, build
from tests.denoisers.small import SMALL as OPTIONS
from tests.denoisers.small import trained as trained_denoiser
from tests.denoisers.test_training import SMALL, spec_of

EVERY_STEP = ("train.steps=30", "run.checkpoint_seconds=0")
"""A training that leaves a checkpoint at every step."""

pytestmark = pytest.mark.usefixtures("one_thread")


def a_checkpoint(folder: Path) -> Path:
    torch.manual_seed(1)
    path = folder / "model.safetensors"
    save_denoiser(FlowMatching(**SMALL), path, "fm", SMALL, window_hu="-1000 400")
    return path


def test_a_checkpoint_builds_its_denoiser(tmp_path: Path) -> None:
    denoiser, notes = load_denoiser(a_checkpoint(tmp_path))
    assert type(denoiser) is FlowMatching and denoiser.steps == 2 and not denoiser.training
    assert notes["window_hu"] == "-1000 400"
    low = torch.rand(1, 1, 16, 16)
    torch.manual_seed(1)
    assert torch.equal(denoiser.restore(low), FlowMatching(**SMALL).eval().restore(low))
    other = FlowMatching(**SMALL).eval()
    load_weights(other, tmp_path / "model.safetensors", "fm")
    assert torch.equal(other.restore(low), denoiser.restore(low))


def test_unusable_checkpoints_are_refused_by_name(tmp_path: Path) -> None:
    path = a_checkpoint(tmp_path)
    with pytest.raises(InputError, match=r"model.safetensors holds denoiser fm, not corediff"):
        load_weights(CoreDiff(width=8), path, "corediff")
    with pytest.raises(InputError, match=r"model.safetensors holds another size of fm .*it was trained with .*\[8, 16\]"):
        load_weights(FlowMatching(widths=(8, 24)), path, "fm")
    with pytest.raises(InputError, match=r"nothing.safetensors is not there"):
        load_denoiser(tmp_path / "nothing.safetensors")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\x00" * 100, b"not a checkpoint at all"):
        (tmp_path / "broken.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"broken.safetensors is cut off or no safetensors file"):
            load_denoiser(tmp_path / "broken.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "strange.safetensors")
    with pytest.raises(InputError, match=r"strange.safetensors does not say which denoiser"):
        load_denoiser(tmp_path / "strange.safetensors")
    spoiled = {k: v * float("nan") for k, v in load_file(path).items()}
    save_file(spoiled, tmp_path / "nan.safetensors", metadata={"denoiser": "fm", "options": json.dumps(SMALL)})
    with pytest.raises(InputError, match=r"nan.safetensors holds NaN or infinity"):
        load_denoiser(tmp_path / "nan.safetensors")
    save_file({}, tmp_path / "new.safetensors", metadata={"denoiser": "newest", "options": "{}"})
    with pytest.raises(InputError, match=r"'newest' is unknown: .*use one of"):
        load_denoiser(tmp_path / "new.safetensors")


def test_a_loss_that_is_not_finite_names_step_slices_and_checkpoint(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(work, tmp_path, "fm", *EVERY_STEP, "data.fractions=[0.5,0.0,0.5]")
    original = FlowMatching.loss

    def loss(self: FlowMatching, pair: object, generator: torch.Generator) -> torch.Tensor:
        loss_value = original(self, pair, generator)  # type: ignore[arg-type]
        return loss_value * float("nan") if self.global_step == 7 else loss_value

    monkeypatch.setattr(FlowMatching, "loss", loss)
    with pytest.raises(InputError, match=r"is nan at step 8, on slices \[\d+.*\].*last.ckpt of step 7") as refused:
        train(spec, lambda *_: None)
    assert str(tmp_path) not in str(refused.value)
    assert_finite(spec.folder / "last.ckpt")


def assert_finite(checkpoint: Path) -> None:
    held = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert held and all(torch.isfinite(v).all() for v in held.values())


@pytest.mark.parametrize(("spoiled", "step"), [(7, 8), (29, 30)])
def test_a_gradient_that_is_not_finite_spoils_no_checkpoint(
    spoiled: int, step: int, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(work, tmp_path, "fm", *EVERY_STEP)

    def after(self: FlowMatching) -> None:
        if self.global_step == spoiled:
            next(p for p in self.parameters() if p.grad is not None).grad.fill_(float("nan"))  # type: ignore[union-attr]

    monkeypatch.setattr(FlowMatching, "on_after_backward", after)
    with pytest.raises(
        InputError, match=rf"of FlowMatching holds NaN or infinity at step {step}, on slices \[\d+ \(key "
    ):
        train(spec, lambda *_: None)
    assert_finite(spec.folder / "last.ckpt")
    assert not (spec.folder / "model.safetensors").exists()


def train_and_stop(spec: CellSpec, cls: type[Denoiser]) -> None:
    """A training that is cut off after five steps, with its last checkpoint."""

    def stopped(self: Denoiser, outputs: object, batch: object, batch_idx: int) -> None:
        if self.global_step == 5:
            raise KeyError("stopped")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(cls, "on_train_batch_end", stopped)
        train(spec, lambda *_: None)


@pytest.mark.parametrize("content", ["half", "nothing", "garbage", "another"])
def test_a_checkpoint_from_which_training_cannot_go_on_is_refused_by_name(
    content: str, work: Path, tmp_path: Path
) -> None:
    spec = spec_of(work, tmp_path, "fm", *EVERY_STEP)

    train_and_stop(spec, FlowMatching)
    last = spec.folder / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes({"half": whole[: len(whole) // 2], "nothing": b"", "garbage": b"garbage"}.get(content, whole))
    if content == "another":
        held = torch.load(last, weights_only=True)
        held["state_dict"].popitem()
        torch.save(held, last)
    said = "holds another network" if content == "another" else "is cut off or none"
    with pytest.raises(InputError, match=rf"checkpoint {re.escape(str(tmp_path))}/last\.ckpt {said}.*: remove it"):
        train(spec, lambda *_: None)


def test_nothing_is_unpickled_when_a_training_goes_on(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(work, tmp_path, "corediff", *EVERY_STEP, "denoisers.corediff.ema_start=2")
    asked: list[object] = []
    load = torch.load

    def watched(*given: object, **how: object) -> object:
        asked.append(how.get("weights_only"))
        return load(*given, **how)

    train_and_stop(spec, CoreDiff)
    monkeypatch.setattr(torch, "load", watched)
    train(spec, lambda *_: None)
    assert asked and set(asked) == {True}


@pytest.mark.parametrize("name", LEARNED)
def test_every_denoiser_survives_its_file(name: str, tmp_path: Path) -> None:
    denoiser, path = trained_denoiser(name)[0], tmp_path / "model.safetensors"
    known = registry.options(type(denoiser), Denoiser)
    save_denoiser(denoiser, path, name, {k: v for k, v in OPTIONS.items() if k in known}, window_hu="-1000 400")
    loaded, notes = load_denoiser(path)
    low = a_pair().input
    assert type(loaded) is type(denoiser) and notes["window_hu"] == "-1000 400" and not loaded.training
    assert torch.equal(loaded.restore(low, torch_generator(0)), denoiser.restore(low, torch_generator(0)))
    assert not torch.equal(loaded.restore(low, torch_generator(0)), build(name).restore(low, torch_generator(0)))


def saved(folder: Path, **notes: str) -> Path:
    path = folder / "model.safetensors"
    save_denoiser(FlowMatching(**SMALL), path, "fm", SMALL, window_hu="-1000 400")
    if notes:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        save_file(load_file(path), path, metadata={**metadata, **notes})
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
    save_file(weights, tmp_path / "half.safetensors", metadata={"denoiser": "fm", "options": json.dumps(SMALL)})
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
        "from ipv2_bench.denoisers.iterative.fm import FlowMatching\nclass Mine(FlowMatching):\n    pass\n"
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
