"""Runs the exact dedup. If several documents of a source have the same key, for example the same URL, one of them is
kept. The order of the files does not affect the choice.

All documents with the same key are compared by one worker. A source can come in dumps (crawls). If an earlier dump
keeps a document with this key, that document is always chosen. So a newer dump changes nothing in an older dump.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipeline.clean import counts as c
from pipeline.clean.batch_address import ROW, part_of
from pipeline.clean.dedup.earlier_dumps import EarlierKeys, KeyFileWriter, earlier_name
from pipeline.clean.dedup.exact_keys import (
    KEY_BYTES,
    bucket_of_key,
    key_rows,
    layout_of,
    next_contest,
    parse_key_row,
)
from pipeline.clean.dedup.kind import Chain, DedupKind, KeyTools, NumberedBatch, drop_rows
from pipeline.clean.job import SourceJob
from pipeline.clean.ledger import Ledger
from pipeline.clean.segments import GlobalStep
from pipeline.clean.tags import COUNTS, key_tag
from pipeline.clean.verdicts import Verdicts
from pipeline.engine.group_bytes import GroupBytes
from pipeline.sources.dedup_steps import ExactDedup

KEY_FILES = "key_files"
"""The tag of the output that has the paths of the key files that a dedup writes."""

_KEY = operator.itemgetter(slice(KEY_BYTES))


class ExactKind(DedupKind):
    """Runs exact dedups. Several exact dedups that follow each other form a chain. One pass over the texts sends the
    keys for all dedups of a chain.
    """

    def key_tags(self, chain: Chain) -> list[str]:
        return [key_tag(index) for index in range(len(chain))]

    def keys(self, numbered: NumberedBatch, chain: Chain, tools: KeyTools) -> Iterator[tuple[str, tuple[int, bytes]]]:
        steps = _steps_of(chain)
        tags, num_sent = self.key_tags(chain), [0] * len(steps)
        for index, payload in key_rows(numbered.batch, numbered.batch_id, steps, numbered.rows):
            num_sent[index] += 1
            yield tags[index], (bucket_of_key(payload, tools.scale.num_key_buckets), payload)
        _send_keys(tools.ledger, steps, num_sent)

    def graph(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]]) -> beam.PTransform:
        return DedupExact(job, chain, earlier)

    def apply(
        self, global_step: GlobalStep, numbered: NumberedBatch, verdicts: Verdicts, ledger: Ledger
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        return drop_rows(global_step, numbered, verdicts, ledger)


def _send_keys(ledger: Ledger, steps: Sequence[ExactDedup], num_sent: Sequence[int]) -> None:
    for step, number in zip(steps, num_sent, strict=True):
        ledger.send(f"{step.NAME} keys", number)


def _steps_of(chain: Chain) -> list[ExactDedup]:
    return [global_step.step for global_step in chain if isinstance(global_step.step, ExactDedup)]


class DedupExact(beam.PTransform):
    """Runs a chain of exact dedups, which are several exact dedups that follow each other. Takes one PCollection of
    keys per dedup. Outputs verdicts, counts and key files.

    A verdict says that a document is dropped. It consists of the number of an output part (file), and of bytes: batch
    id, tag (the number of the dedup), row in the batch, and the id of the document that is kept instead.

    The dedups of a chain run one after another. A document that one dedup drops does not take part in the next dedup.
    Otherwise a page could be dropped as a duplicate of a page that is itself dropped.

    If the job cleans a dump, it also writes key files with the keys of the kept documents. Newer dumps read these
    files. The output then maps each dedup to the paths of its key files. ``earlier`` contains the paths of the key
    files that earlier dumps write in the same run.
    """

    def __init__(self, job: SourceJob, chain: Chain, earlier: Mapping[str, Sequence[Any]] | None = None) -> None:
        super().__init__()
        self._job, self._chain, self._earlier = job, chain, earlier or {}

    def expand(self, keys: tuple[Any, ...]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        scale = self._job.sizes.scale
        waiting = [[rows] for rows in keys]
        verdicts, counts, key_files = [], [], {}
        for index, global_step in enumerate(self._chain):
            name = global_step.step.NAME
            if self._job.places.keys_dir is not None:
                steps = _steps_of(self._chain)
                files = [files for files in self._job.earlier_keys if files.step == name]
                whole = keys[0].pipeline | f"whole_{name}" >> beam.Create(files)
                rows = (whole, *self._earlier.get(name, ())) | f"earlier_{name}" >> EarlierKeys(self._job, steps, index)
                waiting[index].append(rows.rows)
                counts.append(rows[COUNTS])
            later = [key_tag(i) for i in range(index + 1, len(self._chain))]
            outcome = (
                tuple(waiting[index])
                | f"group_{name}" >> GroupBytes(scale.num_key_buckets, self._job.places.shuffle)
                | f"judge_{name}"
                >> beam.ParDo(_Contest(self._job, self._chain, index)).with_outputs(
                    COUNTS, KEY_FILES, *later, main="verdicts"
                )
            )
            for i in range(index + 1, len(self._chain)):
                waiting[i].append(outcome[key_tag(i)])
            verdicts.append(outcome.verdicts)
            counts.append(outcome[COUNTS])
            if self._job.places.keys_dir is not None:
                key_files[name] = outcome[KEY_FILES]
        return verdicts, counts, key_files


class _Contest(beam.DoFn):
    """Picks the document to keep for each key.

    The payloads of a bucket are sorted by key, then by the documents' rank. The first document of each key is kept.
    """

    def __init__(self, job: SourceJob, chain: Chain, index: int) -> None:
        self._job, self._chain, self._index = job, chain, index
        self._steps = _steps_of(chain)

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        bucket, payloads = group
        if self._job.places.keys_dir is None:
            yield from self._judged(payloads, None)
            return
        path = self._job.key_files(self._steps[self._index].NAME).path(bucket)
        with KeyFileWriter(path) as won:
            yield from self._judged(payloads, won)
        yield TaggedOutput(KEY_FILES, path)

    def _judged(self, payloads: Iterable[bytes], won: KeyFileWriter | None) -> Iterator[Any]:
        ledger = Ledger(self._job.source.name, 0)
        step, tag = self._steps[self._index], bytes([self._chain[self._index].tag])
        layout, scale = layout_of(self._steps, self._index), self._job.sizes.scale
        tags, num_sent = [key_tag(index) for index in range(len(self._steps))], [0] * len(self._steps)
        num_won = num_lost = num_earlier = 0
        for _, group in itertools.groupby(payloads, key=_KEY):
            rows = iter(group)
            winner = next(rows)
            kept = winner[layout.document_id :]
            for payload in rows:
                loser = parse_key_row(payload, layout)
                if layout.is_of_earlier_dump(payload):
                    raise AssertionError(f"two earlier dumps kept {loser.document_id} and {kept.decode()}")
                num_lost += 1
                body = ROW.pack(loser.row) + kept
                yield part_of(loser.batch_id, scale.num_parts), loser.batch_id + tag + body
            if layout.is_of_earlier_dump(winner):
                num_earlier += 1
                continue
            num_won += 1
            if won is not None:
                won.write(winner[:KEY_BYTES], kept.decode())
            if (following := next_contest(winner, layout)) is not None:
                index, payload = following
                num_sent[index] += 1
                yield TaggedOutput(tags[index], (bucket_of_key(payload, scale.num_key_buckets), payload))
        ledger.receive(f"{step.NAME} keys", num_won + num_lost)
        ledger.send(f"{step.NAME} verdicts", num_lost)
        ledger.receive(earlier_name(step), num_earlier)
        _send_keys(ledger, self._steps, num_sent)
        if won is not None:
            ledger.count(c.WON_STAGE, step.NAME, num_won)
        yield TaggedOutput(COUNTS, dict(ledger.counts))
