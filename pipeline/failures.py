"""Defines the two errors that end a run."""

from __future__ import annotations


class JobFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """Raised if a Beam job failed for an unknown cause. Its ``__cause__`` is the exception that the job raised."""


class RunFailed(Exception):  # noqa: N818 - the name says what happened
    """Raised if the run cannot continue for a known cause, for example too many bad records.

    The command prints only the message, without a traceback, and exits with status 1.
    """
