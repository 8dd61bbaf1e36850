"""Counts how many hits each set and each item has in a table of hits, and lists the items that were not found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from filters.decontaminate.index import STATES, TOO_COMMON, TOO_SHORT, Index
from filters.decontaminate.items import PARTS
from filters.decontaminate.match import RULE_VERSION
from filters.decontaminate.step import text_of_item

ITEMS_SCHEMA = pa.schema(
    {
        "set": pa.string(),
        "item": pa.string(),
        "state": pa.string(),
        "hits": pa.int64(),
        "documents": pa.int64(),
        "sources": pa.list_(pa.string()),
        "text": pa.string(),
    }
)
"""The columns of the table of all items, found or not. ``state`` is one of ``filters.decontaminate.index.STATES``.
``text`` is the beginning of the item's first part, so that a reader need not look up the id."""

_NEVER = (TOO_SHORT, TOO_COMMON)
_MAX_LISTED = 20
_EXCERPT_CHARS = 160
"""The largest length of an item's text in this table (our choice). It fills about two lines of a page."""
_ITEMS_AT_ONCE = 10_000


@dataclass(slots=True)
class _Counts:
    hits: int = 0
    documents: int = 0
    last_document: tuple[str, str] = ("", "")
    sources: set[str] = field(default_factory=set)


class Summary:
    """Counts the hits of each set and each item. The memory is proportional to the number of items in the sets. It does
    not grow with the number of documents."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._found: dict[int, _Counts] = {}
        self._by_set: dict[str, Counter[str]] = {rules.name: Counter() for rules in index.sets}
        self._by_source: dict[str, Counter[str]] = {rules.name: Counter() for rules in index.sets}
        self._last: dict[str, tuple[str, str]] = {}
        keys = np.zeros(index.num_pieces, dtype=np.uint64)  # hashes, because a million names would take 300 MB
        for piece in range(index.num_pieces):
            item = int(index.piece_items[index.item_starts[piece]])
            name, part = index.sets[index.piece_sets[piece]].name, PARTS[index.piece_parts[piece]]
            keys[piece] = _key(name, part, text_of_item(index, item)[0])
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Adds rows of a table of hits to the counts. All rows of a document must be given one after another."""
        for row in rows:
            key, document = row["set"], (row["source"], row["id"])
            counts = self._by_set[key]
            counts["hits"] += 1
            counts[f"hits_{row['class']}"] += 1
            if self._last.get(key) != document:
                self._last[key] = document
                counts["documents"] += 1
                self._by_source[key][row["source"]] += 1
            for item in self._items_of(row):
                found = self._found.setdefault(item, _Counts())
                found.hits += 1
                found.documents += found.last_document != document
                found.last_document = document
                found.sources.add(row["source"])

    def _items_of(self, row: dict[str, Any]) -> Iterator[int]:
        """Yields the numbers of all items with the same text as a row's item. The row names only the first of them."""
        index, key = self._index, np.uint64(_key(row["set"], row["part"], row["item"]))
        for piece in self._order[np.searchsorted(self._keys, key) : np.searchsorted(self._keys, key, "right")]:
            first, last = int(index.item_starts[piece]), int(index.item_starts[piece + 1])
            if last - first == row["num_same_items"]:
                yield from index.piece_items[first:last].tolist()
                return

    def items(self) -> Iterator[dict[str, Any]]:
        """Yields every item of every set, with the counts of its hits."""
        states = self._states()
        for item in range(self._index.num_items):
            found = self._found.get(item, _Counts())
            item_id, parts, _ = text_of_item(self._index, item)
            yield {
                "set": self._index.sets[self._index.item_sets[item]].name,
                "item": item_id,
                "state": STATES[states[item]],
                "hits": found.hits,
                "documents": found.documents,
                "sources": sorted(found.sources),
                "text": excerpt(next(filter(None, map(parts.get, PARTS)), "")),
            }

    def item_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the rows of :meth:`items` as batches of ``ITEMS_SCHEMA``."""
        held: list[dict[str, Any]] = []
        for item in self.items():
            held.append(item)
            if len(held) >= _ITEMS_AT_ONCE:
                yield pa.RecordBatch.from_pylist(held, schema=ITEMS_SCHEMA)
                held = []
        if held:
            yield pa.RecordBatch.from_pylist(held, schema=ITEMS_SCHEMA)

    def _states(self) -> list[int]:
        """Returns, for each item, how well a search can find it, as an index into ``STATES``.

        An item can have several pieces (question, passage, code). The piece that is easiest to find determines
        the state. An item without a piece is "too short".
        """
        states = np.full(self._index.num_items, 255, dtype=np.uint8)
        counts = np.diff(self._index.item_starts)
        np.minimum.at(states, self._index.piece_items, np.repeat(self._index.piece_states, counts))
        states[states == 255] = TOO_SHORT
        return states.tolist()  # type: ignore[no-any-return]

    def sets(self, checksums: dict[str, str]) -> list[dict[str, Any]]:
        """Returns the manifest's entry about each set.

        An entry has the set's name, version, checksum, actions and counts, and up to 20 ids of items that cannot be
        searched for.
        """
        states = np.array(self._states(), dtype=np.uint8)
        said = []
        for number, rules in enumerate(self._index.sets):
            members = np.flatnonzero(self._index.item_sets == number)
            found = [int(item) for item in members if int(item) in self._found]
            never = [int(item) for item in members if states[item] in _NEVER]
            counts = self._by_set[rules.name]
            said.append({
                "name": rules.name,
                "version": rules.version,
                "sha256": checksums.get(rules.name, ""),
                "action": rules.action,
                "public_action": rules.public_action,
                "items": len(members),
                "items_searched": len(members) - len(never),
                "items_found": len(found),
                "too_short": int(sum(states[item] == TOO_SHORT for item in never)),
                "too_common": int(sum(states[item] == TOO_COMMON for item in never)),
                "hits": counts["hits"],
                "contamination_hits": counts["hits_contamination"],
                "public_passage_hits": counts["hits_public_passage"],
                "documents": counts["documents"],
                "documents_by_source": dict(sorted(self._by_source[rules.name].items())),
                "not_searched": [text_of_item(self._index, item)[0] for item in never[:_MAX_LISTED]],
            })  # fmt: skip
        return said


def excerpt(text: str) -> str:
    r"""Returns the beginning of a text in one line, of at most 160 characters.

    >>> excerpt("How many\n  apples?"), len(excerpt("word " * 99))
    ('How many apples?', 160)
    """
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT_CHARS else line[: _EXCERPT_CHARS - 3] + "..."


def _key(name: str, part: str, item: str) -> int:
    """Returns a hash of three names in a row of the table of hits: the set, the part and the item."""
    return xxhash.xxh3_64_intdigest("\0".join((name, part, item)).encode("utf-8", "surrogatepass"))


def about(index: Index, sets: list[dict[str, Any]], sources: Iterable[str]) -> dict[str, Any]:
    """Returns the manifest's entry about decontamination: the version of the rules, the sources that were searched, and
    the sets.
    """
    return {
        "rule_version": RULE_VERSION,
        "sources": sorted(sources),
        "num_seeds": len(index.seeds.places) + len(index.near_seeds.places),
        "sets": sets,
    }
