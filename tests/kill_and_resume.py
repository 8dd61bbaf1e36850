"""Kills runs at random moments and resumes them: ``python -m tests.kill_and_resume [--moments 10] [--seed 0]``.

For each signal and number of workers, starts a run on a small corpus, sends the signal after a random time, and starts
the run again. The second run must end with status 0 and write the same bytes as an undisturbed run. Prints the status
of the first run, and the seconds from the signal to its end.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "pipeline"))

from small import Small, make, shard_sums

STATUS = {"KILL": -9, "TERM": 143, "INT": 130}
BEGUN_S = 0.5
"""No signal is sent in the first 0.5 seconds. Python itself starts then, and would print a traceback for SIGINT."""


@dataclass(frozen=True, slots=True)
class Killed:
    """Describes a run that was killed and resumed."""

    seconds: float
    """The time from the start of the run to the signal."""
    status: int
    end_seconds: float
    """The time from the signal to the end of the process."""
    fault: str


def command(small: Small, out: Path, num_workers: int) -> list[str]:
    """Returns the command of a run with ``num_workers`` workers."""
    args = [a for a in small.args(out) if not a.startswith("--direct_num_workers")]
    return [sys.executable, "-m", "pipeline.run", *args, f"--direct_num_workers={num_workers}"]


def undisturbed(small: Small, out: Path, num_workers: int) -> tuple[float, dict[str, str]]:
    """Makes a run without disturbing it. Returns its seconds and the checksums of its shards."""
    begun = time.monotonic()
    subprocess.run(command(small, out, num_workers), check=True, capture_output=True, timeout=600)
    return time.monotonic() - begun, shard_sums(out)


def heed_signals() -> None:
    """Makes this process react to SIGINT and SIGTERM. A shell or nohup may have made background processes ignore
    them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def kill_and_resume(small: Small, out: Path, *, name: str, num_workers: int, seconds: float,
                    sums: dict[str, str]) -> Killed:  # fmt: skip
    """Starts a run, sends it a signal after ``seconds``, and starts the run again. Returns what happened."""
    temporary = out.with_name(out.name + "-tmp")
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command(small, out, num_workers), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, env=environment, start_new_session=True, preexec_fn=heed_signals)  # fmt: skip
    time.sleep(seconds)
    begun = time.monotonic()
    process.send_signal(getattr(signal, f"SIG{name}"))
    _, said = process.communicate(timeout=120)
    end_seconds = time.monotonic() - begun
    fault = ""
    if process.returncode not in (STATUS[name], 0):  # 0: it had ended before the signal came
        fault = f"status {process.returncode}: {said[-300:]}"
    elif name != "KILL" and "Traceback" in said:
        fault = "a traceback"
    again = subprocess.run(command(small, out, num_workers), capture_output=True, text=True, timeout=600, check=False,
                           env=environment)  # fmt: skip
    if again.returncode:
        fault = f"the second run: status {again.returncode}: {again.stderr[-300:]}"
    elif shard_sums(out) != sums:
        fault = "other bytes"
    elif list(temporary.iterdir()) or list((out / ".work").glob("spill*")):
        fault = "temporary files are left"
    return Killed(seconds, process.returncode, end_seconds, fault)


def main(argv: Sequence[str] | None = None) -> int:
    """Makes all runs and prints the results. Returns 1 if any run has a fault, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_and_resume", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--moments", type=int, default=10, help="per signal and number of workers (default: 10)")
    parser.add_argument("--signals", default="KILL,TERM,INT")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args(argv)
    num_faults = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        small = make(root / "small")
        for num_workers in map(int, flags.workers.split(",")):
            seconds, sums = undisturbed(small, root / f"whole-{num_workers}", num_workers)
            print(f"{num_workers} workers: {seconds:.1f} s undisturbed", flush=True)
            for name in flags.signals.split(","):
                chosen = random.Random(f"{flags.seed} {num_workers} {name}")
                for moment in range(flags.moments):
                    out = root / f"out-{num_workers}-{name}-{moment}"
                    done = kill_and_resume(small, out, name=name, num_workers=num_workers, sums=sums,
                                           seconds=chosen.uniform(BEGUN_S, seconds))  # fmt: skip
                    num_faults += bool(done.fault)
                    print(f"  {name} after {done.seconds:5.1f} s: status {done.status}, ended in "
                          f"{done.end_seconds:.2f} s{': ' + done.fault if done.fault else ''}", flush=True)  # fmt: skip
    return 1 if num_faults else 0


if __name__ == "__main__":
    sys.exit(main())
