"""GitHub's three tables: a content's file rows by id, a file's licence by repository. No content travels."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import xxhash
from apache_beam.pvalue import TaggedOutput

from filters.code.steps import PERMISSIVE, AllowedLicence
from pipeline.clean.batch_address import BATCH_ID, TAG_ATTRIBUTES, part_of
from pipeline.clean.dedup.exact_keys import ROW
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.passes import ReadUnits, SegmentDoFn
from pipeline.clean.segments import Segment
from pipeline.clean.tags import COUNTS
from pipeline.sources.github.reader import choose_copy
from pipeline.sources.source import Rejected, TableRow

BY_REPO, BY_CONTENT = "by_repo", "by_content"

_LICENCE, _FILE = b"\0", b"\1"
_CONTENT, _CANDIDATE = b"\0", b"\1"  # contents first: the empty file has millions of candidates, which are streamed


def _keyed(key: str, order: bytes, body: bytes, num_buckets: int) -> tuple[int, bytes]:
    name = key.encode()
    return xxhash.xxh3_64_intdigest(name) % num_buckets, name + b"\0" + order + body


def _parts(payload: bytes) -> tuple[bytes, bytes, bytes]:
    name, _, rest = payload.partition(b"\0")
    return name, rest[:1], rest[1:]


class ReadTables(ReadUnits):
    """Reads the three tables: contents are spilled, their ids and the rows of the other two go to their buckets."""

    def _run_first(self, batch: pa.RecordBatch, ledger: Ledger) -> pa.RecordBatch:
        return batch  # the source's steps wait for the licences

    def _ask(
        self, batch: pa.RecordBatch, batch_id: bytes, ledger: Ledger, rows: np.ndarray | None = None
    ) -> Iterator[TaggedOutput]:
        assert rows is None, "tables are read before anything is dropped"
        num_buckets = self._job.scale.num_key_buckets
        for row, (content_id, repo) in enumerate(
            zip(batch.column("id").to_pylist(), batch.column("repo_name").to_pylist(), strict=True)
        ):
            if repo is None:  # a row of a joined table knows its repository already
                ledger.send("contents", 1)
                yield TaggedOutput(BY_CONTENT, _keyed(content_id, _CONTENT, batch_id + ROW.pack(row), num_buckets))

    def _table_row(self, row: TableRow, ledger: Ledger) -> Iterator[TaggedOutput]:
        fields = row.row
        order = _LICENCE if row.table == "licenses" else _FILE
        ledger.send("table rows", 1)
        body = json.dumps(fields, ensure_ascii=False, sort_keys=True).encode()
        yield TaggedOutput(BY_REPO, _keyed(fields["repo_name"], order, body, self._job.scale.num_key_buckets))


class LicenceOfFiles(beam.DoFn):
    """A bucket of repositories -> for every file row: (bucket of its content, repository, path, licence)."""

    def __init__(self, job: SourceJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        for repo, payloads in itertools.groupby(group[1], key=lambda p: p.partition(b"\0")[0]):
            licence = None
            for payload in payloads:
                _, order, body = _parts(payload)
                row = json.loads(body)
                ledger.receive("table rows", 1)
                if order == _LICENCE:
                    licence = licence or row["license"]
                    continue
                candidate = json.dumps([repo.decode(), row["path"], licence], ensure_ascii=False).encode()
                ledger.send("candidates", 1)
                yield TaggedOutput(
                    BY_CONTENT, _keyed(row["id"], _CANDIDATE, candidate, self._job.scale.num_key_buckets)
                )
        yield TaggedOutput(COUNTS, dict(ledger.counts))


class ChooseFile(SegmentDoFn):
    """A bucket of contents and their file rows -> of each content the one file it is recorded as."""

    def __init__(self, job: SourceJob, segment: Segment) -> None:
        super().__init__(job, segment)
        # The licences that the source's own step lets through: the two must not disagree.
        steps = (step.families for step in job.source.steps if isinstance(step, AllowedLicence))
        self._families = next(steps, PERMISSIVE)  # the step may be off

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = self._ledger()
        for _, payloads in itertools.groupby(group[1], key=lambda p: p.partition(b"\0")[0]):
            yield from self._content(payloads, ledger)
            if ledger.is_full:
                yield from self._dropped(ledger, BATCH_ID.pack(group[0], 0, 1))
        yield from self._close(ledger, BATCH_ID.pack(group[0], 0, 0))

    def _content(self, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[tuple[int, bytes]]:
        contents: list[bytes] = []
        chosen = None
        for order, group in itertools.groupby(map(_parts, payloads), key=lambda p: p[1]):
            if order == _CONTENT:
                contents = [place for _, _, place in group]
                ledger.receive("contents", len(contents))
                continue
            candidates = self._candidates(group, ledger)
            if contents:
                chosen = choose_copy(candidates, families=self._families)
                continue
            for repo, path, _ in candidates:
                ledger.reject(Rejected(location=f"{repo}/{path}", reason="file_without_content", is_bad=False))
        if chosen is None:
            return
        found = json.dumps(
            dict(zip(("repo_name", "path", "license"), chosen, strict=True)), ensure_ascii=False
        ).encode()
        for place in contents:
            batch_id, row = place[: BATCH_ID.size], place[BATCH_ID.size :]
            ledger.send("attributes", 1)
            yield part_of(batch_id, self._job.scale.num_parts), batch_id + bytes([TAG_ATTRIBUTES]) + row + found

    @staticmethod
    def _candidates(
        group: Iterable[tuple[bytes, bytes, bytes]], ledger: Ledger
    ) -> Iterator[tuple[str, str, str | None]]:
        for _, _, body in group:
            ledger.receive("candidates", 1)
            repo, path, licence = json.loads(body)
            yield repo, path, licence
