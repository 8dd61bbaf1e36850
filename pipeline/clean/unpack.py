"""Unpacks containers such as .7z into chunks. Only one task can read a container, but many tasks can read its chunks in
parallel.
"""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.pvalue import TaggedOutput

from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.passes import SegmentDoFn
from pipeline.engine.unit_list import UnitElement
from pipeline.files.files import open_file
from pipeline.progress import ticks as progress
from pipeline.sources.source import Rejected, Unit

UNITS = "units"


class UnpackUnits(SegmentDoFn):
    """Unpacks containers into spill files (temporary files). Takes units (pieces of the input that one worker reads).

    If a unit is a container, outputs one new unit per chunk of the container. Any other unit is passed on unchanged.
    """

    def setup(self) -> None:
        """Does nothing. This pass runs no steps, so it needs no models."""

    def process(self, element: UnitElement) -> Iterator[TaggedOutput]:
        number, _, unit = element
        reader = self._job.source.reader
        if unit.kind not in reader.CONTAINERS:
            yield TaggedOutput(UNITS, element)
            return
        ledger = self._ledger()
        chunk = 0
        for found in reader.unpack(unit, open_file):
            if isinstance(found, Rejected):
                ledger.reject(found)
                continue
            chunk += 1
            blob = self._spill.append(found.data)
            end = blob.start + blob.num_bytes
            piece = Unit(path=blob.path, num_bytes=blob.num_bytes, kind=found.kind, start=blob.start, end=end,
                         origin=found.origin)  # fmt: skip
            yield TaggedOutput(UNITS, (number, chunk, piece))
            progress.tick(self._job.places.progress_dir, f"{self._job.source.name}: unpack", num_bytes=blob.num_bytes)
        yield from self._close(ledger, BATCH_ID.pack(number, 0, 0))
