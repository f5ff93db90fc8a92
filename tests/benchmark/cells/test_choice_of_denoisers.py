"""Denoisers by their names in tables: registered ones, variants, options from the configuration and the budget."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ipv2_bench import registry
from ipv2_bench.benchmark.cells.denoisers import check_names, choose
from ipv2_bench.benchmark.config import Config, default_config
from ipv2_bench.errors import InputError
from tests.program import ROOT


def test_a_variant_has_the_options_of_what_it_varies_and_its_own() -> None:
    config = Config(denoisers={"fm_EMA": {"variant_of": "fm", "ema_decay": 0.9}, "fm": {"widths": [8]}})
    varied, plain = choose(config, "fm_EMA"), choose(config, "fm")
    assert (varied.title, varied.variant_of, varied.registered) == ("FM, EMA", "fm", "fm")
    assert (plain.title, plain.variant_of) == ("FM", None)
    assert varied.class_.__name__ == "FlowMatching"
    assert varied.options == {"widths": [8], "ema_decay": 0.9, "schedule": "constant"}


@pytest.mark.parametrize(
    ("denoisers", "key", "named"),
    [
        ({"ffm": {"variant_of": "fm"}}, "ffm", "denoisers.ffm.variant_of is 'fm': ffm is a denoiser itself"),
        ({"gm_x": {"variant_of": "gm"}}, "gm_x", r"denoiser 'gm' is unknown: .*use one of alden, cold_diffusion"),
        ({"fm_x": {"variant_of": "fm"}}, "fm_y", r"denoiser 'fm_y' is unknown: did you mean fm_x\?"),
        ({"fm": {"depth": 3}}, "fm", r"denoiser fm has no option 'depth': use one of .*widths"),
        ({"fm": {"stepz": 3}}, "fm", r"denoiser fm has no option 'stepz': did you mean steps\?"),
        ({"fm": {"seed": 3}}, "fm", r"denoiser fm has no option 'seed'"),
        ({"fm": {"steps": "many"}}, "fm", "denoiser fm: steps is 'many': expected a whole number, such as "),
        ({}, "nowhere.at:All", "module 'nowhere.at' of 'nowhere.at:All' is not on the Python path"),
    ],
)
def test_what_does_not_exist_is_refused(denoisers: dict, key: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        choose(Config(denoisers=denoisers), key)


def test_the_budgets_learning_rate_is_that_of_denoisers_without_their_own() -> None:
    config = default_config(["train.lr=0.5", "train.schedule=cosine", "denoisers.ffm.lr=0.25"])
    assert choose(config, "fm").options == {"lr": 0.5, "schedule": "cosine"}
    assert choose(config, "ffm").options == {"lr": 0.25, "schedule": "cosine"}


def test_options_at_their_defaults_name_nothing() -> None:
    default = registry.options_in_text("ipv2_bench.denoisers", "fm")
    spelled = Config(denoisers={"fm": {"steps": default["steps"], "widths": list(default["widths"])}})
    assert choose(spelled, "fm").changed_options == choose(Config(), "fm").changed_options == {}
    assert choose(Config(denoisers={"fm": {"widths": [8]}}), "fm").changed_options == {"widths": [8]}


def test_every_denoiser_that_a_configuration_names_is_checked() -> None:
    with pytest.raises(InputError, match="denoiser corediff has no option 'widths'"):
        check_names(Config(denoisers={"corediff": {"widths": [8]}}), [])
    with pytest.raises(InputError, match="denoiser 'weak' is unknown"):
        check_names(Config(weak_denoiser="weak"), [])


def test_names_are_checked_without_torch() -> None:
    code = (
        "import sys; from ipv2_bench.benchmark.config import load_config; "
        "from ipv2_bench.benchmark.tables import load_tables; from ipv2_bench.benchmark.cells.denoisers import check_names; "
        "c = load_config('quick'); check_names(c, load_tables(c)); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
