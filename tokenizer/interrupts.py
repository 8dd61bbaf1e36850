"""Ends a command at once and in one line when it is interrupted. It lies in the lowest package that has commands.

Python's own KeyboardInterrupt comes only between two steps of the main thread, which may be inside a library for
minutes, and Beam turns it into a failure of the job. So a thread of its own waits for the signal and ends the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable

STATUS_OF_SIGNAL = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Exit statuses as shells report them: 128 and the number of the signal."""
_SHOW_CURSOR = "\x1b[?25h"

_DELETE_TRIES = 50
_DELETE_PAUSE_S = 0.02
_at_end: dict[str, Callable[[], None]] = {}
_line = "interrupted"
_is_ending = threading.Event()
_is_command = False


def as_command(main: Callable[[], int], *, line: str = "interrupted") -> int:
    """Runs the main function of a command, and ends the process at SIGINT, SIGTERM and SIGHUP.

    Args:
        line: what is printed then.
    """
    global _is_command, _line
    _is_command, _line = True, line
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in STATUS_OF_SIGNAL:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells set it for background jobs
            signal.signal(number, lambda *_: None)
    threading.Thread(target=_wait, args=(reader,), name="interrupts", daemon=True).start()
    try:
        return main()
    finally:
        if _is_ending.is_set():
            threading.Event().wait()  # another thread ends the process, with its status


def at_end(name: str, action: Callable[[], None] | None) -> None:
    """Registers what must be done before the process is ended, instead of an earlier action of the name; None: nothing.

    The last one registered runs first: workers end before the folder that they write to is deleted. Actions run in
    another thread while the main thread goes on. They must not wait for long.
    """
    _at_end.pop(name, None)
    if action is not None:
        _at_end[name] = action


def delete_at_end(name: str, folder: str) -> None:
    """Registers a folder to be deleted, in which other threads may still make files for a moment."""

    def delete() -> None:
        for _ in range(_DELETE_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                return
            time.sleep(_DELETE_PAUSE_S)

    at_end(name, delete)


def end_command(line: str, status: int, *, before: Callable[[], None] = lambda: None) -> bool:
    """Prints a line and ends the process if it runs a command; returns False in a process that does not.

    Args:
        before: ends what may still print, so that the line is the last one.
    """
    if not _is_command:
        return False
    if _is_ending.is_set():
        threading.Event().wait()  # another thread ends the process
    _is_ending.set()
    before()
    with contextlib.suppress(OSError):
        terminal = os.dup(2)
        # Other threads find their files gone from here on, and nobody wants to read that.
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
                os._exit(status)  # a second signal while the first one's actions run
