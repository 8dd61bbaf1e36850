"""Contains Beam transforms that list the files of a phase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from pipeline.tokenize.parts import Parts


class ListParts(beam.PTransform):
    """Lists the files that ``parts`` describes, and spreads them over the workers. Outputs (source, path)."""

    def __init__(self, parts: Sequence[Parts]) -> None:
        super().__init__()
        self._parts = list(parts)

    def expand(self, begin: Any) -> Any:
        files = begin | "list" >> beam.Create(self._parts) | "files" >> beam.FlatMap(_files)
        return files | "spread" >> beam.Reshuffle()


class ListNumbered(ListParts):
    """Lists the files that ``parts`` describes, and spreads them over the workers. Outputs (number, path). The number
    is the one in the file's name.
    """

    def expand(self, begin: Any) -> Any:
        files = begin | "list" >> beam.Create(self._parts) | "files" >> beam.FlatMap(_numbered)
        return files | "spread" >> beam.Reshuffle()


def _files(parts: Parts) -> Iterator[tuple[str, str]]:
    for number in parts.numbers:
        yield parts.source, parts.path(number)


def _numbered(parts: Parts) -> Iterator[tuple[int, str]]:
    for number in parts.numbers:
        yield number, parts.path(number)
