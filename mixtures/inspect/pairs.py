"""Shows near-duplicates side by side: the removed document and the kept document.

The pairs are in ``dedup/`` of a run's output. The text of the kept document is in ``clean/``. The text of the removed
document is in ``dropped/`` only if the sample of dropped texts contains it. Words outside all n-grams that the two
texts share are printed in brackets.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.books.overlap import NGRAM_WORDS, normalise
from mixtures.inspect.documents import printable
from mixtures.parquet_rows import DAMAGE, open_parquet, whole_batches
from mixtures.stream import one_line

COLUMN = 58
_NO_TEXT = "(its text is not in dropped/, which has a sample of the texts: see run.sample_docs)"


def pairs_of(output: Path, *, kind: str, source: str | None, doc_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Returns the pairs whose overlap is nearest to the threshold for the removal of a document.

    For ``pairs``, these are the pairs with the smallest overlaps. For ``rejected``, they are the pairs with the largest
    overlaps.

    Args:
        kind: ``pairs`` for pairs with a removed document, ``rejected`` for a sample of the pairs without one.
        source: the source of the removed document; None for all sources.
        doc_id: the id of one of the two documents; None for all pairs.
        limit: the largest number of pairs to return.

    Raises:
        ValueError: the output has no pairs, or a file is damaged.
    """
    paths = sorted((output / "dedup").glob(f"{kind}-*.parquet"))
    if not paths:
        raise ValueError(f"{output / 'dedup'} holds no {kind}: no near dedup ran, or there was none")
    found: list[dict[str, Any]] = []
    sign = -1 if kind == "rejected" else 1
    for path in paths:
        try:
            with open_parquet(path) as file:
                for batch in whole_batches(file, batch_size=10_000):
                    found = _nearest(found + _chosen(batch, source, doc_id), limit, sign)
        except DAMAGE as error:
            raise ValueError(f"{path} is not a readable Parquet file: {one_line(error)}") from error
    return found


def _chosen(batch: pa.RecordBatch, source: str | None, doc_id: str | None) -> list[dict[str, Any]]:
    mask = pa.array([True] * len(batch))
    if source is not None:
        mask = pc.and_(mask, pc.equal(batch.column("removed_source"), source))
    if doc_id is not None:
        is_either = (pc.equal(batch.column(name), doc_id) for name in ("removed_id", "kept_id"))
        mask = pc.and_(mask, pc.or_(*is_either))
    return batch.filter(mask).to_pylist()  # type: ignore[no-any-return]


def _nearest(rows: list[dict[str, Any]], limit: int, sign: int) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (sign * row["overlap"], row["removed_id"], row["kept_id"]))[:limit]


def texts_of(output: Path, rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Returns a mapping from (source, id) to text for the documents in these pairs. The texts are from ``clean/`` and
    ``dropped/``."""
    wanted: dict[str, set[str]] = {}
    for row in rows:
        for end in ("removed",) if row.get("kept_output") else ("removed", "kept"):
            wanted.setdefault(row[f"{end}_source"], set()).add(row[f"{end}_id"])
    found: dict[tuple[str, str], str] = {}
    for source, ids in wanted.items():
        for folder in ("dropped", "clean"):
            for path in sorted((output / folder / source).glob("*.parquet")):
                found |= {(source, doc_id): text for doc_id, text in _texts_of(path, pa.array(sorted(ids)))}
    return found


def _texts_of(path: Path, ids: pa.Array) -> Iterator[tuple[str, str]]:
    try:
        with open_parquet(path) as file:
            for batch in whole_batches(file, batch_size=1024, columns=["id", "text"]):
                is_wanted = pc.and_(pc.is_in(batch.column("id"), value_set=ids), pc.is_valid(batch.column("text")))
                rows = batch.filter(is_wanted)
                yield from zip(rows.column("id").to_pylist(), rows.column("text").to_pylist(), strict=True)
    except DAMAGE as error:
        raise ValueError(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def marked(text: str, other: str, *, ngram_words: int = NGRAM_WORDS) -> str:
    """Returns a text with brackets around all words that are outside the n-grams that the two texts share.

    >>> marked("It was the best of times, really", "it was the Best of times")
    'It was the best of times, [really]'
    """
    words, owners, pieces = _words(text)
    others, _, _ = _words(other)
    known = {tuple(others[at : at + ngram_words]) for at in range(len(others) - ngram_words + 1)}
    shared: set[int] = set()
    for at in range(len(words) - ngram_words + 1):
        if tuple(words[at : at + ngram_words]) in known:
            shared.update(owners[at : at + ngram_words])
    has_words = set(owners)
    shown: list[str] = []
    is_open = False
    for number, piece in enumerate(pieces):
        is_alone = number in has_words and number not in shared
        if is_alone and not is_open:
            piece = f"[{piece}"
        if is_open and not is_alone and number in has_words:
            shown[-1] += "]"
        is_open = is_alone if number in has_words else is_open
        shown.append(piece)
    return " ".join(shown) + ("]" if is_open else "")


def _words(text: str) -> tuple[list[bytes], list[int], list[str]]:
    """Splits a text at white space into pieces, and each piece into normalised words.

    Returns the words of all pieces, for each word the index of its piece, and the pieces.
    """
    pieces = text.split()
    words, owners = [], []
    for number, piece in enumerate(pieces):
        for word in normalise(piece).split():
            words.append(word)
            owners.append(number)
    return words, owners, pieces


def lines_of_pair(row: dict[str, Any], texts: dict[tuple[str, str], str], max_chars: int) -> Iterator[str]:
    """Yields the lines that show one pair: a heading, and the two texts in two columns."""
    removed = texts.get((row["removed_source"], row["removed_id"]))
    output = row.get("kept_output") or ""
    kept = None if output else texts.get((row["kept_source"], row["kept_id"]))
    yield (
        f"=== {row['removed_source']}  {row['step']}  overlap {row['overlap']:.4f}  Jaccard {row['jaccard']:.4f}  "
        f"{row['num_shared']:,} shared"
    )
    left = marked(removed or "", kept or "")[:max_chars] if removed is not None else _NO_TEXT
    right = marked(kept or "", removed or "")[:max_chars] if kept is not None else _NO_TEXT
    if output:
        right = f"(its text is in the output {output}: mixtures.inspect PATH/clean/{row['kept_source']} --id ...)"
    where = f"{output}/" if output else ""
    yield from _columns(f"{row['removed_source']} {row['removed_id']}", f"{where}{row['kept_source']} {row['kept_id']}")
    yield f"{'-' * COLUMN}   {'-' * COLUMN}"
    yield from _columns(left, right)


def _columns(left: str, right: str) -> Iterator[str]:
    sides = (textwrap.wrap(printable(text), COLUMN) or [""] for text in (left, right))
    for one, two in zip_longest(*sides, fillvalue=""):
        yield f"{one:<{COLUMN}} | {two}".rstrip()
