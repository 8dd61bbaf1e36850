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
    """Returns the entries of an exclusion file, which are ids, urls and hosts. ``lines`` are the lines of the file.
    Each line contains at most one entry. A ``#`` at a line's start or after a space begins a comment.

    Some entries are returned in two forms. An entry without a slash is also returned in lower case, because hosts are
    compared in lower case. A url is also returned as the key of its page (:func:`page_of`).

    >>> sorted(parse_exclusions(["# opt-outs", "Example.com", "", "doc-1  # by mail"]))
    ['Example.com', 'doc-1', 'example.com']
    """
    entries = [_COMMENT.split(line, maxsplit=1)[0].strip() for line in lines]
    kept = [e for e in entries if e]
    return frozenset(kept) | frozenset(e.lower() for e in kept if "/" not in e) | frozenset(map(page_of, kept)) - {""}


def page_of(url: str) -> str:
    """Returns a key of a page. Urls that differ only in the scheme (such as ``http``), in the case of the host, or in
    slashes at the end have the same key. Returns an empty string if ``url`` is not a url.

    >>> page_of("HTTP://Example.com/A/"), page_of("https://example.com/A"), page_of("doc-1")
    ('//example.com/A', '//example.com/A', '')
    """
    scheme, mark, rest = url.partition("://")
    if not mark or not scheme.isalpha():
        return ""
    host, _, path = rest.partition("/")
    return f"//{host.lower()}/{path}".rstrip("/")


def host_of(url: str | None) -> str:
    """Returns the host of a url, in lower case and without the port. Returns an empty string if there is no host.

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
    """Returns the name under which a document is in ``entries``, or None if it is not there. The name is the document's
    id, url or host, or a parent domain of the host.

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
    """Returns one value per document of a batch: the name under which the document is in ``entries``, or null.

    >>> batch = pa.record_batch({"id": ["a", "b"], "url": ["https://example.com/1", None]})
    >>> naming_entries(batch, frozenset({"example.com"})).to_pylist()
    ['example.com', None]
    """
    ids = batch.column("id").to_pylist()
    urls = batch.column("url").to_pylist() if "url" in batch.schema.names else [None] * len(ids)
    return pa.array([matched(i, u, entries) for i, u in zip(ids, urls, strict=True)], pa.string())


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded(Step):
    """Drops a document if the exclusion file contains its id, its url, its host, or a parent domain of the host."""

    NAME: ClassVar[str] = "excluded"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    MODELS: ClassVar[tuple[str, ...]] = ("exclude",)
    REASONS: ClassVar[tuple[str, ...]] = ("excluded",)

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which documents are dropped, by the column ``id``. If the source has a column ``url``, it is used
        too. The detail of a dropped document is the name under which it was found."""
        detail = naming_entries(batch, models.get("exclude", frozenset()))
        verdict = pc.if_else(pc.is_null(detail), pa.scalar(None, pa.string()), "excluded")
        return Outcome(verdict=verdict, detail=detail)
