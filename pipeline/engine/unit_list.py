"""Reads the units of a source from a file. A unit is a piece of the input, such as a file. A list of 100,000 units
would not fit into the graph of a job.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from pipeline.files.checked import read_checked, write_checked
from pipeline.sources.source import Unit


def write_unit_list(path: str, units: Sequence[Unit]) -> None:
    """Writes units to a file that :class:`ReadUnitList` reads, one unit per line."""
    lines = (json.dumps(dataclasses.asdict(unit), ensure_ascii=False) for unit in units)
    write_checked(path, "".join(line + "\n" for line in lines).encode())


class ReadUnitList(beam.PTransform):
    """Reads a list of units and spreads them over the workers. Outputs each unit with its number in the list."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, begin: Any) -> Any:
        units = begin | "list" >> beam.Create([self._path]) | "read" >> beam.FlatMap(_units)
        return units | "spread" >> beam.Reshuffle()


def _units(path: str) -> Iterator[UnitElement]:
    for number, line in enumerate(read_checked(path).decode().split("\n")[:-1]):  # a name can contain U+2028
        yield number, 0, Unit(**json.loads(line))


UnitElement = tuple[int, int, Unit]
"""A tuple (number of the unit in its source, number of the chunk, unit). A chunk is a part of an unpacked container
file, such as a .7z file. If nothing was unpacked, the chunk's number is 0."""
