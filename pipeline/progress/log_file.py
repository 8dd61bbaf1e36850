"""Writes the log file that ``--log-file`` names. The file has the progress, the warnings and the errors of a run, with
times.
"""

from __future__ import annotations

import logging

_LOG = logging.getLogger("llama_mixture")
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def log_to(path: str | None) -> None:
    """Sends warnings of all libraries to stderr. If a file is given, appends the warnings to it too.

    Raises:
        ValueError: the file cannot be written.
    """
    stderr = logging.StreamHandler()
    stderr.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[stderr])
    _LOG.propagate = False
    _LOG.setLevel(logging.INFO)
    for old in _LOG.handlers[:]:  # of an earlier call in this process
        logging.getLogger().removeHandler(old)
        _LOG.removeHandler(old)
        old.close()
    if path is None:
        return
    try:
        file = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--log-file {path}: cannot be written: {error.strerror}") from error
    file.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger().addHandler(file)
    _LOG.addHandler(file)


def note(text: str, *, level: int = logging.INFO) -> None:
    """Writes a text into the log file that ``--log-file`` names. Each line gets the time. Does nothing if the run has
    no log file.
    """
    if _LOG.handlers:
        for line in text.splitlines():
            _LOG.log(level, "%s", line)
