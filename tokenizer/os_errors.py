"""Describes an error of the operating system, such as a full disk, in one line. Also chooses the exit status of the
command that failed.
"""

from __future__ import annotations

import errno
import os

FAILED, WRONG_REQUEST = 1, 2
_NO_FOLDER = "there is no such folder"
_HINTS = {
    errno.ENOSPC: "free some space, or name a folder on another disk",
    errno.EDQUOT: "free some space, or name a folder on another disk",
    errno.EFBIG: "this user or file system has a limit on the size of files; name a folder on another disk",
    errno.ENOTDIR: "what the path takes for a folder is a file; name another path",
    errno.EROFS: "the disk can only be read; name another path",
    errno.EACCES: "give this user the right, or name another path",
    errno.EPERM: "give this user the right, or name another path",
    errno.EIO: "the disk does not answer as it should; see the messages of the system",
}
_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO))
_OF_REQUEST = (PermissionError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


def is_of_disk(error: OSError) -> bool:
    """True if the disk is the cause of the error, and not a network or a wrong path.

    >>> is_of_disk(OSError(errno.ENOSPC, "No space left on device")), is_of_disk(ConnectionResetError())
    (True, False)
    """
    return error.errno in _DISK


def status_of(error: OSError) -> int:
    """Returns the exit status of a command: 2 if the user named a wrong path or has no right to it, otherwise 1.

    >>> status_of(PermissionError(errno.EACCES, "Permission denied")), status_of(OSError(errno.ENOSPC, "full"))
    (2, 1)
    """
    return WRONG_REQUEST if isinstance(error, _OF_REQUEST) else FAILED


def check_is_folder(folder: str) -> None:
    """Raises ValueError if there is no such folder on this machine, for example because its name is misspelt.

    >>> check_is_folder("out/mistyped")
    Traceback (most recent call last):
    ValueError: out/mistyped: there is no such folder
    """
    if not os.path.isdir(folder or os.curdir):
        raise ValueError(f"{folder}: {'this is a file, not a folder' if os.path.exists(folder) else _NO_FOLDER}")


def described(error: OSError, place: str) -> str:
    """Returns a message: what happened, where, and what to do. The message names the path in ``error``, or ``place`` if
    ``error`` has no path.

    >>> described(OSError(errno.ENOSPC, "No space left on device"), "models")
    'models: No space left on device; free some space, or name a folder on another disk'
    """
    hint = _HINTS.get(error.errno or 0)
    said = " ".join(str(error.strerror or error).split())
    return f"{error.filename or place}: {said}{f'; {hint}' if hint else ''}"
