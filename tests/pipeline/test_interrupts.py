"""Tests that a signal ends a command within seconds, with one line and the exit status that shells use. If a worker
process disappears, the run ends too.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from apache_beam.runners.worker import data_plane
from small import Small

from pipeline.engine.local_workers import watch_workers
from pipeline.run import DONE, FAILED, WRONG_REQUEST
from tokenizer.interrupts import STATUS_OF_SIGNAL

pytestmark = pytest.mark.slow

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
MISSING_WORKER = """
import sys
from pipeline.engine import runner
from pipeline.run import main
from tokenizer.interrupts import as_command
runner.PROGRAM = f"{sys.executable} -m no_such_module"
sys.exit(as_command(main) if sys.argv.pop(1) == "command" else main())
"""


def heed_signals() -> None:
    """Makes this process react to signals. A shell or nohup may have made background processes ignore them."""
    for number in STATUS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def start(command: list[str], tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}, start_new_session=True,
        preexec_fn=heed_signals,
    )  # fmt: skip


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Returns the ids of a run's worker processes, which are in the session of the run."""
    found = subprocess.run(["ps", "-s", str(process.pid), "-o", "pid=,args="], capture_output=True, text=True).stdout
    lines = [line.split(maxsplit=1) for line in found.splitlines()]
    return [int(pid) for pid, args in lines if "pipeline.engine.worker" in args and "sh -c" not in args]


def wait_for(process: subprocess.Popen[str], is_reached: object) -> None:
    deadline = time.monotonic() + 200
    while not is_reached():  # type: ignore[operator]
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("moment", ["start", "clean", "tokenize"])
def test_a_run_ends_at_a_signal(
    small: Small, tmp_path: Path, number: signal.Signals, num_workers: int, moment: str
) -> None:
    out = tmp_path / "out"
    args = [*small.args(out)[:-1], f"--direct_num_workers={num_workers}"]
    process = start(["-m", "pipeline.run", *args], tmp_path)
    marks = {"start": "", "clean": "spill-*/*", "tokenize": "steps/tokenizer.json"}
    if moment == "start":
        time.sleep(0.8)  # while it imports
    else:
        wait_for(process, lambda: list((out / ".work").glob(marks[moment])))
    begun = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == STATUS[number], said
    assert "Traceback" not in said
    assert said.splitlines().count("interrupted: run the same command again to resume") == 1, said
    assert time.monotonic() - begun < 30
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((out / ".work").glob("spill*"))
    time.sleep(1)
    assert not workers_of(process)


def test_a_run_that_is_killed_takes_its_workers_along(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(["-m", "pipeline.run", *small.args(out)[:-1], "--direct_num_workers=2"], tmp_path)
    wait_for(process, lambda: len(workers_of(process)) == 2)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while workers_of(process):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("how", ["command", "library"])
def test_a_worker_that_cannot_start_ends_the_run(small: Small, tmp_path: Path, how: str) -> None:
    args = [*small.args(tmp_path / "out")[:-1], "--direct_num_workers=2"]
    process = start(["-c", MISSING_WORKER, how, *args], tmp_path)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "error: " in said.splitlines()[-1]
    assert "a worker process ended before its work was done" in said.splitlines()[-1]
    assert "No module named no_such_module" in said
    assert "Traceback" not in said


def test_a_worker_that_is_killed_ends_the_run(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(["-m", "pipeline.run", *small.args(out)[:-1], "--direct_num_workers=2"], tmp_path)
    wait_for(process, lambda: len(workers_of(process)) == 2)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "a worker process ended before its work was done" in said.splitlines()[-1]
    # On a busy machine the broken connection ends the run before the end of the process is known.
    assert re.search(r"\(signal 9\)|killed, or out of memory", said.splitlines()[-1])
    assert "Traceback" not in said


def test_the_broken_connection_of_a_dead_worker_is_not_logged() -> None:
    watch_workers()
    logger = logging.getLogger(data_plane.__name__)
    of_connection, other = (
        logger.makeRecord(logger.name, logging.ERROR, "", 0, text, (), None)
        for text in ("Failed to read inputs in the data plane.", "Something else.")
    )
    assert not logger.filter(of_connection)
    assert logger.filter(other)
    assert "Failed to read inputs in the data plane." in inspect.getsource(data_plane), "Beam words it so"
    assert "'read_grpc_client_inputs'" in inspect.getsource(data_plane), "Beam names the thread so"


def test_exceptions_of_other_threads_go_to_the_hook_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.thread and args.thread.name))
    watch_workers()
    watch_workers()  # the second run of a program
    for name in ("read_grpc_client_inputs", "other"):
        thread = threading.Thread(target=lambda: 1 / 0, name=name)
        thread.start()
        thread.join()
    assert told == ["other"]


CHATTY = """
import sys, threading, time
from tokenizer.interrupts import as_command, end_command

def main():
    def talk():
        while True:
            print("one more line of progress", file=sys.stderr)
    threading.Thread(target=talk, daemon=True).start()
    time.sleep(0.2)
    end_command("the last line", 7)

as_command(main)
"""


def test_the_last_line_is_whole_while_another_thread_prints(tmp_path: Path) -> None:
    for _ in range(10):
        process = start(["-c", CHATTY], tmp_path)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 7
        *others, last = said.split("\n")[:-1]
        assert last == "the last line"
        assert "the last line" not in "".join(others)


COMMANDS = ["mixtures.inspect", "mixtures.verify", "mixtures.shares", "mixtures.export",
            "mixtures.decontaminate", "mixtures.plan", "tokenizer.train", "pipeline.models", "pipeline.report",
            "pipeline.scale", "pipeline.job_service"]  # fmt: skip


def test_the_statuses_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/troubleshooting.md").read_text().split("## Exit statuses", 1)[1]
    table = text.split("\n## ", 1)[0]
    for status in (DONE, FAILED, WRONG_REQUEST, *STATUS_OF_SIGNAL.values()):
        assert f"| {status} | " in table


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_ends_at_signals(module: str) -> None:
    """Every command calls its main function through ``as_command``, which the tests above test."""
    folder = Path(__file__).parents[2] / module.replace(".", "/")
    path = folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")
    assert "as_command(main" in path.read_text().partition('__name__ == "__main__"')[2]
