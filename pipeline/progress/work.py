"""Defines the amount of work of a stage, which the progress display needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """The amount of work of a stage, known before the stage begins."""

    units: int
    """The number of files to read, or of parts to write."""
    num_bytes: int
    """The stored bytes of the stage's input. They decide how much the stage counts among the stages of a job."""
