"""Whatever standard output and error are, every command ends as it would: same exit code, same files, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ipv2_bench.cli import command_modules
from ipv2_bench.denoisers.shared.checkpoint import read_checkpoint
from tests.program import EXPERIMENTS, LONGEST, ROOT, SMALL, without_times

COMMANDS = [
    ["reproduce", "--config", "one.yaml", *SMALL],
    ["render", "--config", "one.yaml", *SMALL],
    ["report", "--config", "one.yaml", *SMALL],
    ["study", "--config", "one.yaml", *SMALL],
    ["attribute", "--config", "one.yaml", *SMALL],
    ["detect", "--config", "one.yaml", *SMALL],
    ["verify", "ROW", "--config", "one.yaml", *SMALL],
    ["rank", "ROW"],
    ["status", "--config", "one.yaml", *SMALL],
    TRAIN := ["train", "--denoiser", "corediff", "--config", "one.yaml", *SMALL],
    ["evaluate", "--denoiser", "fm", "--config", "one.yaml", *SMALL],
    ["compare", "--denoiser", "gaussian", "--config", "one.yaml", *SMALL],
    ["curve", "--steps", "1", "--config", "one.yaml", *SMALL],
    ["calibrate", "--config", "one.yaml", *SMALL],
    ["split", "--write", "split.json", "--config", "one.yaml", *SMALL],
    ["wandb-report", "--config", "one.yaml", *SMALL],
    ["new-denoiser", "mine"],
    ["list", "denoisers"],
    ["list", "measures"],
    ["check"],
    ["check", "scans"],
    ["check", "nowhere"],
    ["denoise", "scans", "denoised", "--checkpoint", "gaussian"],
    ["simulate", "scans", "pairs", "data.views=48", "data.photons=17000"],
    ["purify", "pairs", "purified", "noise.views=32", "noise.calibrate=false", "data.fractions=[0.34,0.0,0.66]"],
    ["--help"],
    ["reproduce", "--help"],
    ["reproduc"],
    ["reproduce", "train.stepz=1"],
]

PROGRAM = '''
import json, os, sys
from pathlib import Path
from ipv2_bench.cli import main

OUT = sys.argv[1]

def disturb():
    for number in (1, 2):
        if OUT == "pipe":
            read, write = os.pipe()
            os.close(read)
            os.dup2(write, number)
        elif OUT == "full" and number == 1:
            os.dup2(os.open("/dev/full", os.O_WRONLY), number)
        elif OUT == "closed":
            os.close(number)
    if OUT == "closed":
        sys.stdout = sys.stderr = None
    elif OUT == "pipe":
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    elif OUT == "full":
        sys.stdout = open(1, "w", closefd=False)

def run(words):
    disturb()
    try:
        return main(words)
    except SystemExit as end:
        return end.code or 0
    except BaseException as error:
        return repr(error)

if __name__ == "__main__":
    codes = {}
    for words in json.loads(Path("commands.json").read_text()):
        rows = sorted(map(str, Path("leaderboards/smoke/rows").glob("fm-IPv2-NDCT-*.json")))
        codes[" ".join(words)] = run([part for word in words for part in (rows if word == "ROW" else [word])])
        Path("codes.json").write_text(json.dumps(codes))
'''

LIGHT = [words for words in COMMANDS if words[0] in ("train", "list", "check", "rank", "denoise", "--help", "reproduc")]

CONDITIONS = {
    "terminal of 10 columns, ASCII": ("", COMMANDS),
    "closed pipes": ("pipe", COMMANDS),
    "full disk": ("full", LIGHT),
    "closed": ("closed", LIGHT),
}

ASCII = {"PYTHONIOENCODING": "ascii", "COLUMNS": "10", "LC_ALL": "C", "PYTHONUTF8": "0"}


def run_all(
    folder: Path,
    tree: Path,
    disturbed: str,
    environment: dict[str, str],
    commands: list[list[str]] = COMMANDS,
    computed: Path | None = None,
) -> tuple[dict[str, object], str]:
    """Run commands in a new folder; exit codes by command, and what was printed.

    ``computed``: a folder whose cells are used again, all but the one of :data:`TRAIN`.
    """
    folder.mkdir()
    if computed is not None:
        for part in ("runs", "leaderboards"):
            shutil.copytree(computed / part, folder / part)
        (trained,) = (p for p in folder.rglob("model.safetensors") if read_checkpoint(p)[0]["denoiser"] == "corediff")
        shutil.rmtree(trained.parent)
    shutil.copytree(tree, folder / "scans")
    (folder / "one.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
    (folder / "table1.yaml").write_text("title: Ünïcode ×\nrows:\n  - {denoiser: fm, strategy: IPv2}\n")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "commands.json").write_text(json.dumps(commands))
    own = {"IPV2_BENCH_CT": "", "WANDB_MODE": "disabled", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "program.py", disturbed],
        cwd=folder, env={**os.environ, **own}, capture_output=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    shown = (done.stdout + done.stderr).decode("ascii" if "PYTHONIOENCODING" in environment else "utf-8")
    return json.loads((folder / "codes.json").read_text()), shown


@pytest.fixture(scope="module")
def undisturbed(ct_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    codes, shown = run_all(folder, ct_tree, "", {})
    assert "Traceback" not in shown
    return folder, codes


def test_every_command_is_among_them(undisturbed: tuple[Path, dict[str, object]]) -> None:
    names = {name for modules in command_modules().values() for name in modules}
    assert {words[0] for words in COMMANDS} - {"--help", "reproduc"} == names
    failing = {words for words, code in undisturbed[1].items() if code != 0}
    assert sorted(words.split()[0] for words in failing) == ["check", "detect", "reproduc", "reproduce", "study", "wandb-report"]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_it_ends_as_on_a_terminal(
    condition: str, undisturbed: tuple[Path, dict[str, object]], ct_tree: Path, tmp_path: Path
) -> None:
    whole, expected = undisturbed
    folder, (disturbed, commands) = tmp_path / "run", CONDITIONS[condition]
    codes, shown = run_all(folder, ct_tree, disturbed, {} if disturbed else ASCII, commands, whole)
    expected = {words: code for words, code in expected.items() if words in codes}
    assert len(codes) == len(commands)
    assert "Traceback" not in shown and "Logging error" not in shown
    if disturbed == "full":  # what cannot be printed is said, once, and the command has failed
        assert {words: code or 2 for words, code in expected.items()} == codes
        lost = "ipv2-bench: standard output cannot be written: No space left on device; what the command computes and writes"
        assert shown.count(lost) == sum(code == 0 for code in expected.values())
    else:
        assert codes == expected
    for path in sorted((whole / "runs").rglob("*.safetensors")):
        notes, weights = read_checkpoint(folder / path.relative_to(whole))
        assert (notes, {k: v.tolist() for k, v in weights.items()}) == (
            read_checkpoint(path)[0], {k: v.tolist() for k, v in read_checkpoint(path)[1].items()}
        )  # fmt: skip
    for part in ("denoised", "pairs", "purified"):
        files = sorted(path for path in (whole / part).rglob("*") if path.suffix == ".png" and (folder / part).exists())
        assert all(path.read_bytes() == (folder / path.relative_to(whole)).read_bytes() for path in files)
    got, wanted = (without_times(f / "leaderboards" / "smoke" / "table1.csv") for f in (folder, whole))
    assert got == wanted
