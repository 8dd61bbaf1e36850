"""Searches the user's pages for pages that Wikipedia cites. Workers exchange only hashes of addresses, never texts. A
key is the hash of a page's address. If pages are joined by host, it is the hash of the host. A unit is a piece of the
input that one worker reads.

    dumps -> keys of cited addresses  \\
                                        group by key -> places (unit, row) of the cited pages
    pages -> keys of their addresses  /                 and of a random sample of all pages

A second job reads the units again, and writes the texts of the pages at the chosen places.
"""

from __future__ import annotations

import heapq
import itertools
import json
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa
import xxhash
from apache_beam.pvalue import TaggedOutput

from filters.ccnet.length import MinLength
from filters.language.detect import Language
from filters.urls import site_of, url_key
from filters.wikitext.cited_urls import cited_urls
from pipeline.engine.group_bytes import GroupBytes
from pipeline.engine.unit_list import UnitElement
from pipeline.files.files import join, open_file, read_bytes, write_bytes, written_whole
from pipeline.files.parquet_files import parquet_batches
from pipeline.files.spill import Shuffle
from pipeline.models.load import loaded_models
from pipeline.sources.common_crawl import CommonCrawlReader
from pipeline.sources.source import Unit
from pipeline.sources.wikipedia.reader import WikipediaReader

KEY_BYTES = 16
PLACE = struct.Struct(">II")
"""The binary form of a page's place: the number of the unit, and the number of the page in the unit."""
CLEAN = "clean"
"""The kind of a unit that has clean documents in a Parquet file."""
By = Literal["url", "host"]

UNCERTAIN = "no certain language"
"""The name under which pages are counted whose most likely language has a low score."""

_CITED, _PAGE = b"\0", b"\1"
_MAX_HELD_KEYS = 1_000_000
_ROWS = 1024
_KEYS: dict[str, Callable[[str], str]] = {"url": url_key, "host": site_of}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceJob:
    """Holds the settings of the two jobs: the job that chooses pages, and the job that writes their texts."""

    by: By
    """The key by which pages and citations are joined: the address (``url``) or the host."""
    max_pages: int
    """The largest number of cited pages that are chosen: those with the smallest hashes. At most as many random pages
    are chosen as cited ones.
    """
    num_buckets: int
    languages: tuple[str, ...]
    """The languages of the pages to use from WET and WARC files; empty for all languages. Clean documents were already
    filtered by language, so they are not filtered again.
    """
    language_model: Any
    """The path of the language identification model; None if it is not needed."""
    seed: int
    work_dir: str
    shuffle: Shuffle

    @property
    def found_path(self) -> str:
        return join(self.work_dir, f"found-by-{self.by}.json")

    @property
    def places_path(self) -> str:
        return join(self.work_dir, f"places-by-{self.by}.bin")


class FindReferences(beam.PTransform):
    """Chooses the pages on which a reference model is trained: pages that Wikipedia cites, and a random sample of all
    pages. Takes two PCollections of units (pieces of the input): the Wikipedia dumps, and the pages to search.

    Writes the places of the chosen pages to one file, and a summary to a second file. Outputs the path of the summary.
    """

    def __init__(self, job: ReferenceJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, inputs: tuple[Any, Any]) -> Any:
        dumps, units = inputs
        cited = dumps | "cited" >> beam.ParDo(_CitedKeys(self._job))
        pages = units | "pages" >> beam.ParDo(_PageKeys(self._job)).with_outputs("samples", main="keys")
        matched = (
            (cited, pages.keys)
            | "group" >> GroupBytes(self._job.num_buckets, self._job.shuffle)
            | "match" >> beam.ParDo(_Match())
        )
        return (
            (matched, pages.samples)
            | "flatten" >> beam.Flatten()
            | "gather" >> beam.GroupByKey()
            | "choose" >> beam.ParDo(_Choose(self._job))
        )


def pages_of(
    unit: Unit, job: ReferenceJob, models: dict[str, Any], left_out: Counter[str] | None = None
) -> Iterator[tuple[int, str, str]]:
    """Yields (number of the page in the unit, url, text) for the pages of a unit.

    From a unit of clean documents, no page is left out. From a WET or WARC file, pages that are too short are left out.
    If ``job.languages`` is not empty, the file's pages in other languages are left out too.

    Args:
        left_out: the pages that are left out are counted here, by language. Pages that are too short are counted under
            an empty text. Pages whose language is uncertain are counted under :data:`UNCERTAIN`.
    """
    if unit.kind == CLEAN:
        batches = parquet_batches(unit.path, ["url", "text"], batch_size=_ROWS)
        for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
            yield number, row["url"] or "", row["text"]
        return
    left_out = Counter() if left_out is None else left_out
    documents = (d for d in CommonCrawlReader().read(unit, open_file) if isinstance(d, dict))
    for number, document in enumerate(documents):
        batch = pa.record_batch({"text": [document["text"]]})
        if MinLength().apply(batch, models).verdict[0].as_py() is not None:
            left_out[""] += 1
            continue
        judged = Language(languages=job.languages).apply(batch, models) if job.languages else None
        reason = judged.verdict[0].as_py() if judged else None
        if judged and reason is not None:
            left_out[judged.columns["language"][0].as_py() if reason == "other_language" else UNCERTAIN] += 1
            continue
        yield number, document["url"], document["text"]


def _digest(key: str) -> bytes:
    return xxhash.xxh3_128_digest(key.encode("utf-8", "surrogateescape"))


class _Reading(beam.DoFn):
    def __init__(self, job: ReferenceJob) -> None:
        self._job = job
        self._models: dict[str, Any] = {}

    def setup(self) -> None:
        if self._job.language_model is not None:
            self._models = loaded_models((Language(),), {"language": self._job.language_model})

    def _bucket(self, digest: bytes) -> int:
        return int.from_bytes(digest[:8], "big") % self._job.num_buckets


class _CitedKeys(_Reading):
    """Yields the keys (hashes) of the addresses or hosts that a Wikipedia dump cites.

    A set of the yielded keys prevents most repetitions. To limit the memory, the set is emptied when it has a million
    keys. So a key can be yielded more than once.
    """

    def process(self, element: UnitElement) -> Iterator[tuple[int, bytes]]:
        key_of, seen = _KEYS[self._job.by], set()
        for page in WikipediaReader().read(element[2], open_file):
            for url in cited_urls(page["text"]) if isinstance(page, dict) else ():
                key = key_of(url)
                digest = _digest(key)
                if key and digest not in seen:
                    seen.add(digest)
                    yield self._bucket(digest), digest + _CITED
            if len(seen) >= _MAX_HELD_KEYS:
                seen.clear()


class _PageKeys(_Reading):
    """Yields the key of each page (the hash of its address or host), and the place of the page.

    Also yields the places of a random sample of the pages: those whose text and address have the smallest hashes.
    """

    def process(self, element: UnitElement) -> Iterator[Any]:
        place_of_unit, _, unit = element
        key_of, num_pages = _KEYS[self._job.by], 0
        places: list[tuple[int, bytes]] = []
        left_out: Counter[str] = Counter()
        for row, url, text in pages_of(unit, self._job, self._models, left_out):
            num_pages += 1
            place = PLACE.pack(place_of_unit, row)
            # The hash is of the page, not of its place. So the sample is the same however the input is split into
            # files.
            places.append((xxhash.xxh3_64_intdigest(f"{url}\n{text[:1000]}".encode(), seed=self._job.seed), place))
            if len(places) >= 2 * self._num_sampled + _ROWS:
                places = heapq.nsmallest(self._num_sampled, places)
            key = key_of(url)
            if key:
                digest = _digest(key)
                yield self._bucket(digest), digest + _PAGE + place
        places = heapq.nsmallest(self._num_sampled, places)
        data = b"".join(struct.pack(">Q", rank) + place for rank, place in places)
        yield TaggedOutput("samples", (0, ("sample", num_pages, data)))
        for language, number in left_out.items():
            yield TaggedOutput("samples", (0, ("left out", number, language.encode())))

    @property
    def _num_sampled(self) -> int:
        return 2 * self._job.max_pages + _ROWS  # more than needed, because some pages turn out to be cited


class _Match(beam.DoFn):
    """Finds the cited pages in one bucket of keys, and yields their places.

    The payloads of a bucket are sorted by key. So the citation of a key, if there is one, comes before the pages with
    this key.
    """

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, tuple[str, int, bytes]]]:
        num_cited, places = 0, []
        for _, payloads in itertools.groupby(group[1], key=lambda payload: payload[:KEY_BYTES]):
            is_cited = False
            for payload in payloads:
                if payload[KEY_BYTES : KEY_BYTES + 1] == _CITED:
                    num_cited += not is_cited
                    is_cited = True
                elif is_cited:
                    places.append(payload[:KEY_BYTES] + payload[KEY_BYTES + 1 :])
        yield 0, ("matched", num_cited, b"".join(places))


class _Choose(beam.DoFn):
    """Chooses the cited pages and the random pages that are used for training.

    Writes the places of these pages to one file. Writes a summary with the numbers of pages to a second file.
    """

    def __init__(self, job: ReferenceJob) -> None:
        self._job = job

    def process(self, group: tuple[int, Iterable[tuple[str, int, bytes]]]) -> Iterator[str]:
        job = self._job
        cited: list[tuple[int, bytes]] = []
        samples: list[tuple[int, bytes]] = []
        numbers = {"pages": 0, "cited": 0}
        left_out: Counter[str] = Counter()
        for kind, number, data in group[1]:
            if kind == "left out":
                left_out[data.decode()] += number
                continue
            numbers["pages" if kind == "sample" else "cited"] += number
            if kind == "sample":
                samples += [(rank, place) for rank, place in struct.iter_unpack(">Q8s", data)]
            else:
                matches = struct.iter_unpack(f">{KEY_BYTES}s{PLACE.size}s", data)
                cited += [(xxhash.xxh3_64_intdigest(key, seed=job.seed), place) for key, place in matches]
        positives = [place for _, place in heapq.nsmallest(job.max_pages, cited)]
        taken = {place for _, place in cited}
        others = [place for _, place in sorted(samples) if place not in taken]
        negatives = others[: len(positives)]
        write_bytes(job.places_path, b"".join(positives + negatives))
        found = {"pages": numbers["pages"], "cited": numbers["cited"], "matched": len(cited),
                 "positives": len(positives), "negatives": len(negatives), "left_out": left_out}  # fmt: skip
        write_bytes(job.found_path, json.dumps(found).encode())
        yield job.found_path


class WriteChosen(beam.PTransform):
    """Writes the chosen pages as JSON lines with ``label``, ``url`` and ``text``.

    Each unit (input piece) that has chosen pages gets one file.
    """

    def __init__(self, job: ReferenceJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, units: Any) -> Any:
        return units | "write" >> beam.ParDo(_WriteChosen(self._job))


class _WriteChosen(_Reading):
    def setup(self) -> None:
        super().setup()
        num_positives = json.loads(read_bytes(self._job.found_path))["positives"]
        found = np.frombuffer(read_bytes(self._job.places_path), ">u4").reshape(-1, 2)
        self._labels: dict[int, dict[int, str]] = {}
        for index, (unit, row) in enumerate(found.tolist()):
            self._labels.setdefault(unit, {})[row] = "wiki" if index < num_positives else "cc"

    def process(self, element: UnitElement) -> Iterator[str]:
        number, _, unit = element
        labels = self._labels.get(number)
        if not labels:
            return
        path = join(self._job.work_dir, f"chosen-by-{self._job.by}", f"pages-{number:08d}.jsonl")
        with written_whole(path) as sink:
            for row, url, text in pages_of(unit, self._job, self._models):
                if row in labels:
                    line = {"label": labels[row], "url": url, "text": text}
                    sink.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        yield path
