"""Reads Posts.xml as a sequence of rows.

A row is one element ``<row .../>`` or ``<row ...></row>``. An attribute cannot contain ``<``, so every ``<row`` in the
file is the beginning of a row. So the file can be split into ranges at any byte. A row belongs to the range that
contains the first byte of its ``<row``.

The file is read once. If a row is broken, only this row is lost. The bytes before the first row (declaration, DOCTYPE)
are not given to the parser. So the parser does not know entities that the file itself defines. A row with such an
entity is rejected.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from lxml import etree

from pipeline.sources.source import Rejected

READ_BYTES = 1 << 20
MAX_ROW_BYTES = 8 << 20
"""The largest row in bytes. A longer row is skipped. Our choice: the longest post has 30,000 characters of Markdown.
The parser, libxml2, accepts texts of up to 10 MB.
"""

_ROW_START = re.compile(rb"<row(?=[\s/>])")
_ROW_START_BYTES = 5  # length of the pattern's match, including the byte after it
_MAX_HEAD_BYTES = 1 << 16
_MAX_TAIL_BYTES = 1 << 12
_END = re.compile(rb"\s*</posts\s*>\s*\Z")
_ROW = re.compile(
    rb"<row(?:\s++[^\s=<>\"'/]++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+'))*+\s*+(?:/>|>[^<]*+</row\s*+>)",
)
_FORBIDDEN = re.compile(
    rb"&#(?:x0*(?:[0-8bcBC]|0*[eE]|1[0-9a-fA-F]|[dD][89a-fA-F][0-9a-fA-F]{2}|[fF]{3}[eEfF])"
    rb"|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));|[\x00-\x08\x0b\x0c\x0e-\x1f]"
)
_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)

Attributes = dict[str, str]


@dataclass(frozen=True, slots=True)
class PostRow:
    """Holds the decoded attributes of a row, and the byte at which the row begins."""

    offset: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Holds complete rows.

    ``data`` begins with a row. ``starts`` has the offset of each row in ``data``. ``offset`` is the offset of ``data``
    in the file.
    """

    offset: int
    data: bytes
    starts: list[int]


def parse_rows(block: RowBlock, location: str) -> Iterator[PostRow | Rejected]:
    """Yields the rows of a block. A row that cannot be parsed is rejected.

    First the whole block is parsed at once, which is faster. The result is used only if it has as many rows as
    ``starts``. Otherwise the rows are parsed one by one, so that only the broken rows are lost.
    """
    tail = _END.search(block.data, max(len(block.data) - _MAX_TAIL_BYTES, 0))
    data = block.data[: tail.start()] if tail else block.data
    try:
        rows = list(etree.fromstring(b"<posts>" + data + b"</posts>", _PARSER))
    except etree.XMLSyntaxError:
        rows = []
    if len(rows) == len(block.starts) and all(row.tag == "row" for row in rows):
        for at, row in zip(block.starts, rows, strict=True):
            yield PostRow(block.offset + at, _attributes(row))
        return
    ends = [*block.starts[1:], len(data)]
    for at, end in zip(block.starts, ends, strict=True):
        yield _parse_row(data[at:end], block.offset + at, location)


def _parse_row(data: bytes, offset: int, location: str) -> PostRow | Rejected:
    """Parses one row. If the row has characters that XML forbids (such as ``&#x1;``), removes them and parses the row
    again.
    """
    where = f"{location}@{offset}"
    found = _ROW.match(data)
    if found is None:
        return Rejected(location=where, reason="bad_row", detail="not one whole element")
    for element in (found[0], _FORBIDDEN.sub(b"", found[0])):
        try:
            return PostRow(offset, _attributes(etree.fromstring(element, _PARSER)))
        except etree.XMLSyntaxError as error:
            detail = str(error.msg)
            if "ntity" in detail and "not defined" in detail:
                return Rejected(location=where, reason="undeclared_entity", detail=detail)
    return Rejected(location=where, reason="bad_row", detail=detail)


def _attributes(row: etree._Element) -> Attributes:
    return dict(cast("list[tuple[str, str]]", row.items()))


def row_blocks(
    stream: BinaryIO,
    *,
    location: str,
    start: int = 0,
    end: int | None = None,
    read_bytes: int = READ_BYTES,
    base: int | None = None,
) -> Iterator[RowBlock | Rejected]:
    """Splits bytes ``start`` to ``end`` of a Posts.xml into blocks of about ``read_bytes`` bytes. A block has complete
    rows.

    The blocks have the rows that begin between ``start`` and ``end``. The last row can end after ``end``. If ``start``
    is 0, also reports faults before the first row. If the range contains the file's last row, also reports a truncated
    file. The memory is a few times the larger of two numbers: ``read_bytes``, and the length of the longest row.

    Args:
        base: None if the stream is a whole file. Otherwise the stream has only some complete rows of a file, and
            ``base`` is the offset in the file at which the stream begins.
    """
    stream.seek(start)
    is_file = base is None
    held, held_at = (
        b"",
        start if base is None else base,
    )  # bytes read but not yet yielded; they begin with a row if `in_row`
    in_row = seen_row = False
    head = b""
    while True:
        fresh = stream.read(read_bytes)
        if is_file and start == 0 and not seen_row and len(head) < _MAX_HEAD_BYTES:
            head += fresh[:_MAX_HEAD_BYTES]
        data = held + fresh
        searched = max(len(held) - _ROW_START_BYTES + 1, int(in_row))
        starts = [0] * in_row + [found.start() for found in _ROW_START.finditer(data, searched)]
        if starts and not seen_row:
            seen_row = True
            yield from _faults_of_head(head, is_empty=False, location=location)
        num_ours = len(starts) if end is None else bisect_left(starts, end - held_at)
        if num_ours < len(starts) or not fresh:
            cut = starts[num_ours] if num_ours < len(starts) else len(data)
            if num_ours:
                yield _block(data, starts[:num_ours], cut, held_at)
            if is_file and not fresh and cut == len(data):
                yield from _faults_of_tail(data, has_rows=num_ours > 0, location=f"{location}@{held_at + len(data)}")
                if not seen_row and start == 0:
                    yield from _faults_of_head(head, is_empty=True, location=location)
            return
        if len(starts) > 1:
            yield _block(data, starts[:-1], starts[-1], held_at)
        in_row = bool(starts)
        keep = starts[-1] if in_row else max(len(data) - _ROW_START_BYTES + 1, 0)
        held, held_at = data[keep:], held_at + keep
        if in_row and len(held) > MAX_ROW_BYTES:
            yield Rejected(
                location=f"{location}@{held_at}", reason="row_too_long", detail=f"over {MAX_ROW_BYTES} bytes"
            )
            keep = len(held) - _ROW_START_BYTES + 1
            held, held_at, in_row = held[keep:], held_at + keep, False
        if not in_row and end is not None and held_at >= end:
            return


def _block(data: bytes, starts: list[int], cut: int, data_at: int) -> RowBlock:
    first = starts[0]
    return RowBlock(data_at + first, data[first:cut], [at - first for at in starts])


def _faults_of_head(head: bytes, *, is_empty: bool, location: str) -> Iterator[Rejected]:
    """Yields rejections for faults in the bytes before the first row.

    A DOCTYPE is reported, but reading continues. A file that is not a Posts.xml is rejected as a whole.
    """
    first = _ROW_START.search(head)
    before = head[: first.start()] if first else head
    if b"<!DOCTYPE" in before or b"<!ENTITY" in before:
        yield Rejected(location=location, reason="xml_doctype", detail="its entities are not read")
    if is_empty and b"<posts" not in before:
        yield Rejected(location=location, reason="not_posts_xml", detail=repr(head[:40]), is_whole_file=True)


def _faults_of_tail(data: bytes, *, has_rows: bool, location: str) -> Iterator[Rejected]:
    if has_rows and not _END.search(data[-_MAX_TAIL_BYTES:]):
        yield Rejected(location=location, reason="truncated_xml", detail="no </posts> at the end", is_whole_file=True)
