"""Shows near-duplicates side by side: the removed document and the kept document.

The pairs are in ``dedup/`` of a run's output. The near dedup of books writes no such files; its pairs are in
``dropped/books`` (:mod:`mixtures.inspect.dropped_pairs`). The text of the kept document is in ``clean/``. The text of
the removed document is in ``dropped/`` only if the sample of dropped texts contains it. Words outside all n-grams that
the two texts share are printed in brackets. A long text is shown from shortly before the first difference on.
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
from mixtures.inspect.dropped_pairs import batches_of, dropped_pairs, sources_of
from tokenizer.did_you_mean import or_list

COLUMN = 58
REJECTED = "rejected"
_CONTEXT_WORDS = 20
"""If a text is too long to be shown whole, it is shown from this many words before the first difference."""
_NO_TEXT = "(its text is not in dropped/, which has a sample of the texts: see run.sample_docs)"


def pairs_of(output: Path, *, kind: str, source: str | None, doc_id: str | None, limit: int) -> list[dict[str, Any]]:
    """Returns the pairs whose overlap is nearest to the threshold for the removal of a document.

    If ``kind`` is ``pairs``, these are the pairs with the smallest overlaps. If it is ``rejected``, these are the pairs
    with the largest overlaps.

    Args:
        kind: ``pairs`` for pairs with a removed document, ``rejected`` for a sample of the pairs without one.
        source: the source of the removed document; None for all sources.
        doc_id: the id of one of the two documents; None for all pairs.
        limit: the largest number of pairs to return.

    Raises:
        ValueError: the output has no pairs or no such source, or a file is damaged.
    """
    names = sources_of(output)
    if not names:
        raise ValueError(f"{output} holds neither clean/ nor dropped/: --pair needs the output of a run")
    if source is not None and source not in names:
        raise ValueError(f"there is no source {source!r} here{or_list(source, names)}")
    paths = sorted((output / "dedup").glob(f"{kind}-*.parquet"))
    found: list[dict[str, Any]] = []
    sign, num_dropped = -1 if kind == REJECTED else 1, 0
    for path in paths:
        for batch in batches_of(path):
            found = _nearest(found + _chosen(batch, source, doc_id), limit, sign)
    for rows in dropped_pairs(output, source, names) if kind != REJECTED else ():
        num_dropped += len(rows)
        found = _nearest(found + [r for r in rows if doc_id in (None, r["removed_id"], r["kept_id"])], limit, sign)
    if paths or num_dropped:
        return found
    if kind == REJECTED:
        books = "; the near dedup of books writes no such sample" if "books" in (source, *names) else ""
        raise ValueError(
            f"{output / 'dedup'} holds no rejected candidates: no other near dedup ran, or it had none{books}"
        )
    of_source = f" of {source}" if source else ""
    raise ValueError(f"{output}: no near dedup removed a document{of_source}; in a run's configuration, "
                     "sources.NAME.near_dedup: on adds one")  # fmt: skip


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
    """Returns the texts of the removed and kept documents in some pairs, as a dict from (source, id) to text. The texts
    are read from ``clean/`` and ``dropped/``. ``rows`` has one row per pair."""
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
    for batch in batches_of(path, ["id", "text"]):
        is_wanted = pc.and_(pc.is_in(batch.column("id"), value_set=ids), pc.is_valid(batch.column("text")))
        rows = batch.filter(is_wanted)
        yield from zip(rows.column("id").to_pylist(), rows.column("text").to_pylist(), strict=True)


def marked(text: str, other: str, *, max_chars: int | None = None, ngram_words: int = NGRAM_WORDS) -> str:
    """Returns a text with brackets around all words that are outside the n-grams that the two texts share.

    Args:
        max_chars: the largest number of characters to return. A longer text begins shortly before the first word that
            is outside these n-grams, because two versions of a book may differ first on page 300.

    >>> marked("It was the best of times, really", "it was the Best of times")
    'It was the best of times, [really]'
    >>> marked("same " * 900 + "end", "same " * 900, max_chars=30)
    '[... 4,400 characters that both have] same same same same same same'
    """
    words, owners, pieces = _words(text)
    others, _, _ = _words(other)
    known = {tuple(others[at : at + ngram_words]) for at in range(len(others) - ngram_words + 1)}
    shared: set[int] = set()
    for at in range(len(words) - ngram_words + 1):
        if tuple(words[at : at + ngram_words]) in known:
            shared.update(owners[at : at + ngram_words])
    has_words = set(owners)
    first = 0
    if max_chars is not None and len(text) > max_chars:
        alone = next((number for number in owners if number not in shared), 0)
        first = max(0, alone - _CONTEXT_WORDS)
    shown: list[str] = []
    is_open, num_chars = False, 0
    for number, piece in enumerate(pieces[first:], start=first):
        is_alone = number in has_words and number not in shared
        if is_alone and not is_open:
            piece = f"[{piece}"
        if is_open and not is_alone and number in has_words:
            shown[-1] += "]"
        is_open = is_alone if number in has_words else is_open
        shown.append(piece)
        num_chars += len(piece) + 1
        if max_chars is not None and num_chars > max_chars:
            break
    found = (" ".join(shown) + ("]" if is_open else ""))[:max_chars].rstrip()
    skipped = sum(map(len, pieces[:first])) + first
    return f"[... {skipped:,} characters that both have] {found}" if first else found


def _words(text: str) -> tuple[list[bytes], list[int], list[str]]:
    """Splits a text at white space into pieces, and each piece into normalised words.

    Returns three lists: the words, the index of each word's piece, and the pieces.
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
    counted = f"  Jaccard {row['jaccard']:.4f}  {row['num_shared']:,} shared" if row["jaccard"] is not None else ""
    yield f"=== {row['removed_source']}  {row['step']}  overlap {row['overlap']:.4f}{counted}"
    left = marked(removed or "", kept or "", max_chars=max_chars) if removed is not None else _NO_TEXT
    right = marked(kept or "", removed or "", max_chars=max_chars) if kept is not None else _NO_TEXT
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
