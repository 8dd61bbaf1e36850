"""The shape of a join: how the records of a source's input become documents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from pipeline.clean.job import SourceJob
from pipeline.clean.pass_graph import Side
from pipeline.clean.segments import Segment


class Joined(NamedTuple):
    """Where the graph of a source goes on after its join."""

    output: Any
    """The tagged outputs of the pass that ran ``segment``."""
    segment: Segment
    following: list[Segment]
    """The segments that are still to run."""


class JoinGraph(ABC):
    """The Beam graph of one kind of join."""

    @abstractmethod
    def expand(self, units: Any, job: SourceJob, segments: list[Segment], side: Side) -> Joined:
        """Adds the graph that reads units, joins their records and runs the first segment on the documents."""
