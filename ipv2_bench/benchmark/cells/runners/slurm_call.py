"""Commands of Slurm."""

from __future__ import annotations

import json
import os
import subprocess

from ipv2_bench.errors import InputError

ANSWER_S = 60.0
"""Seconds that a command has to answer."""


def slurm_call(*words: str) -> str:
    """What one of Slurm's commands prints.

    Raises
    ------
    InputError
        When it fails, with what it said.
    """
    # Users' defaults for squeue would hide tasks; a long list of tasks is written out.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SQUEUE_")} | {"SLURM_BITSTR_LEN": "0"}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = type(error).__name__
        raise InputError(f"{words[0]} does not answer ({why}): see that Slurm is there, or set run.on=local") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or [json.dumps(done.stdout[:200])]
        remedy = "correct run.at" if words[0] == "sbatch" else "see that Slurm answers"
        raise InputError(f"{words[0]} failed: {said[-1]}; {remedy}")
    return done.stdout
