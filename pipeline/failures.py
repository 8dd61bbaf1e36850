"""Defines the two errors that end a run."""

from __future__ import annotations


class JobFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """Raised if a Beam job failed. The exception that the job raised is the cause."""


class RunFailed(Exception):  # noqa: N818 - the name says what happened
    """Raised if the run cannot continue because of its data.

    The command prints no traceback and exits with status 1.
    """
