"""The list of a source's units, from a file: a hundred thousand input files do not fit into a job's graph."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from pipeline.engine.same_code import check_same, expected_of
from pipeline.files.checked import read_checked, write_checked
from pipeline.sources.source import Unit


def write_unit_list(path: str, units: Sequence[Unit]) -> None:
    """Writes units, a line each, where :class:`ReadUnitList` finds them."""
    lines = (json.dumps(dataclasses.asdict(unit), ensure_ascii=False) for unit in units)
    write_checked(path, "".join(line + "\n" for line in lines).encode())


class ReadUnitList(beam.PTransform):
    """The units of a list, numbered, spread over the workers."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, begin: Any) -> Any:
        units = (
            begin | "list" >> beam.Create([self._path]) | "read" >> beam.FlatMap(_units, expected_of(begin.pipeline))
        )
        return units | "spread" >> beam.Reshuffle()


def _units(path: str, code: dict[str, str] | None) -> Iterator[UnitElement]:
    check_same(code)
    for number, line in enumerate(read_checked(path).decode().split("\n")[:-1]):  # a name may hold U+2028
        yield number, 0, Unit(**json.loads(line))


UnitElement = tuple[int, int, Unit]
"""(number of the unit among the source's, chunk of an unpacked unit, unit)."""
