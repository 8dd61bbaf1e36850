"""Splits a large dump into units (input that one worker reads).

A multistream dump consists of many bzip2 streams, each with some pages. Its index (``...-multistream-index*.txt.bz2``)
has one line ``OFFSET:PAGE_ID:TITLE`` per page, with the offset of the page's stream. If the dump has an index, each
unit begins at a stream that the index lists. Otherwise the units have equal sizes.

The reader of a unit does not need the index: it searches for the first bzip2 block of the unit. So no page is lost if
the file is split at a different place, or if the index is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.sources.source import InputFile, Opener
from pipeline.sources.wikipedia.streams import Event, read_bz2, read_plain

MAX_INDEX_BYTES = 64 << 20
"""The largest index that is read, in stored bytes. Our choice: an index of this size is read in some seconds, before
the run starts. The index of a complete English dump is larger. It is not read, and the dump is split into units of
equal size.
"""

_INDEX_NAME = re.compile(r"-index[0-9]*\.txt")
_OFFSET = re.compile(rb"^([0-9]{1,15}):", re.MULTILINE)


def is_index_name(name: str) -> bool:
    """True if a file is named like the index of a dump (the list of its pages).

    >>> is_index_name("enwiki-20220620-pages-articles-multistream-index1.txt-p1p41242.bz2")
    True
    """
    return _INDEX_NAME.search(name) is not None


def index_of(dump: InputFile, indexes: Sequence[InputFile]) -> InputFile | None:
    """Returns the index whose name fits the name of a dump; None if there is no such index."""
    wanted = _without_kind(dump.path)
    return next((index for index in indexes if _without_kind(index.path) == wanted), None)


def _without_kind(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    name = re.sub(r"-index([0-9]*)\.txt", r"\1", name)
    return re.sub(r"\.xml", "", name).removesuffix(".bz2")


def unit_ends(dump: InputFile, indexes: Sequence[InputFile], open_file: Opener, *, max_unit_bytes: int) -> list[int]:
    """Returns the byte offsets at which a dump is split into units, in rising order. The result does not include the
    beginning and the end of the dump.
    """
    index = index_of(dump, indexes)
    if index is None or index.num_bytes > MAX_INDEX_BYTES:
        return list(range(max_unit_bytes, dump.num_bytes, max_unit_bytes))
    ends: list[int] = []
    start = 0
    previous = 0
    for offset in _offsets(index, open_file):
        if not previous < offset < dump.num_bytes:
            continue
        if offset - start > max_unit_bytes:
            end = previous if previous > start else offset
            ends.append(end)
            start = end
        previous = offset
    if dump.num_bytes - start > max_unit_bytes and previous > start:
        ends.append(previous)
        start = previous
    ends += range(start + max_unit_bytes, dump.num_bytes, max_unit_bytes)  # for an index that ends before its dump
    return ends


def _offsets(index: InputFile, open_file: Opener) -> Iterator[int]:
    """Yields the offset of each stream, in the order of the index.

    The index repeats the offset of a stream for each of its pages. Each offset is yielded only once.
    """
    with open_file(index.path) as stored:
        is_packed = index.path.endswith(".bz2")
        line = b""
        last = b""
        for piece in read_bz2(stored, 0) if is_packed else read_plain(stored, 0):
            if piece.event is not Event.DATA:
                return
            whole, newline, line = (line + piece.data).rpartition(b"\n")
            if not newline:
                line = line[-1000:]
            for match in _OFFSET.finditer(whole):
                if match[1] != last:
                    last = match[1]
                    yield int(last)
