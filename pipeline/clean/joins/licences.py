"""Finds a file and a licence for each distinct text of GitHub's files. Such a text is called a content. Several files
can have the same content.

The input has three tables: contents (id and text), files (repository, path and content id), and licences (repository
and licence). Contents are written to disk. Workers exchange only their ids.
"""

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
from pipeline.clean import tags
from pipeline.clean.batch_address import BATCH_ID, ROW, TAG_ATTRIBUTES, part_of
from pipeline.clean.job import SourceJob
from pipeline.clean.joins.kind import Joined, JoinGraph
from pipeline.clean.ledger import Ledger
from pipeline.clean.pass_graph import Side, collect, open_pass
from pipeline.clean.passes import ReadUnits, SegmentDoFn
from pipeline.clean.segments import Segment
from pipeline.clean.tags import COUNTS
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.github.reader import choose_copy
from pipeline.sources.source import Rejected, TableRow

BY_REPO, BY_CONTENT = "by_repo", "by_content"

_encoded = json.JSONEncoder(ensure_ascii=False).encode
_sorted_encoded = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_decoded = json.JSONDecoder().decode  # json.dumps would make an encoder for each call, and json.loads guess an encoding

_LICENCE, _FILE = b"\0", b"\1"
_CONTENT, _CANDIDATE = (
    b"\0",
    b"\1",
)  # Contents sort first, so that the candidates can be streamed. The empty content has millions.


def _keyed(key: str, order: bytes, body: bytes, num_buckets: int) -> tuple[int, bytes]:
    """Returns (bucket, payload). The payload has the key first, then ``order``, then ``body``. So payloads are sorted
    by key, and payloads with the same key by ``order``. The bucket depends only on the key.
    """
    name = key.encode()
    return xxhash.xxh3_64_intdigest(name) % num_buckets, name + b"\0" + order + body


def _parse(payload: bytes) -> tuple[bytes, bytes, bytes]:
    """Splits a payload of :func:`_keyed` into (key, order, body)."""
    name, _, rest = payload.partition(b"\0")
    return name, rest[:1], rest[1:]


class LicencesGraph(JoinGraph):
    """Builds the Beam graph of the join of GitHub's tables. A content is the text of one or more files.

    The graph finds a file and a licence for each content, reads the contents back from disk, and runs the first segment
    (the source's first steps) on them.
    """

    def expand(self, units: Any, job: SourceJob, segments: list[Segment], side: Side) -> Joined:
        num_buckets, shuffle = job.sizes.scale.num_key_buckets, job.places.shuffle
        raw = Segment(0, (), (), segments[0].dedups)
        tables = units | "read" >> beam.ParDo(ReadTables(job, raw)).with_outputs(tags.REFS, BY_REPO, BY_CONTENT, *side)
        collect(tables, side)
        files = (
            tables[BY_REPO]
            | "repositories" >> GroupBytes(num_buckets, shuffle)
            | "licences" >> beam.ParDo(LicenceOfFiles(job)).with_outputs(BY_CONTENT, tags.COUNTS)
        )
        side[tags.COUNTS].append(files[tags.COUNTS])
        chosen = (
            (tables[BY_CONTENT], files[BY_CONTENT])
            | "contents" >> GroupBytes(num_buckets, shuffle)
            | "choose_file" >> beam.ParDo(ChooseFile(job, raw)).with_outputs(*side, main="attributes")
        )
        collect(chosen, side)
        refs = (tables[tags.REFS], chosen.attributes)
        opened = refs | "gather_tables" >> GroupBytes(job.sizes.scale.num_parts, shuffle)
        return Joined(open_pass(opened, job, segments[0], side), segments[0], segments[1:])


class ReadTables(ReadUnits):
    """Reads three tables: the contents (texts of files), the files, and the licences.

    Writes the contents to temporary files. Sends the ids of the contents, and the rows of files and licences, to
    buckets.
    """

    def _run_first(self, batch: pa.RecordBatch, ledger: Ledger) -> pa.RecordBatch:
        return batch  # the steps of the source run after the licences are known

    def _send_keys(
        self, batch: pa.RecordBatch, batch_id: bytes, ledger: Ledger, rows: np.ndarray | None = None
    ) -> Iterator[TaggedOutput]:
        assert rows is None, "tables are read before anything is dropped"
        num_buckets = self._job.sizes.scale.num_key_buckets
        for row, (content_id, repo) in enumerate(
            zip(batch.column("id").to_pylist(), batch.column("repo_name").to_pylist(), strict=True)
        ):
            if repo is None:  # rows of a table that is already joined have their repository
                ledger.send("contents", 1)
                yield TaggedOutput(BY_CONTENT, _keyed(content_id, _CONTENT, batch_id + ROW.pack(row), num_buckets))

    def _table_row(self, row: TableRow, ledger: Ledger) -> Iterator[TaggedOutput]:
        fields = row.row
        order = _LICENCE if row.table == "licenses" else _FILE
        ledger.send("table rows", 1)
        body = _sorted_encoded(fields).encode()
        yield TaggedOutput(BY_REPO, _keyed(fields["repo_name"], order, body, self._job.sizes.scale.num_key_buckets))


class LicenceOfFiles(beam.DoFn):
    """Adds to each file the licence of its repository. Takes the files and licences of a bucket of repositories.

    Yields a payload per file. Its key is the id of the file's content (text). Its value has the repository, the path
    and the licence.
    """

    def __init__(self, job: SourceJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        for repo, payloads in itertools.groupby(group[1], key=lambda p: p.partition(b"\0")[0]):
            licence = None
            for payload in payloads:
                _, order, body = _parse(payload)
                row = _decoded(body.decode())
                ledger.receive("table rows", 1)
                if order == _LICENCE:
                    licence = licence or row["license"]
                    continue
                candidate = _encoded([repo.decode(), row["path"], licence]).encode()
                ledger.send("candidates", 1)
                yield TaggedOutput(
                    BY_CONTENT, _keyed(row["id"], _CANDIDATE, candidate, self._job.sizes.scale.num_key_buckets)
                )
        yield TaggedOutput(COUNTS, dict(ledger.counts))


class ChooseFile(SegmentDoFn):
    """Chooses one file for each content (text). Several files can have the same content, but it becomes only one
    document. This document gets the repository, the path and the licence of the chosen file.
    """

    def __init__(self, job: SourceJob, segment: Segment) -> None:
        super().__init__(job, segment)
        # The step that drops contents by licence must allow the same licences as this join, so its setting is used.
        steps = (step.families for step in job.source.steps if isinstance(step, AllowedLicence))
        self._families = next(steps, PERMISSIVE)  # the default, for sources without that step

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
        for order, group in itertools.groupby(map(_parse, payloads), key=lambda p: p[1]):
            if order == _CONTENT:
                contents = [address for _, _, address in group]
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
        attributes = _encoded(dict(zip(("repo_name", "path", "license"), chosen, strict=True))).encode()
        for address in contents:
            batch_id, row = address[: BATCH_ID.size], address[BATCH_ID.size :]
            ledger.send("attributes", 1)
            payload = batch_id + bytes([TAG_ATTRIBUTES]) + row + attributes
            yield part_of(batch_id, self._job.sizes.scale.num_parts), payload

    @staticmethod
    def _candidates(
        group: Iterable[tuple[bytes, bytes, bytes]], ledger: Ledger
    ) -> Iterator[tuple[str, str, str | None]]:
        for _, _, body in group:
            ledger.receive("candidates", 1)
            repo, path, licence = _decoded(body.decode())
            yield repo, path, licence
