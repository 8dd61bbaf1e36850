"""Writes the report of a run that failed, so that the user can see what its sources lost."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.files.store_files import StoreError
from pipeline.report import write_report


def report_of_failed(output: str, say: Callable[[str], None]) -> None:
    """Writes the report of a failed run, and prints the path of the report. If the report cannot be written, prints why
    and raises no error. The caller then reports the error of the run, which matters more.

    Args:
        say: a function that prints a line.
    """
    try:
        path = write_report(output)
    except (ValueError, OSError, StoreError) as error:
        say(f"report: not written: {' '.join(str(error).split())}")
    else:
        say(f"report: {path}")
