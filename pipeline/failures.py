"""The two errors that end a run."""

from __future__ import annotations


class JobFailed(RuntimeError):  # noqa: N818 - said as it is
    """A Beam job did not end well; what it raised is the cause."""


class RunFailed(Exception):  # noqa: N818 - said to the user as it is
    """The run cannot go on, for a reason that is the data's: exit status 1, no traceback."""
