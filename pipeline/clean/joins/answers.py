"""Joins the posts of Stack Exchange: a question and its answers become one document.

This is the only join in which workers exchange texts.
"""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import orjson
import pyarrow as pa
import xxhash
from apache_beam.pvalue import AsDict, TaggedOutput

from pipeline.clean.batch_address import BATCH_ID
from pipeline.clean.job import SourceJob
from pipeline.clean.joins.kind import Joined, JoinGraph
from pipeline.clean.ledger import Ledger
from pipeline.clean.pass_graph import Side, collect, tags_of
from pipeline.clean.passes import ReadUnits, SegmentDoFn
from pipeline.clean.segments import Segment
from pipeline.engine.group_bytes import GroupBytes
from pipeline.engine.unit_list import UnitElement
from pipeline.sources.source import Rejected, TableRow
from pipeline.sources.stack_exchange.answers import SITES_STAGE, AnswerJoin

POSTS, SITES = "posts", "sites"
SMALL_SITE = "small_site"

_QUESTION = struct.Struct(">q?q")  # id of the question, True if the post is an answer, id of the post


class AnswersGraph(JoinGraph):
    """Groups posts by site and question, makes documents from them, and runs the first segment (the first steps of the
    source) on the documents.
    """

    def expand(self, units: Any, job: SourceJob, segments: list[Segment], side: Side) -> Joined:
        segment, *following = segments
        posts = units | "read" >> beam.ParDo(ReadPosts(job, segment)).with_outputs(POSTS, SITES, *side)
        collect(posts, side)
        sites = posts_per_site(posts[SITES])
        groups = posts[POSTS] | "questions" >> GroupBytes(job.sizes.scale.num_key_buckets, job.places.shuffle)
        assemble = beam.ParDo(AssembleAnswers(job, segment), sites)
        output = groups | "assemble" >> assemble.with_outputs(*tags_of(segment), *side)
        collect(output, side)
        return Joined(output, segment, following)


def answer_join(job: SourceJob) -> AnswerJoin:
    """Returns the join of a job, which must be a join of questions and answers."""
    join = job.source.join
    assert isinstance(join, AnswerJoin)
    return join


class ReadPosts(ReadUnits):
    """Reads posts, sends each post to the bucket of its question, and counts the posts per site.

    A post is sent as JSON. It is written by orjson, which is several times faster than the standard library.
    """

    def process(self, element: UnitElement) -> Iterator[TaggedOutput]:
        self._num_posts: Counter[str] = Counter()
        yield from super().process(element)

    def _close(self, ledger: Ledger, work_id: bytes) -> Iterator[TaggedOutput]:
        ledger.send("posts", self._num_posts.total())
        yield from super()._close(ledger, work_id)
        for one in self._num_posts.items():
            yield TaggedOutput(SITES, one)

    def _table_row(self, row: TableRow, ledger: Ledger) -> Iterator[TaggedOutput]:
        post = row.row
        site, question_id = answer_join(self._job).group_key(post)
        key = site.encode() + b"\0"
        order = _QUESTION.pack(question_id, not post["is_question"], post["post_id"])
        bucket = xxhash.xxh3_64_intdigest(key + order[:8]) % self._job.sizes.scale.num_key_buckets
        self._num_posts[site] += 1
        yield TaggedOutput(POSTS, (bucket, key + order + orjson.dumps(post)))


class AssembleAnswers(SegmentDoFn):
    """Makes a document from each question and its answers, and runs the first segment (the source's first steps) on the
    documents.

    The side input ``num_posts`` maps each site to its number of posts. If the settings name no sites, the largest sites
    are chosen with these numbers. Documents of other sites are dropped.
    """

    def process(self, group: tuple[int, Iterable[bytes]], num_posts: dict[str, int]) -> Iterator[TaggedOutput]:
        bucket, payloads = group
        ledger = self._ledger()
        self._sites = answer_join(self._job).choose_sites(num_posts)
        yield from self._run_documents(self._documents(payloads, ledger), (bucket, 0), ledger, [])
        yield from self._close(ledger, BATCH_ID.pack(bucket, 0, 0))

    def _documents(self, payloads: Iterable[bytes], ledger: Ledger) -> Iterator[dict[str, Any] | None]:
        for _, posts in itertools.groupby(payloads, key=_question_of):
            rows = [orjson.loads(p[p.index(b"\0") + 1 + _QUESTION.size :]) for p in posts]
            ledger.receive("posts", len(rows))
            for made in answer_join(self._job).assemble(rows):
                if isinstance(made, Rejected):
                    ledger.reject(made)
                else:
                    yield made
            if ledger.is_full:
                yield None

    def _run_first(self, batch: pa.RecordBatch, ledger: Ledger) -> pa.RecordBatch:
        sites = batch.column("site").to_pylist()
        verdict = pa.array([None if s in self._sites else SMALL_SITE for s in sites], pa.string())
        batch, _ = ledger.split(SITES_STAGE, batch, batch, verdict, batch.column("site"))
        return super()._run_first(batch, ledger)


def _question_of(payload: bytes) -> bytes:
    return payload[: payload.index(b"\0") + 9]


def posts_per_site(sites: Any) -> Any:
    """Returns a dict from each site to its number of posts, as a Beam side input. Every worker gets this dict, which is
    small: there are only a few hundred sites.
    """
    return AsDict(sites | "posts_per_site" >> beam.CombinePerKey(sum))
