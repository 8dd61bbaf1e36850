"""Line dedup over all documents of a scope: hashes travel in packed arrays, texts never do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipeline.ledger import Ledger
from pipeline.plan import GlobalStep, SourceJob, part_of
from pipeline.sources.base import LineDedup
from pipeline.transforms.group import GroupBytes
from pipeline.transforms.keys import ROW, lost_lines, parse_line_payload
from pipeline.transforms.segment import COUNTS


class DedupLines(beam.PTransform):
    """Line hashes of batches -> (verdicts, counts). A verdict is (part, batch id + tag + bucket + hashes to drop).

    A worker holds one bucket: 17 bytes a distinct line of a batch, and the same again three times to sort it.
    """

    def __init__(self, job: SourceJob, global_step: GlobalStep) -> None:
        super().__init__()
        self._job, self._global_step = job, global_step

    def expand(self, lines: Any) -> tuple[list[Any], list[Any]]:
        outcome = (
            lines
            | "group" >> GroupBytes(self._job.scale.num_line_buckets, self._job.shuffle_dir)
            | "judge" >> beam.ParDo(_LostLines(self._job, self._global_step)).with_outputs(COUNTS, main="verdicts")
        )
        return [outcome.verdicts], [outcome[COUNTS]]


class _LostLines(beam.DoFn):
    def __init__(self, job: SourceJob, global_step: GlobalStep) -> None:
        self._job, self._global_step = job, global_step

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        bucket, payloads = group
        step = self._global_step.step
        assert isinstance(step, LineDedup)
        parsed = [parse_line_payload(p, step.keep) for p in payloads]
        lost = lost_lines([p[1] for p in parsed], [p[2] for p in parsed], step.keep)
        ledger = Ledger(self._job.source.name, 0)
        tag = bytes([self._global_step.tag])
        for (batch_id, hashes, _), gone in zip(parsed, lost, strict=True):
            ledger.receive(f"{step.NAME} lines", len(hashes))
            ledger.send(f"{step.NAME} verdicts", len(gone))
            if len(gone):
                body = ROW.pack(bucket) + gone.astype("<u8").tobytes()
                yield part_of(batch_id, self._job.scale.num_parts), batch_id + tag + body
        yield TaggedOutput(COUNTS, dict(ledger.counts))
