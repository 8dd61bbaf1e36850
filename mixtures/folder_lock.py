"""Locks an output folder while its finished files are changed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tokenizer.os_errors import check_is_folder

_RUN_LOCK = ".work/lock"
"""The file that ``pipeline.run`` locks while it writes to the folder, or reads the folder as ``--from``."""


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Locks the folder, so that no run and no other command can change its files. Creates no file.

    The lock belongs to the operating system (``flock``). So it ends with the process, even if the process is killed.

    Raises:
        ValueError: another process has locked the folder, or there is no such folder.
    """
    check_is_folder(str(folder))
    with contextlib.ExitStack() as stack:
        for path in (folder, folder / _RUN_LOCK):
            try:
                number = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # no run has begun here, or a run that was refused has just deleted its lock
            except OSError as error:
                raise ValueError(f"{path} cannot be opened: {error.strerror}") from error
            stack.callback(os.close, number)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = "mixtures.forget or mixtures.find --make-index" if path == folder else "a run"
                raise ValueError(f"{folder}: {who} is at work in it; wait for its end, and try again") from None
            except OSError as error:
                raise ValueError(f"{folder}: it cannot be locked: {error.strerror}") from error
        yield
