"""What the user's environment and files wish of Weights & Biases; a wish to stay offline or disabled is never overruled."""

from __future__ import annotations

import configparser
import netrc
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ipv2_bench.files import home

Mode = Literal["online", "offline", "disabled"]
Wish = tuple[Mode, str]
"""A mode, and who wishes it."""

WORDS: dict[str, Mode] = {
    "online": "online", "run": "online", "shared": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled",
}  # fmt: skip
"""Values of a mode, older ones included."""

NO = ("", "0", "false", "no", "off", "none")
SECONDS = 3.0
"""Time that the service has to answer before a run is kept offline."""

OPENNESS: dict[Mode, int] = {"disabled": 0, "offline": 1, "online": 2}


def resolve_mode(setting: Literal["auto", "online", "offline", "disabled"]) -> Mode:
    """What W&B does with runs.

    The least open of what is wished counts: by ``wandb.mode``, by variables in any case, and by W&B's settings files, which
    ``wandb offline`` and ``wandb disabled`` write. Without a wish it is ``online`` only where somebody is logged in; and where
    the service cannot be reached within :data:`SECONDS`, it is ``offline``, which a line on stderr says.
    """
    wishes = list(_wishes())
    if setting != "auto":
        wishes.append((setting, f"wandb.mode={setting}"))
    mode, who = min(wishes, key=lambda wish: OPENNESS[wish[0]], default=("online" if logged_in() else "offline", ""))
    if setting != "auto" and mode != setting:
        print(f"ipv2-bench: W&B is {mode}, since {who} says so, and not {setting}", file=sys.stderr)
    if mode == "online" and not _answers():
        print(f"ipv2-bench: W&B at {_host()} cannot be reached: its runs are kept offline", file=sys.stderr)
        return "offline"
    return mode


def variable(name: str) -> str:
    """The value of a variable of the environment, its name in any case; empty where it is not set."""
    return next((value.strip() for own, value in os.environ.items() if own.upper() == name), "")


def run_of_sweep() -> str:
    """Name of the run that an agent of a sweep (``wandb agent``) wants to see; empty without one."""
    return variable("WANDB_RUN_ID") if variable("WANDB_SWEEP_ID") else ""


def _wishes() -> Iterator[Wish]:
    mode = WORDS.get(variable("WANDB_MODE").casefold())
    if mode is not None:
        yield mode, f"WANDB_MODE={mode}"
    if variable("WANDB_DISABLED").casefold() not in NO:
        yield "disabled", "WANDB_DISABLED"
    if variable("WANDB_OFFLINE").casefold() not in NO:
        yield "offline", "WANDB_OFFLINE"
    for path in _settings_files():
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, configparser.Error):
            continue
        for section in parser.sections():
            words = parser[section]
            written = WORDS.get(words.get("mode", "").strip().casefold())
            if words.get("disabled", "").strip().casefold() not in NO:
                yield "disabled", f"the settings file {path.name} of W&B"
            elif written is not None:
                yield written, f"the settings file {path.name} of W&B"


def _settings_files() -> Iterator[Path]:
    """Where W&B keeps its settings: of the user, and of the working folder."""
    own = home()
    chosen = variable("WANDB_CONFIG_DIR")
    if chosen:
        yield Path(chosen) / "settings"
    if own is not None:
        yield own / ".config" / "wandb" / "settings"
    for folder in (variable("WANDB_DIR") or ".", "."):
        for name in ("wandb", ".wandb"):
            yield Path(folder) / name / "settings"


def _host() -> str:
    """Name of the service's host."""
    return urlsplit(variable("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or "api.wandb.ai"


def logged_in() -> bool:
    """Whether there is a key of W&B, in the environment or where ``wandb login`` puts it."""
    if variable("WANDB_API_KEY"):
        return True
    own = home()
    files = [Path(variable("NETRC"))] if variable("NETRC") else [own / n for n in (".netrc", "_netrc")] if own else []
    for path in files:
        try:
            if netrc.netrc(str(path)).authenticators(_host()):
                return True
        except (OSError, netrc.NetrcParseError, ValueError):
            continue
    return False


def _answers() -> bool:
    """Whether the service, or the proxy before it, takes a connection."""
    address = urlsplit(variable("WANDB_BASE_URL") or "https://api.wandb.ai")
    proxy = urlsplit(variable("HTTPS_PROXY") or variable("ALL_PROXY"))
    chosen = proxy if proxy.hostname else address
    port = chosen.port or (80 if chosen.scheme == "http" else 443)
    try:
        with socket.create_connection((chosen.hostname or "api.wandb.ai", port), timeout=SECONDS):
            return True
    except (OSError, ValueError):
        return False
