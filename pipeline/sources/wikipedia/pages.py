"""Yields the pages of one unit (the part of a dump that one worker reads), and reports the parts that could not be
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from pipeline.sources.source import Rejected, Unit
from pipeline.sources.wikipedia.streams import Event, StreamPiece, read_bz2, read_plain
from pipeline.sources.wikipedia.xml import BrokenPageError, Page, PageCutter, SiteInfo, parse_page, parse_siteinfo

_HEAD_BYTES = 1 << 20
"""The header is searched for in this many bytes. Our choice: a header has about 5 kB, or 20 kB in a large wiki."""
_TAIL_BYTES = 64
_PAGE_END = b"</page>"
_END_TAG = b"</mediawiki>"


def site_info(stored: BinaryIO, kind: str) -> SiteInfo | None:
    """Reads the header of a dump from the beginning of the file. Returns None if there is no header.

    Each worker needs the header, even if it reads only a later part of the file.
    """
    head = bytearray()
    for piece in read_bz2(stored, 0) if kind == "bz2" else read_plain(stored, 0):
        head += piece.data
        if piece.event is not Event.DATA or len(head) >= _HEAD_BYTES or b"</siteinfo>" in head or b"<page" in head:
            break
    return parse_siteinfo(bytes(head))


def pages_of(unit: Unit, stored: BinaryIO) -> Iterator[tuple[Page, int] | Rejected]:
    """Yields (page, offset) for each page that begins in the unit's range of bytes. The last page can end after the
    range.

    Yields a rejection for each fault in the unit's range. Faults in the ranges of other units are not reported here, so
    no fault is reported twice.
    """
    is_bz2 = unit.kind == "bz2"
    cutter = PageCutter(is_running=not is_bz2)
    tail, is_ours = b"", True
    has_pages, is_inside = False, is_bz2 and unit.start > 0  # the unit may begin inside a page
    for piece in read_bz2(stored, unit.start) if is_bz2 else read_plain(stored, unit.start):
        if unit.end is not None and piece.offset >= unit.end:
            is_our_page_open = cutter.may_have_begun and cutter.offset < unit.end
            if piece.event is not Event.DATA or not is_our_page_open:
                break
        if piece.event is not Event.DATA:
            yield _loss(unit, piece, cutter)
            cutter.reset()
            tail = b""  # the end of the file has been reported
            continue
        is_inside = is_inside and _PAGE_END not in tail + piece.data
        tail = (tail + piece.data)[-_TAIL_BYTES:]
        is_ours = unit.end is None or piece.offset < unit.end
        for offset, xml in cutter.feed(piece.data, piece.offset):
            has_pages = True
            if unit.end is not None and offset >= unit.end:
                continue
            if xml is None:
                yield Rejected(location=f"{unit.location}@{offset}", reason="page_too_large")
            else:
                yield _parse(unit, offset, xml)
    else:
        if not is_bz2:  # a unit may be shorter than the end tag
            stored.seek(max(0, stored.seek(0, 2) - _TAIL_BYTES))
            tail = stored.read(_TAIL_BYTES)
        elif is_inside or not is_ours:  # another unit reports the end of the file
            tail = b""
        yield from _end_of_file(unit, cutter, tail, has_pages=has_pages)


def _parse(unit: Unit, offset: int, xml: bytes) -> tuple[Page, int] | Rejected:
    try:
        return parse_page(xml), offset
    except BrokenPageError as error:
        return Rejected(location=f"{unit.location}@{offset}", reason=error.reason, detail=error.detail)


def _loss(unit: Unit, piece: StreamPiece, cutter: PageCutter) -> Rejected:
    reason = "truncated_bz2" if piece.event is Event.TRUNCATED else "damaged_bz2"
    detail = piece.detail + ("; the page begun is lost" if cutter.has_begun else "")
    location = piece.offset if piece.location is None else piece.location
    return Rejected(location=f"{unit.location}@{location}", reason=reason, detail=detail)


def _end_of_file(unit: Unit, cutter: PageCutter, tail: bytes, *, has_pages: bool) -> Iterator[Rejected]:
    """Yields a rejection for each fault at the end of the file. The caller uses this function only for the unit that
    contains the end of the file.
    """
    if cutter.has_begun:
        if unit.end is None or cutter.offset < unit.end:
            yield Rejected(
                location=f"{unit.location}@{cutter.offset}", reason="truncated_page", detail="the file ends in it"
            )
    elif unit.start == 0 and unit.end is None and not has_pages and _END_TAG not in tail:
        yield Rejected(
            location=unit.location, reason="not_a_dump", detail="no page, no </mediawiki>", is_whole_file=True
        )
    elif tail and _END_TAG not in tail and (unit.kind == "bz2" or unit.end is None):
        yield Rejected(location=unit.location, reason="truncated_xml", detail="the file ends without </mediawiki>")
