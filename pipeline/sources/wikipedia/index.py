"""Where a large dump is cut: at streams that its index names, or anywhere.

The index of a multistream dump (``...-multistream-index*.txt.bz2``) has a line ``OFFSET:PAGE_ID:TITLE`` a page, the
offset that of the page's stream. A reader looks for the first block in its range by itself, so a cut anywhere loses
nothing; the index only makes the cuts exact, and an index that lies does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.sources.source import InputFile, Opener
from pipeline.sources.wikipedia.streams import Event, read_bz2, read_plain

MAX_INDEX_BYTES = 64 << 20
"""Stored bytes of an index that are read when the work is planned (some seconds). Ours. The index of a whole English
dump is longer: it is passed over, and the dump cut at round numbers."""

_INDEX_NAME = re.compile(r"-index[0-9]*\.txt")
_OFFSET = re.compile(rb"^([0-9]{1,15}):", re.MULTILINE)


def is_index_name(name: str) -> bool:
    """Whether a file's name is that of an index.

    >>> is_index_name("enwiki-20220620-pages-articles-multistream-index1.txt-p1p41242.bz2")
    True
    """
    return _INDEX_NAME.search(name) is not None


def index_of(dump: InputFile, indexes: Sequence[InputFile]) -> InputFile | None:
    """The index that belongs to a dump by its name."""
    wanted = _without_kind(dump.path)
    return next((index for index in indexes if _without_kind(index.path) == wanted), None)


def _without_kind(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    name = re.sub(r"-index([0-9]*)\.txt", r"\1", name)
    return re.sub(r"\.xml", "", name).removesuffix(".bz2")


def unit_ends(dump: InputFile, indexes: Sequence[InputFile], open_file: Opener, *, max_unit_bytes: int) -> list[int]:
    """The bytes at which a dump is cut, in rising order, neither its beginning nor its end among them."""
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
            cut = previous if previous > start else offset
            ends.append(cut)
            start = cut
        previous = offset
    if dump.num_bytes - start > max_unit_bytes and previous > start:
        ends.append(previous)
        start = previous
    ends += range(start + max_unit_bytes, dump.num_bytes, max_unit_bytes)  # an index that ends before its dump
    return ends


def _offsets(index: InputFile, open_file: Opener) -> Iterator[int]:
    """The streams' offsets as the index gives them, with repetitions."""
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
