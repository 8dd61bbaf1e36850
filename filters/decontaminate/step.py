"""Defines the step that searches documents for items of evaluation sets. The documents that contain items are dropped,
shortened or marked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from filters.decontaminate.cut import cut_paragraphs
from filters.decontaminate.index import Index
from filters.decontaminate.items import PARTS, Action
from filters.decontaminate.match import RULE_VERSION, Found, find
from filters.step import Models, Outcome, Step

MAX_HITS = 100
"""Maximum number of hits that are stored for one document. A document that contains a whole set has thousands of hits.
"""
EXCERPT_CHARS = 1000
_CONTEXT_CHARS = 80

CONTAMINATION, PUBLIC_PASSAGE = "contamination", "public_passage"

HITS_SCHEMA = pa.schema(
    {
        "set": pa.string(),
        "item": pa.string(),
        "id": pa.string(),
        "source": pa.string(),
        "start_char": pa.int64(),
        "end_char": pa.int64(),
        "question_score": pa.float64(),
        "answer_score": pa.float64(),
        "passage_score": pa.float64(),
        "action": pa.string(),
        "class": pa.string(),
        "part": pa.string(),
        "num_same_items": pa.int64(),
        "rule_version": pa.int64(),
        "excerpt": pa.string(),
        "item_text": pa.string(),
    }
)
"""The columns of the table of hits: the item's set and id, the document's id and source, the hit's position, scores and
action, and the texts of item and hit. The position is in characters of the text before this step. If several items of a
set have the same text, the first of them is named."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Describes a place in a document that contains text of an item, and the action that the item's set requests."""

    found: Found
    kind: str
    """``contamination``, or ``public_passage`` for text that the set's authors took from public sources."""
    action: Action
    passage_score: float
    """The highest score of the item's passage in the same document, or 0 if the passage was not found."""


def hits_of(index: Index, texts: Sequence[str]) -> list[list[Hit]]:
    """Returns one list of hits per text."""
    by_document: list[list[Found]] = [[] for _ in texts]
    for one in find(index, texts):
        by_document[one.document].append(one)
    return [_judged(index, found) for found in by_document]


def _judged(index: Index, found: Sequence[Found]) -> list[Hit]:
    passages: dict[int, float] = {}
    for one in found:
        if PARTS[index.piece_parts[one.piece]] == "passage":
            for item in _items(index, one.piece):
                passages[item] = max(passages.get(item, 0.0), one.score)
    hits = []
    for one in found:
        rules = index.sets[index.piece_sets[one.piece]]
        is_public = PARTS[index.piece_parts[one.piece]] in rules.public
        passage = max((passages.get(item, 0.0) for item in _items(index, one.piece)), default=0.0)
        kind, action = (PUBLIC_PASSAGE, rules.public_action) if is_public else (CONTAMINATION, rules.action)
        hits.append(Hit(one, kind, action, passage))
    return hits


def _items(index: Index, piece: int) -> list[int]:
    first, last = int(index.item_starts[piece]), int(index.item_starts[piece + 1])
    items: list[int] = index.piece_items[first:last].tolist()
    return items


def text_of_item(index: Index, item: int) -> tuple[str, dict[str, str], str]:
    """Returns an item's id, the shortened texts of its parts, and its answer."""
    first, last = int(index.text_starts[item]), int(index.text_starts[item + 1])
    item_id, parts, answer = json.loads(index.texts[first:last].tobytes())
    return item_id, parts, answer


def rows_of(index: Index, hits: Iterable[Hit], *, document: str, source: str, text: str) -> list[dict[str, Any]]:
    """Returns the rows of the table of hits for one document: one row per hit, at most 100 rows.

    Hits of the kind ``contamination`` come before hits of the kind ``public_passage``. (The column ``class`` contains
    the kind.) Within a kind, the hits are sorted by the product of score and length, the largest first.

    The column ``excerpt`` contains the hit and 80 characters before and after it, at most 1,000 characters.
    """
    chosen = sorted(hits, key=lambda hit: (hit.kind, -hit.found.score * (hit.found.end_char - hit.found.start_char)))
    rows = []
    for hit in chosen[:MAX_HITS]:
        found, items = hit.found, _items(index, hit.found.piece)
        part = PARTS[index.piece_parts[found.piece]]
        start = max(0, found.start_char - _CONTEXT_CHARS)
        item_id, parts, answer = text_of_item(index, items[0])
        rows.append({
            "set": index.sets[index.piece_sets[found.piece]].name,
            "item": item_id,
            "id": document,
            "source": source,
            "start_char": found.start_char,
            "end_char": found.end_char,
            "question_score": 0.0 if part == "passage" else found.score,
            "answer_score": found.answer_score,
            "passage_score": hit.passage_score,
            "action": hit.action,
            "class": hit.kind,
            "part": part,
            "num_same_items": len(items),
            "rule_version": RULE_VERSION,
            "excerpt": text[start : min(start + EXCERPT_CHARS, found.end_char + _CONTEXT_CHARS)],
            "item_text": (parts.get(part, "") + (f"\n[answer] {answer}" if answer else ""))[:EXCERPT_CHARS],
        })  # fmt: skip
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Decontaminate(Step):
    """Drops or marks documents that contain items of evaluation sets, or cuts the paragraphs with these items.

    Normalised words are compared, so case, punctuation, white space, accents and HTML entities make no difference. Rare
    words have more weight. A question is found if 80 to 95 % of its weight matches, depending on its length. It is also
    found if 40 % matches and 13 successive words match. A question of fewer than 8 words, or with too few rare words,
    is found only if all its words match and its answer is near. Text that a set's authors took from public sources is
    marked as ``public_passage``. A document with such text is dropped or cut only if the set's settings request it.
    """

    HAS_KERNELS: ClassVar[bool] = True
    NAME: ClassVar[str] = "decontaminate"
    CITE: ClassVar[str] = "ours, in the form of AI2's decon: seeds that grow, words weighted by rarity, answers near"
    DATA_VERSION: ClassVar[int] = 2
    MODELS: ClassVar[tuple[str, ...]] = ("decontamination",)
    REASONS: ClassVar[tuple[str, ...]] = (CONTAMINATION, PUBLIC_PASSAGE, "nothing_left")
    EVIDENCE: ClassVar[pa.Schema | None] = HITS_SCHEMA

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Searches the column ``text``, and decides which documents are dropped or cut. The evidence is a table with a
        row for every hit, even if the document is kept."""
        index: Index = models["decontamination"]
        texts = batch.column("text").to_pylist()
        hits = hits_of(index, texts)
        verdict: list[str | None] = [None] * len(texts)
        detail: list[str | None] = [None] * len(texts)
        changed = dict[int, str]()
        rows: list[dict[str, Any]] = []
        for row, of_document in enumerate(hits):
            if not of_document:
                continue
            document, source = batch.column("id")[row].as_py(), batch.column("source")[row].as_py()
            rows += rows_of(index, of_document, document=document, source=source, text=texts[row])
            deciding = next((hit for kind in (CONTAMINATION, PUBLIC_PASSAGE) for hit in of_document
                             if hit.kind == kind and hit.action == "drop"), None)  # fmt: skip
            if deciding is not None:
                verdict[row], detail[row] = deciding.kind, _named(index, deciding)
            elif any(hit.action == "cut" for hit in of_document):
                cuts = [(h.found.start_char, h.found.end_char) for h in of_document if h.action == "cut"]
                changed[row] = cut_paragraphs(texts[row], cuts)
                if not changed[row].strip():
                    verdict[row] = "nothing_left"
                    detail[row] = _named(index, next(h for h in of_document if h.action == "cut"))
        kept = {row: text for row, text in changed.items() if verdict[row] is None}
        columns = {}
        if kept:
            columns["text"] = pa.array([kept.get(row, text) for row, text in enumerate(texts)], pa.string())
        return Outcome(
            verdict=pa.array(verdict, pa.string()),
            detail=pa.array(detail, pa.string()),
            columns=columns,
            signals=_signals(hits),
            evidence=pa.RecordBatch.from_pylist(rows, schema=HITS_SCHEMA) if rows else None,
        )


def _named(index: Index, hit: Hit) -> str:
    """Returns the name of a hit for the column ``detail``: its set and its item, as ``SET/ITEM``."""
    item = text_of_item(index, _items(index, hit.found.piece)[0])[0]
    return f"{index.sets[index.piece_sets[hit.found.piece]].name}/{item}"


def _signals(hits: Sequence[Sequence[Hit]]) -> dict[str, pa.Array]:
    """Returns the signals (measurements) as columns with one row per document.

    A hit is of the class ``contamination`` or ``public_passage``. Each class has two columns: the number of its hits in
    the document, and their highest score. A document without hits of the class gets nulls.
    """
    signals = {}
    for kind in (CONTAMINATION, PUBLIC_PASSAGE):
        scores = [[hit.found.score for hit in of_document if hit.kind == kind] for of_document in hits]
        signals[f"{kind}_hits"] = pa.array([float(len(s)) if s else None for s in scores], pa.float64())
        signals[f"{kind}_score"] = pa.array([float(np.max(s)) if s else None for s in scores], pa.float64())
    return signals
