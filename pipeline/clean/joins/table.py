"""Maps the settings of each join to its code. To add a join, add a file to this folder and a line to this module."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.clean.joins.answers import AnswersGraph
from pipeline.clean.joins.kind import JoinGraph
from pipeline.clean.joins.licences import LicencesGraph
from pipeline.sources.github.reader import LicenceJoin
from pipeline.sources.source import Join
from pipeline.sources.stack_exchange.answers import AnswerJoin

JOINS: Mapping[type[Join], JoinGraph] = {
    AnswerJoin: AnswersGraph(),
    LicenceJoin: LicencesGraph(),
}


def graph_of(join: Join) -> JoinGraph:
    """Returns the Beam graph of a join."""
    return JOINS[type(join)]
