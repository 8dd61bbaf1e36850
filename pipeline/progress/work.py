"""The size of one stage of a job, as the progress display needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage has to do, where it is known before it begins."""

    units: int
    """Files to read, or parts to write."""
    num_bytes: int
    """Stored bytes of the input that it stands for: what it weighs among the stages of a job."""
