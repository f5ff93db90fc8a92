"""A Slurm of one machine, without systemd, for the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "slurmctld", "slurmd", "munged")

CONFIGURATION = """
ClusterName=tests
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
# A requeued job waits for its credential to end, two minutes unless told otherwise.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=1,sched_interval=2
ReturnToService=2
KillWait=5
SlurmdTimeout=20
MinJobAge=30
NodeName=localhost CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=tests Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What a Slurm of one's own needs and this machine lacks; empty for nothing."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"no {', '.join(lacking)}" if lacking else "" if os.geteuid() == 0 else "not root"


class Slurm:
    """Daemons with a configuration in a folder.

    Attributes
    ----------
    environment
        Variables with which Slurm's commands find it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
        self._daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Start the daemons and wait until jobs can run."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(folder=self.folder, cores=os.cpu_count() or 1))
        for place in ("/run/munge", "/var/log/munge", "/var/lib/munge", "/etc/munge"):
            Path(place).mkdir(parents=True, exist_ok=True)
        key = Path("/etc/munge/munge.key")
        if not key.exists():
            key.write_bytes(os.urandom(1024))
            key.chmod(0o400)
        options = {"socket": "munge.socket", "pid-file": "munged.pid", "seed-file": "munged.seed", "log-file": "munged.log"}
        paths = [f"--{option}={self.folder / name}" for option, name in options.items()]
        self._begin("munged", "munged", "--force", "--foreground", f"--key-file={key}", *paths)
        self._begin("slurmctld", "slurmctld", "-D")
        self.start_node()

    def start_node(self) -> None:
        """Start the node's daemon and wait until it takes jobs."""
        self._begin("slurmd", "slurmd", "-N", "localhost", "-D")
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            state = self.call("sinfo", "-h", "-o", "%T", check=False)
            if state.split() and state.split()[0] in ("idle", "mixed", "allocated"):
                return
            time.sleep(0.5)
        raise AssertionError((self.folder / "slurmctld.log").read_text()[-3000:])

    def kill_node(self) -> None:
        """Kill the node's daemon and all jobs on it, as when a machine fails."""
        self._daemons["slurmd"].kill()
        self._daemons["slurmd"].wait()

    def call(self, *words: str, check: bool = True) -> str:
        """What one of Slurm's commands prints."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        self.call("scancel", "--user=root", check=False)
        time.sleep(1.0)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def _begin(self, name: str, *words: str) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self._daemons[name] = subprocess.Popen(words, env={**os.environ, **self.environment}, stdout=log, stderr=log)


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """A Slurm that runs until the end of the context."""
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
