"""Defines the amount of work of a stage, which the progress display needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """Holds the amount of work of a stage, as it is known before the stage begins."""

    units: int
    """The number of files to read, or of parts to write."""
    num_bytes: int
    """The stored bytes of the stage's input. The estimate of the remaining time weights a job's stages by these
    bytes.
    """
