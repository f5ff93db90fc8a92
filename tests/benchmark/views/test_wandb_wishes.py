"""A wish to stay offline or disabled is never overruled, whatever key is there; no network is found out in seconds."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from ipv2_bench.benchmark.config import default_config
from ipv2_bench.benchmark.views.wandb import wishes
from ipv2_bench.benchmark.views.wandb.publish import destination_of
from ipv2_bench.benchmark.views.wandb.wishes import logged_in, resolve_mode

KEY = 40 * "a"
ANSWERS = wishes._answers


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable of W&B or of a proxy, a home and a working folder of one's own, and a service that answers."""
    for name in list(os.environ):
        if name.upper().startswith("WANDB") or name.upper() in ("HTTPS_PROXY", "ALL_PROXY", "NETRC"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wishes, "_answers", lambda: True)
    return tmp_path


VARIABLES = [
    ({"WANDB_MODE": "offline"}, "offline"),
    ({"WANDB_MODE": "Offline"}, "offline"),
    ({"WANDB_MODE": " OFFLINE "}, "offline"),
    ({"wandb_mode": "offline"}, "offline"),
    ({"WANDB_MODE": "dryrun"}, "offline"),
    ({"WANDB_MODE": "disabled"}, "disabled"),
    ({"WANDB_MODE": "DISABLED"}, "disabled"),
    ({"WANDB_MODE": "online", "WANDB_DISABLED": "true"}, "disabled"),
    ({"WANDB_DISABLED": "1"}, "disabled"),
    ({"Wandb_Disabled": "Yes"}, "disabled"),
    ({"WANDB_OFFLINE": "true"}, "offline"),
    ({"WANDB_MODE": "online"}, "online"),
    ({"WANDB_MODE": "run"}, "online"),
    ({"WANDB_DISABLED": "false"}, "online"),
    ({"WANDB_DISABLED": ""}, "online"),
    ({}, "online"),
]


@pytest.mark.parametrize(("variables", "expected"), VARIABLES)
@pytest.mark.parametrize("setting", ["auto", "online", "offline", "disabled"])
def test_variables_hold_whatever_key_is_there(
    variables: dict[str, str], expected: str, setting: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    order = ["disabled", "offline", "online"]
    least = min([expected, *([setting] if setting != "auto" else [])], key=order.index)
    assert resolve_mode(setting) == least
    said = capsys.readouterr().err
    assert (f"ipv2-bench: W&B is {least}, since " in said) == (setting not in ("auto", least))


@pytest.mark.parametrize("place", ["wandb/settings", ".wandb/settings", ".config/wandb/settings", "elsewhere/settings"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[default]\nmode = offline\n", "offline"),
        ("[default]\nmode = Disabled\n", "disabled"),
        ("[default]\ndisabled = true\n", "disabled"),
        ("[client]\nentity = team\n[default]\nmode = offline\nproject = 50%\n", "offline"),
        ("[default]\nmode = online\n", "online"),
        ("no settings at all", "online"),
        ("", "online"),
    ],
)
def test_settings_files_hold(place: str, text: str, expected: str, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    if place.startswith("elsewhere"):
        monkeypatch.setenv("WANDB_CONFIG_DIR", str(clean / "elsewhere"))
    path = clean / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert resolve_mode("auto") == expected


def test_without_a_wish_a_key_decides(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not logged_in() and resolve_mode("auto") == "offline"
    (clean / ".netrc").write_text("machine other.org login a password b\n")
    assert resolve_mode("auto") == "offline"
    (clean / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert logged_in() and resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.lab.org")
    assert resolve_mode("auto") == "offline"
    monkeypatch.setenv("NETRC", str(clean / "mine"))
    (clean / "mine").write_text(f"machine wandb.lab.org login user password {KEY}\n")
    assert resolve_mode("auto") == "online"
    (clean / "mine").write_text("machine\n")
    assert resolve_mode("auto") == "offline"


def test_no_network_is_found_out_in_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(wishes, "_answers", ANSWERS)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.socket() as closed:  # a port on which nobody listens
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        begin = time.monotonic()
        assert resolve_mode("online") == "offline"
        assert time.monotonic() - begin < 2 * wishes.SECONDS
    assert capsys.readouterr().err == "ipv2-bench: W&B at 127.0.0.1 cannot be reached: its runs are kept offline\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert resolve_mode("online") == "online"
        monkeypatch.setenv("WANDB_BASE_URL", "https://nowhere.invalid")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert resolve_mode("online") == "online"  # through a proxy, which answers for it


def test_project_group_and_folder_are_those_of_the_variables(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = default_config(["wandb.mode=offline"])
    plain = destination_of(config)
    assert (plain.project, plain.group, plain.root) == ("ipv2-bench", config.name, config.work / "wandb")
    for name, value in {"WANDB_PROJECT": "mine", "WANDB_RUN_GROUP": "night", "WANDB_DIR": str(clean / "there")}.items():
        monkeypatch.setenv(name, value)
    own = destination_of(config)
    assert (own.project, own.group, own.root) == ("mine", "night", clean / "there")
    assert destination_of(default_config(["wandb.mode=offline", "wandb.project=said"])).project == "said"
