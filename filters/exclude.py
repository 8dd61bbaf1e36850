"""Drops the documents that takedowns and opt-outs name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from filters.step import Models, Outcome, Step

_COMMENT = re.compile(r"(?:^|\s)#")


def parse_exclusions(lines: Iterable[str]) -> frozenset[str]:
    """Reads the lines of an exclusion file. Returns their entries: ids, urls and hosts. Each line has one entry. A
    ``#`` at a line's start or after a space begins a comment.

    An entry without a slash is also returned in lower case, because hosts are compared in lower case. A url is also
    returned as the key of its page (:func:`page_of`), which is the same for all spellings of the url.

    >>> sorted(parse_exclusions(["# opt-outs", "Example.com", "", "doc-1  # by mail"]))
    ['Example.com', 'doc-1', 'example.com']
    """
    entries = [_COMMENT.split(line, maxsplit=1)[0].strip() for line in lines]
    kept = [e for e in entries if e]
    return frozenset(kept) | frozenset(e.lower() for e in kept if "/" not in e) | frozenset(map(page_of, kept)) - {""}


def page_of(url: str) -> str:
    """Returns a key that is the same for all spellings of a page's url; empty if ``url`` is not a url.

    >>> page_of("HTTP://Example.com/A/"), page_of("https://example.com/A"), page_of("doc-1")
    ('//example.com/A', '//example.com/A', '')
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not scheme.isalpha():
        return ""
    host, _, path = rest.partition("/")
    return f"//{host.lower()}/{path}".rstrip("/")


def host_of(url: str | None) -> str:
    """Returns the host of a url in lower case and without the port; empty if there is none.

    >>> host_of("https://News.Example.com:8080/a"), host_of(None)
    ('news.example.com', '')
    """
    if not url:
        return ""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:  # "http://[broken"
        return ""


def matched(document_id: str, url: str | None, entries: frozenset[str]) -> str | None:
    """Returns the entry that names this document (its id, url, host, or a parent domain of the host), or None.

    >>> matched("x", "https://a.example.com/1", frozenset({"example.com"}))
    'example.com'
    """
    if document_id in entries:
        return document_id
    if url and (url in entries or page_of(url) in entries):
        return url
    labels = host_of(url).split(".")
    for start in range(len(labels)):
        host = ".".join(labels[start:])
        if host and host in entries:
            return host
    return None


def naming_entries(batch: pa.RecordBatch, entries: frozenset[str]) -> pa.Array:
    """Returns one value per document of a batch: the entry that names the document, or null.

    >>> batch = pa.record_batch({"id": ["a", "b"], "url": ["https://example.com/1", None]})
    >>> naming_entries(batch, frozenset({"example.com"})).to_pylist()
    ['example.com', None]
    """
    ids = batch.column("id").to_pylist()
    urls = batch.column("url").to_pylist() if "url" in batch.schema.names else [None] * len(ids)
    return pa.array([matched(i, u, entries) for i, u in zip(ids, urls, strict=True)], pa.string())


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded(Step):
    """Drops documents if the exclusion file names their id, url or host."""

    NAME: ClassVar[str] = "excluded"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("exclude",)
    REASONS: ClassVar[tuple[str, ...]] = ("excluded",)

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Judges every document by its ``id``, and also by its ``url`` if the source has this column."""
        detail = naming_entries(batch, models.get("exclude", frozenset()))
        verdict = pc.if_else(pc.is_null(detail), pa.scalar(None, pa.string()), "excluded")
        return Outcome(verdict=verdict, detail=detail)
