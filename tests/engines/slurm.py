"""Starts a real Slurm on this machine: its controller, and one daemon per node. Each node has its own loopback address.

All files are in one folder. Nothing in /etc, /var or /run is used or changed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemons import Daemons, Unavailable, free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue", "sinfo")
DEBIAN = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
_NODE_TIMEOUT = 20
"""If a node is silent for this many seconds, the controller counts it as lost."""


_EXPIRE = 10
"""A credential is valid for this many seconds. A job that is queued again waits this long (Slurm's default is 120)."""


@dataclass
class Slurm(Daemons):
    """Starts and ends a cluster whose nodes all run on this machine."""

    nodes: tuple[str, ...] = ("n1", "n2")
    cpus: int = 2
    node_mb: int = 5000

    def __enter__(self) -> Slurm:
        missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
        if missing:
            raise Unavailable(f"{', '.join(missing)} missing: {DEBIAN}")
        if os.geteuid() != 0:
            raise Unavailable("a Slurm of one's own needs root")
        for name in ("log", "state", "munge", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge").chmod(0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.conf.write_text(self._config())
        try:
            files = [f"--{name}-file={self.folder}/munge/{name}" for name in ("pid", "seed", "log")]
            command = ["munged", "--foreground", "--force", f"--socket={self._socket}", f"--key-file={key}", *files]
            self.start("munged", command)
            self.until(self._socket.exists, 20, "munged has no socket")
            self.start("slurmctld", ["slurmctld", "-D", "-c", "-f", str(self.conf)])
            for node in self.nodes:
                self.back(node)
            self.until(lambda: self.count("idle") == len(self.nodes), 60, "not all nodes are idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", "--user=root"], env=self.env, capture_output=True, check=False, timeout=30)
            time.sleep(1)
        for node in self.nodes:
            self._kill_steps(node)
        self.end_all(signal.SIGTERM)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def _socket(self) -> Path:
        return self.folder / "munge" / "socket"

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.conf), "PATH": _PATH}

    def submit(self, script: Path, env: Mapping[str, str], flags: Sequence[str]) -> str:
        """Submits a batch script. Returns the number of the job."""
        done = subprocess.run(
            ["sbatch", "--parsable", "--export=ALL", *flags, str(script)],
            env={**self.env, **env}, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    def field_of(self, job: str, name: str) -> str:
        """Returns a field of ``scontrol show job``, for example ``JobState``. Returns an empty text if the controller
        does not answer, as it may while it restarts a job.
        """
        done = subprocess.run(
            ["scontrol", "show", "job", job], env=self.env, capture_output=True, text=True, check=False
        )
        return next((w.partition("=")[2] for w in done.stdout.split() if w.startswith(f"{name}=")), "")

    def set(self, job: str, setting: str) -> None:
        """Changes a job, for example its ``TimeLimit``."""
        command = ["scontrol", "update", f"JobId={job}", setting]
        subprocess.run(command, env=self.env, capture_output=True, check=True)

    def signal(self, job: str, name: str) -> None:
        """Sends a signal to a job's script, as Slurm itself does near the time limit."""
        command = ["scancel", "--batch", f"--signal={name}", job]
        subprocess.run(command, env=self.env, capture_output=True, check=True, timeout=30)

    def count(self, state: str) -> int:
        """Returns the number of nodes in a state."""
        command = ["sinfo", "--noheader", "--states", state, "--format", "%D"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return sum(map(int, done.stdout.split()))

    def kill(self, node: str) -> None:
        """Kills a node's daemon and everything that runs on the node, as if the machine were switched off."""
        self.end(node, signal.SIGKILL)
        self._kill_steps(node)

    def back(self, node: str) -> None:
        """Starts the daemon of a node."""
        self.start(node, ["slurmd", "-D", "-N", node, "-f", str(self.conf)])

    def _kill_steps(self, node: str) -> None:
        """Kills all processes that belong to a node of this cluster. Finds them by two environment variables that Slurm
        sets.
        """
        wanted = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={self.conf}".encode()}
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if wanted <= set(path.read_bytes().split(b"\0")):
                    os.kill(int(path.parent.name), signal.SIGKILL)
            except OSError:  # the process has ended, or is another user's
                continue

    def _config(self) -> str:
        host = socket.gethostname().split(".")[0]
        ports = free_ports(1 + len(self.nodes))
        lines = [
            "ClusterName=one", f"SlurmctldHost={host}(127.0.0.1)", f"SlurmctldPort={ports[0]}", "SlurmUser=root",
            "AuthType=auth/munge", f"AuthInfo=socket={self._socket},cred_expire={_EXPIRE}", "CredType=cred/munge",
            f"StateSaveLocation={self.folder}/state", f"SlurmdSpoolDir={self.folder}/spool-%n",
            f"SlurmctldPidFile={self.folder}/slurmctld.pid", f"SlurmdPidFile={self.folder}/%n.pid",
            f"SlurmctldLogFile={self.folder}/log/slurmctld.log", f"SlurmdLogFile={self.folder}/log/%n.log",
            "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none",
            "AccountingStorageType=accounting_storage/none", "MpiDefault=none", "SwitchType=switch/none",
            "SelectType=select/cons_tres", "SelectTypeParameters=CR_Core_Memory", "SlurmdParameters=config_overrides",
            "SchedulerParameters=sched_interval=3,bf_interval=3",
            f"SlurmdTimeout={_NODE_TIMEOUT}", "SlurmctldTimeout=20", "ReturnToService=2", "KillWait=5", "JobRequeue=1",
        ]  # fmt: skip
        for number, (node, port) in enumerate(zip(self.nodes, ports[1:], strict=True)):
            lines.append(f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.{number + 2} Port={port} "
                         f"CPUs={self.cpus} RealMemory={self.node_mb} State=UNKNOWN")  # fmt: skip
        lines.append("PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
        return "\n".join(lines) + "\n"


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
