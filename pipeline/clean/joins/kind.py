"""Defines the interface of the joins. A join makes one document from several records, which can be in different
files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from pipeline.clean.job import SourceJob
from pipeline.clean.pass_graph import Side
from pipeline.clean.segments import Segment


class Joined(NamedTuple):
    """Holds the first part of a source's Beam graph: the join, and the pass that runs the first segment. A segment is a
    group of steps that one pass over the texts runs."""

    output: Any
    """The tagged outputs of the pass that runs ``segment``."""
    segment: Segment
    following: list[Segment]
    """The segments after ``segment``. They are not yet in the graph."""


class JoinGraph(ABC):
    """Builds the Beam graph of one kind of join."""

    @abstractmethod
    def expand(self, units: Any, job: SourceJob, segments: list[Segment], side: Side) -> Joined:
        """Adds to the Beam graph the passes that read the input, join its records, and run the first segment on the
        joined documents.
        """
