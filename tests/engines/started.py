"""Starts a run and watches it, so that a test can disturb its engine in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rehearsal import LOADED, ROOT, Checkout, small_config


class Started:
    """Starts a run with the code of a checkout. The log of the run is in ``OUT.log``."""

    def __init__(self, checkout: Checkout, out: Path, flags: Sequence[str]) -> None:
        self.out, self.log_path = out, out.with_suffix(".log")
        command = [sys.executable, "-m", "pipeline.run", "--output", str(out), *flags]
        env = {**os.environ, "PYTHONPATH": str(checkout.root), "PYTHONUNBUFFERED": "1"}
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                command, cwd=checkout.root, env=env, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    @property
    def last_line(self) -> str:
        return self.log.strip().splitlines()[-1]

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 400) -> None:
        """Waits until ``is_so`` returns True. Fails if the run ends before, or if it takes more than ``seconds``."""
        end = time.monotonic() + seconds
        while not is_so():
            assert self._process.poll() is None, f"ended before\n{self.log[-3000:]}"
            assert time.monotonic() < end, self.log[-3000:]
            time.sleep(0.1)

    def wait(self, seconds: float = 600) -> int:
        """Waits for the end of the run. Returns its exit status."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds} s\n{self.log[-3000:]}") from None

    def kill(self) -> None:
        """Ends the run if it still continues."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)


def assert_unfinished(run: Started) -> None:
    """Fails if the output of a failed run looks complete, or if its log contains an ERROR line or a traceback."""
    assert not (run.out / "manifest.json").exists()
    assert [line for line in run.log.splitlines() if line.startswith(("ERROR", "Traceback"))] == []


def assert_folder_is_missed(run: Started) -> None:
    """Fails unless the run ended because a worker does not see the folder of its output."""
    assert run.wait(300) == 1
    assert run.last_line.startswith("error: job clean failed: --output: the worker on "), run.log[-3000:]
    assert f"does not see {run.out}/.work" in run.last_line
    assert_unfinished(run)


def small_flags(checkout: Checkout, models: Path) -> list[str]:
    """Returns the flags of a run of two sources, without an engine."""
    return ["--config", small_config(checkout), "--models", str(models), *checkout.input_flags(sources=LOADED)]


def process_workers(folder: Path, python: str, root: Path, variables: Mapping[str, str] | None = None) -> list[str]:
    """Returns the flags of a run whose workers are started by the boot program. The workers use the Python ``python``,
    the code in ``root``, and the environment variables ``variables``. Their logs are in ``folder/workers``.
    """
    more = "".join(f" {name}='{value}'" for name, value in (variables or {}).items())
    boot = folder / "boot.sh"  # some engines start it without this process's environment
    boot.write_text(
        f"#!/bin/sh\nexport PYTHON='{python}' PYTHONPATH='{root}' WORKER_LOG_DIR='{folder}/workers'{more}\n"
        f'exec "{ROOT}/cluster/boot.sh" "$@"\n'
    )
    boot.chmod(0o755)
    return ["--environment_type=PROCESS", f"--environment_config={json.dumps({'command': str(boot)})}"]


_TINY = {
    "pipeline/engine/group_bytes.py": ("_bytes: int = 32 << 20", "_bytes: int = 2 << 10", 2),
    "pipeline/clean/dedup/lines.py": ("max_lines: int = MAX_BUCKET_LINES", "max_lines: int = 1", 1),
}


def with_tiny_buffers(checkout: Checkout, folder: Path) -> Checkout:
    """Returns a copy of the checkout with smaller buffers: at most 2 kB of a sorted group are held in memory, not 32
    MB, and the lines of every bucket are compared through files, not only those of buckets of 16 million lines.
    """
    root = folder / "tiny"
    shutil.copytree(checkout.root, root, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (usual, tiny, times) in _TINY.items():
        text = (root / name).read_text()
        assert text.count(usual) == times
        (root / name).write_text(text.replace(usual, tiny))
    return replace(checkout, root=root)
