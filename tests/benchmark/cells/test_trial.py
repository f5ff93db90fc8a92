"""Anyone's denoiser either runs or is refused in one line before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ipv2_bench.benchmark.cells.benchmark import Benchmark
from ipv2_bench.benchmark.cells.denoisers import choose
from ipv2_bench.benchmark.cells.trial import try_denoiser
from ipv2_bench.benchmark.config import load_config
from ipv2_bench.benchmark.tables import load_tables
from ipv2_bench.benchmark.tasks.comparison import comparison
from ipv2_bench.cli import main
from ipv2_bench.denoisers.shared.checkpoint import load_denoiser, save_denoiser
from ipv2_bench.errors import InputError
from tests.program import SMALL

HEAD = """
import torch
from torch import nn
from ipv2_bench.denoisers.base import Denoiser

class Plain(Denoiser):
    def __init__(self, width: int = 4, **options):
        super().__init__(**options)
        self.first, self.last = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)
    def loss(self, pair, generator):
        return (self.denoise(pair.input) - pair.target).abs().mean()
    def denoise(self, low, generator=None):
        return low - self.last(torch.relu(self.first(low)))
"""

RUN = {
    "Plain": "",
    "Tied": """
class Tied(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        self.again = nn.Conv2d(1, 4, 3, padding=1)
        self.again.weight = self.first.weight
    def denoise(self, low, generator=None):
        return low - self.last(torch.relu(self.first(low) + self.again(low)))
""",
    "Buffered": """
class Buffered(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.norm = nn.BatchNorm2d(1)
    def denoise(self, low, generator=None):
        return super().denoise(self.norm(low))
""",
    "Double": """
class Double(Plain):
    def denoise(self, low, generator=None):
        return super().denoise(low).double()
""",
    "NoWeights": """
class NoWeights(Denoiser):
    def loss(self, pair, generator):
        raise NotImplementedError
    def denoise(self, low, generator=None):
        return nn.functional.avg_pool2d(low, 3, 1, 1)
""",
    "Unused": """
class Unused(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        self.never = nn.Linear(3, 3)
""",
}
"""Denoisers that are unusual and right."""

REFUSED = {
    "NoOptions": (
        "class NoOptions(Plain):\n    def __init__(self, width=4):\n        super().__init__(width)\n",
        "denoiser mine:NoOptions does not take lr, schedule, seed: let its __init__ take **options",
    ),
    "NoSuper": (
        "class NoSuper(Plain):\n    def __init__(self, **options):\n        self.net = nn.Conv2d(1, 1, 3)\n",
        "denoiser mine:NoSuper cannot be built: AttributeError: cannot assign module before Module.__init__() call; begin its",
    ),
    "Raises": (
        "class Raises(Plain):\n    def __init__(self, **options):\n        raise RuntimeError('no such file')\n",
        "denoiser mine:Raises cannot be built: RuntimeError: no such file",
    ),
    "Abstract": (
        "class Abstract(Denoiser):\n    def denoise(self, low, generator=None):\n        return low\n",
        "denoiser mine:Abstract: Can't instantiate abstract class Abstract",
    ),
    "Half": (
        "class Half(Plain):\n    def __init__(self, **options):\n        super().__init__(**options)\n"
        "        self.last.double()\n",
        "denoiser mine:Half fails in a trial on slices of 32×32, in its training step: RuntimeError: ",
    ),
    "Bytes": (
        "class Bytes(Plain):\n    def denoise(self, low, generator=None):\n        x = super().denoise(low)\n"
        "        return x if self.training else (255 * x).to(torch.uint8)\n",
        "denoiser mine:Bytes returned torch.uint8: expected float32 in [0, 1]",
    ),
    "Smaller": (
        "class Smaller(Plain):\n    def denoise(self, low, generator=None):\n        return super().denoise(low)[..., 1:, 1:]\n"
        "    def loss(self, pair, generator):\n        return self.denoise(pair.input).mean()\n",
        "denoiser mine:Smaller returned shape (2, 1, 31, 31): expected (2, 1, 32, 32)",
    ),
    "Nothing": (
        "class Nothing(Plain):\n    def loss(self, pair, generator):\n        return super().denoise(pair.input).mean()\n"
        "    def denoise(self, low, generator=None):\n        pass\n",
        "denoiser mine:Nothing returned shape NoneType: expected (2, 1, 32, 32)",
    ),
    "PerPixel": (
        "class PerPixel(Plain):\n    def loss(self, pair, generator):\n"
        "        return (self.denoise(pair.input) - pair.target) ** 2\n",
        "the loss of denoiser mine:PerPixel is torch.float32 of shape (2, 1, 32, 32): expected one float, such as",
    ),
    "Number": (
        "class Number(Plain):\n    def loss(self, pair, generator):\n        return float(super().loss(pair, generator))\n",
        "the loss of denoiser mine:Number is float: expected one float, such as a mean",
    ),
    "Detached": (
        "class Detached(Plain):\n    def loss(self, pair, generator):\n        return super().loss(pair, generator).detach()\n",
        "the loss of denoiser mine:Detached does not depend on its weights",
    ),
    "Random": (
        "class Random(Plain):\n    def __init__(self, **options):\n        super().__init__(**options)\n"
        "        import random\n        self.other = nn.Conv2d(1, random.randint(2, 10**6), 1)\n",
        "holds another size of mine:Random (other.weight is [",
    ),
    "Missing": ("class Other(Plain): pass\n", "'mine:Missing' is no Denoiser: expected a subclass of it named 'Missing'"),
    "nn": ("", "'mine:nn' is no Denoiser: expected a subclass of it named 'nn'"),
}
"""Denoisers that cannot end in a row: their text, and what is said of them."""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes ``mine.py`` where it is found."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "mine.py").write_text(text)
        sys.modules.pop("mine", None)

    yield write
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("name", RUN)
def test_what_is_unusual_and_right_passes(module, name: str, tmp_path: Path) -> None:
    module(HEAD + RUN[name])
    choice = choose(load_config("smoke"), f"mine:{name}")
    before = torch.get_rng_state()
    try_denoiser(choice)
    assert torch.equal(before, torch.get_rng_state())
    denoiser = choice.build(0)
    save_denoiser(denoiser, tmp_path / "m.safetensors", choice.registered, choice.options, window_hu="0 1")
    again, _ = load_denoiser(tmp_path / "m.safetensors", None)
    assert all(torch.equal(again.state_dict()[k], v) for k, v in denoiser.state_dict().items())


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_end_in_a_row_is_refused_before_the_data_are_made(module, name: str, tmp_path: Path) -> None:
    text, said = REFUSED[name]
    module(HEAD + text)
    config = load_config("smoke", [f"run.work={tmp_path / 'w'}", *SMALL])
    with pytest.raises(InputError) as caught:
        Benchmark.open(config, [comparison([f"mine:{name}"], "IPv2", "flood_fill")], progress=False)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('bad day')\n", "module 'mine' of 'mine:X' fails when it is imported: ValueError: bad day; python -c"),
        ("import sys; sys.exit(3)\n", "module 'mine' of 'mine:X' fails when it is imported: SystemExit: 3"),
        ("def broken(:\n", "module 'mine' of 'mine:X' fails when it is imported: SyntaxError: invalid syntax"),
        ("import no_such_package\n", "module 'mine' of 'mine:X' needs the module 'no_such_package': install it"),
        ("from no_such.package import x\n", "module 'mine' of 'mine:X' needs the module 'no_such': install it"),
        ("from ipv2_bench.denoisers import no_such_thing\n", "fails when it is imported: ImportError: cannot import name"),
    ],
)
def test_a_module_that_fails_is_named(module, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    module(text)
    assert main(["compare", "--config", "smoke", "--denoiser", "mine:X", "--quiet"]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["nowhere:X", "my/file.py:X", "file.py:X", ":X", ".mine:X", "mine-d:X", "nowhere.deep:X"])
def test_a_wrong_name_gets_one_line(module, capsys: pytest.CaptureFixture[str], name: str) -> None:
    module(HEAD)
    assert main(["compare", "--config", "smoke", "--denoiser", name, "--quiet"]) == 2
    err = capsys.readouterr().err
    assert f"'{name}'" in err and len(err.splitlines()) == 1


def test_comparisons_of_other_modules_and_strategies_have_other_names() -> None:
    wanted = [("a:Mine", "IPv2", "flood_fill"), ("b:Mine", "IPv2", "flood_fill"), ("a:Mine", "IPv1", "flood_fill")]
    wanted += [("a:Mine", "IPv2", "both_outside"), ("a:Mine", "IPv1+1", "flood_fill"), ("fm", "IPv2", "flood_fill")]
    keys = [comparison([name], strategy, background).key for name, strategy, background in wanted]
    assert len(set(keys)) == len(keys) and keys[0] == "compare_a-Mine_IPv2" and keys[3] == "compare_a-Mine_IPv2-both_outside"


def test_denoisers_of_this_program_pass() -> None:
    config = load_config("smoke", SMALL)
    for key in sorted({line.denoiser for table in load_tables(config) for line in table.lines if line.denoiser}):
        try_denoiser(choose(config, key))
