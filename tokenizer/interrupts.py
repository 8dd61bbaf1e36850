"""Ends an interrupted command immediately and prints one line.

Python raises KeyboardInterrupt only between two steps of the main thread. A single step can be a call of a library that
takes minutes. If Beam gets this exception, it reports a failure of the job. So a separate thread waits for the signal
and ends the process.

All packages with commands use this module. So it is in this package, which all of them may import.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable

STATUS_OF_SIGNAL = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""The exit status for each signal. As in shells, it is 128 plus the number of the signal."""
_SHOW_CURSOR = "\x1b[?25h"

_DELETE_TRIES = 50
_DELETE_PAUSE_S = 0.02
_FINISH_LINE_S = 0.02
"""Seconds to wait for another thread that is printing a line, so that the line is complete."""
_at_end: dict[str, Callable[[], None]] = {}
_line = "interrupted"
_is_ending = threading.Event()
_is_command = False


def as_command(main: Callable[[], int], *, line: str = "interrupted") -> int:
    """Runs the main function of a command and returns its exit status. A signal (SIGINT, SIGTERM or SIGHUP) ends the
    process.

    Args:
        line: the line to print when the command is interrupted.
    """
    global _is_command, _line
    _is_command, _line = True, line
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in STATUS_OF_SIGNAL:
        if signal.getsignal(number) is not signal.SIG_IGN:  # e.g. nohup ignores signals
            signal.signal(number, lambda *_: None)
    threading.Thread(target=_wait, args=(reader,), name="interrupts", daemon=True).start()
    try:
        return main()
    finally:
        if _is_ending.is_set():
            threading.Event().wait()  # another thread ends the process with the exit status


def at_end(name: str, action: Callable[[], None] | None) -> None:
    """Registers an action to run before the process ends. Removes an earlier action of the same name. If ``action`` is
    None, only removes the earlier action.

    The action that was registered last runs first. So, for example, workers end before their folder is deleted. Actions
    run in a separate thread while the main thread continues, and must not wait for long.
    """
    _at_end.pop(name, None)
    if action is not None:
        _at_end[name] = action


def delete_at_end(name: str, folder: str) -> None:
    """Registers a folder to delete before the process ends. Other threads may still make files in the folder, so
    deleting is tried several times.
    """

    def delete() -> None:
        for _ in range(_DELETE_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                return
            time.sleep(_DELETE_PAUSE_S)

    at_end(name, delete)


def end_command(line: str, status: int, *, before: Callable[[], None] = lambda: None) -> bool:
    """Prints a line and ends the process with ``status``. If no command was started with :func:`as_command`, does
    nothing and returns False.

    Args:
        before: a function that stops everything that may still print, so that the line is printed last.
    """
    if not _is_command:
        return False
    if _is_ending.is_set():
        threading.Event().wait()  # another thread ends the process
    _is_ending.set()
    before()
    with contextlib.suppress(OSError):
        # From here on other threads may fail because their files are gone, and their errors would only confuse.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it stays open until the process ends
        time.sleep(_FINISH_LINE_S)
        terminal = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(terminal, f"{_SHOW_CURSOR if os.isatty(terminal) else ''}{line}\n".encode())
    for action in reversed(list(_at_end.values())):
        with contextlib.suppress(OSError):
            action()
    os._exit(status)


def _wait(reader: int) -> None:
    while True:
        for number in os.read(reader, 1):
            status = STATUS_OF_SIGNAL.get(signal.Signals(number))
            if status is not None and not _is_ending.is_set():
                threading.Thread(target=end_command, args=(_line, status), daemon=True).start()
            elif status is not None:
                os._exit(status)  # a second signal arrived while the actions were running
