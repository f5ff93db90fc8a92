"""A row says what was trained: the budget, whatever the environment or the denoiser itself would rather do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, Timer
from safetensors.torch import load_file

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.spec import CellSpec
from ipv2_bench.benchmark.cells.training.train import train
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.denoisers.iterative.fm import FlowMatching
from ipv2_bench.errors import InputError
from tests.benchmark.examples import a_table, table_line
from tests.program import EXPERIMENTS, run

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 12


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def spec_in(folder: Path, work: Path) -> CellSpec:
    options = [f"run.work={work}", f"train.steps={STEPS}", "noise.calibrate=false"]
    benchmark = Benchmark.open(load_config("smoke", options), [a_table(lines=[table_line("IPv2", "fm")])], progress=False)
    (one,) = benchmark.cells.values()
    return one.model_copy(update={"folder": folder})


@pytest.fixture(scope="module")
def undisturbed(work: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("whole")
    train(spec_in(folder, work), lambda *_: None)
    return load_file(folder / "model.safetensors")


FOREIGN = {
    "PL_TRAINER_FAST_DEV_RUN": "1",
    "PL_TRAINER_MAX_TIME": "00:00:00:00",
    "PL_TRAINER_MIN_STEPS": "50",
    "PL_TRAINER_LIMIT_TRAIN_BATCHES": "3",
    "PL_TRAINER_OVERFIT_BATCHES": "1",
    "PL_TRAINER_DEFAULT_ROOT_DIR": "/nowhere/at/all",
    "PL_TRAINER_NUM_NODES": "2",
    "PL_TRAINER_STRATEGY": "ddp",
}
"""What Lightning would take for arguments of its Trainer."""


@pytest.mark.parametrize("name", FOREIGN)
def test_variables_of_lightning_do_not_reach_the_training(
    name: str, work: Path, tmp_path: Path, undisturbed: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, FOREIGN[name])
    train(spec_in(tmp_path, work), lambda *_: None)
    got = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(got[k], undisturbed[k]) for k in undisturbed)


SCHEDULERS = {
    "slurm": {
        "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2",
        "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NODEID": "1", "SLURM_NODELIST": "n[1-2]", "SLURM_STEP_NODELIST": "n1",
    },
    "torchrun": {
        "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "0", "NODE_RANK": "1",
        "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "x",
    },
    "mpi": {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "2", "PMI_RANK": "2"},
    "lsf": {
        "LSB_JOBID": "3", "LSB_HOSTS": "a b", "JSM_NAMESPACE_RANK": "1", "JSM_NAMESPACE_LOCAL_RANK": "1",
        "JSM_NAMESPACE_SIZE": "2",
    },
    "kubeflow": {"KUBERNETES_PORT": "tcp://10.0.0.1", "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
}  # fmt: skip
"""What schedulers set for each process of a job."""


@pytest.mark.parametrize("name", SCHEDULERS)
def test_variables_of_a_scheduler_do_not_reach_a_single_process(
    name: str, work: Path, tmp_path: Path, undisturbed: dict[str, torch.Tensor]
) -> None:
    words = ["train", "--config", str(EXPERIMENTS / "smoke.yaml"), "--denoiser", "fm", "--strategy", "IPv2", "--quiet"]
    words += [f"run.work={work}", f"train.steps={STEPS}", "noise.calibrate=false", "wandb.mode=disabled"]
    run(tmp_path, *words, **SCHEDULERS[name])
    (file,) = work.rglob("smoke/cells/*/model.safetensors")
    got = load_file(file)
    file.parent.rename(tmp_path / "cell")  # the next one trains, too
    assert all(torch.equal(got[k], undisturbed[k]) for k in undisturbed)


def stop(self: FlowMatching, *_: object) -> None:
    self.trainer.should_stop = self.trainer.global_step >= 5


WAYS = {
    "should_stop": ("on_train_batch_end", stop),
    "EarlyStopping": (
        "configure_callbacks",
        lambda self: [EarlyStopping("val/loss", patience=0, stopping_threshold=1e9, check_on_train_epoch_end=False)],
    ),
    "Timer": ("configure_callbacks", lambda self: [Timer(duration={"milliseconds": 1}, interval="step")]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_denoiser_that_stops_itself_is_refused(
    way: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, does = WAYS[way]
    monkeypatch.setattr(FlowMatching, name, does, raising=False)
    with pytest.raises(InputError, match=rf"^FM ended its own training after \d of {STEPS} steps, and a row would not say so"):
        train(spec_in(tmp_path, work), lambda *_: None)
    assert not (tmp_path / "model.safetensors").exists()
