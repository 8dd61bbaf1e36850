"""Reads the pages of WARC and WET files. A WARC file has pages as they were fetched, in HTML. A WET file has only their
text, which CommonCrawl extracted.

Headers are found by their names and not by their line numbers, because CommonCrawl has added headers over the years.
Records that are not pages (``warcinfo``, ``request``, ``metadata``) are skipped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.sources.formats.http_body import HttpError
from pipeline.sources.formats.http_message import parse_http_response
from pipeline.sources.formats.media_type import HTML_TYPES, charset_of, media_type_of
from pipeline.sources.formats.warc_records import MAX_RECORD_BYTES, WARC_BROKEN, RawRecord, read_raw_records
from pipeline.sources.source import Opener, Rejected

WET_BROKEN = (*WARC_BROKEN, "not_utf8")
WET_NOT_BROKEN = ("not_text",)
HTML_BROKEN = (*WARC_BROKEN, "bad_http", "bad_http_body", "http_body_too_large")
HTML_NOT_BROKEN = ("http_status", "not_html", "revisit")
"""The four tuples ``WET_BROKEN`` to ``HTML_NOT_BROKEN`` contain the reasons for which this module rejects records.
``WET_`` means records of WET files, ``HTML_`` means records of WARC files. ``NOT_BROKEN`` means that the record is
intact, but not wanted.
"""
_PART_OF = re.compile(rb"^isPartOf:[ \t]*([\x21-\x7e]{1,100})[ \t]*\r?$", re.MULTILINE)
_PAGELESS = frozenset({"warcinfo", "request", "metadata"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WetRecord:
    """Holds the text of a page as CommonCrawl extracted it (``WARC-Type: conversion``)."""

    url: str
    date: str
    """The header ``WARC-Date``; empty if missing."""
    digest: str
    """The header ``WARC-Block-Digest``. If it is missing, the same value is computed: ``sha1:`` and the block's SHA-1
    in base32.
    """
    record_id: str
    """``WARC-Record-ID`` without ``<urn:uuid:`` and ``>``; empty if missing."""
    text: str
    """The decoded block, with unchanged line ends."""
    headers: dict[str, str]
    """All headers by lower-case name."""
    offset: int
    """The byte offset of the record, or of the gzip member that contains it, in the stored file."""
    part_of: str = ""
    """The name of the crawl, such as ``CC-MAIN-2024-22``, from the file's ``warcinfo`` record (``isPartOf``); empty if
    missing.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlRecord:
    """Holds an HTML page as it was fetched (``WARC-Type: response`` or ``resource``). Its body is unpacked."""

    url: str
    date: str
    digest: str
    """The header ``WARC-Payload-Digest``. If it is missing, the digest of ``html`` is computed."""
    record_id: str
    html: bytes
    charset: str
    """The charset that the HTTP header declares; empty if it declares none."""
    headers: dict[str, str]
    offset: int
    part_of: str = ""


def read_wet(path: str, open_file: Opener, *, location: str = "") -> Iterator[WetRecord | Rejected]:
    """Yields the text of each page in a WET file, with or without gzip.

    ``location`` is the name of the file in rejections; the default is ``path``. If ``path`` is a temporary file that
    was unpacked from a container (such as an archive), ``location`` must name the container. A record that is not a
    WET text is rejected as ``not_text``. A text that is not UTF-8 is rejected as ``not_utf8``.
    """
    part_of = ""
    for raw in read_raw_records(path, open_file, location or path):
        if isinstance(raw, Rejected):
            yield raw
        elif raw.headers["warc-type"] == "conversion":
            yield _wet_record(raw, part_of)
        elif raw.headers["warc-type"] == "warcinfo":
            part_of = _part_of(raw.block)
        elif raw.headers["warc-type"] not in _PAGELESS:
            yield Rejected(location=raw.location, reason="not_text", detail=raw.headers["warc-type"], is_bad=False)


def read_warc_html(path: str, open_file: Opener, *, location: str = "") -> Iterator[HtmlRecord | Rejected]:
    """Yields the HTML pages of a WARC file, with or without gzip.

    Three kinds of intact records are rejected: responses with a status other than 200 (``http_status``), responses that
    are not HTML (``not_html``), and records of a page that did not change (``revisit``). They do not count as broken.
    """
    part_of = ""
    for raw in read_raw_records(path, open_file, location or path):
        if isinstance(raw, Rejected):
            yield raw
        elif raw.headers["warc-type"] == "warcinfo":
            part_of = _part_of(raw.block)
        elif raw.headers["warc-type"] not in _PAGELESS:
            yield _html_record(raw, part_of)


def payload_digest(block: bytes) -> str:
    """Computes the digest of a record's content as CommonCrawl writes it: ``sha1:`` and the SHA-1 in base32.

    >>> payload_digest(b"")
    'sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ'
    """
    return "sha1:" + base64.b32encode(hashlib.sha1(block, usedforsecurity=False).digest()).decode("ascii")


def _wet_record(raw: RawRecord, part_of: str) -> WetRecord | Rejected:
    url = _target(raw.headers)
    if not url:
        return Rejected(location=raw.location, reason="bad_header", detail="no WARC-Target-URI")
    try:
        text = raw.block.decode("utf-8")
    except UnicodeDecodeError as error:
        return Rejected(location=raw.location, reason="not_utf8", detail=f"{url}: byte {error.start} of the text")
    return WetRecord(
        url=url,
        date=raw.headers.get("warc-date", ""),
        digest=raw.headers.get("warc-block-digest") or payload_digest(raw.block),
        record_id=_record_id(raw.headers),
        text=text,
        headers=raw.headers,
        offset=raw.offset,
        part_of=part_of,
    )


def _html_record(raw: RawRecord, part_of: str) -> HtmlRecord | Rejected:
    kind, url = raw.headers["warc-type"], _target(raw.headers)
    if kind not in ("response", "resource"):
        reason = kind if kind == "revisit" else "not_html"
        return Rejected(location=raw.location, reason=reason, detail=f"{kind} {url}".strip(), is_bad=False)
    if not url:
        return Rejected(location=raw.location, reason="bad_header", detail="no WARC-Target-URI")
    declared, html = raw.headers.get("content-type", ""), raw.block
    if kind == "response" and ("application/http" in declared.lower() or html.startswith(b"HTTP/")):
        try:
            response = parse_http_response(raw.block, max_body_bytes=MAX_RECORD_BYTES)
        except HttpError as error:
            return Rejected(location=raw.location, reason=error.reason, detail=f"{url}: {error}")
        if response.status != 200:
            return Rejected(
                location=raw.location, reason="http_status", detail=f"{response.status} {url}", is_bad=False
            )
        declared, html = response.headers.get("content-type", ""), response.body
    # CommonCrawl's own detection (by Tika) is preferred to the server's header, which is often wrong or missing.
    media_type = media_type_of(html, raw.headers.get("warc-identified-payload-type", ""), declared)
    if media_type not in HTML_TYPES:
        return Rejected(location=raw.location, reason="not_html", detail=f"{media_type} {url}", is_bad=False)
    return HtmlRecord(
        url=url,
        date=raw.headers.get("warc-date", ""),
        digest=raw.headers.get("warc-payload-digest") or payload_digest(html),
        record_id=_record_id(raw.headers),
        html=html,
        charset=charset_of(declared),
        headers=raw.headers,
        offset=raw.offset,
        part_of=part_of,
    )


def _part_of(warcinfo: bytes) -> str:
    match = _PART_OF.search(warcinfo)
    return match[1].decode("ascii") if match else ""


def _target(headers: dict[str, str]) -> str:
    return headers.get("warc-target-uri", "").removeprefix("<").removesuffix(">")  # Wget writes <url>


def _record_id(headers: dict[str, str]) -> str:
    return headers.get("warc-record-id", "").removeprefix("<").removesuffix(">").removeprefix("urn:uuid:")
