"""Packs sampled documents into JSON of limited size. The script in the report page shows them as text.

The data is in a block that browsers do not run. The script inserts it into the page as text nodes, so whatever a
document contains (a script, an image, a link) stays text. The page's content policy forbids everything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from filters.language.detect import UNDETERMINED
from pipeline.report.charts import short
from pipeline.report.collect import Collected, Group
from pipeline.report.limits import Limit, title_of
from pipeline.report.nearest import EXCERPT_CHARS, NearestDocument

_EXCERPTS = (EXCERPT_CHARS, 1000, 600, 400, 300, 200)
_FEWEST = 3
"""The smallest number of documents per group, however many groups there are."""
_ID_CHARS = 200
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE_TABLE = str.maketrans(_UNSAFE)


@dataclass(slots=True)
class Samples:
    """The packed documents, and the options that the page offers to select them."""

    text: str
    """JSON that is safe inside a ``script`` element."""
    num_docs: int
    num_groups: int
    excerpt_chars: int
    sources: list[str]
    reasons: list[str]
    """The stages and reasons, each as ``stage: reason``."""
    languages: list[str]


def samples_of(collected: Sequence[tuple[str, Collected]], counts: dict[tuple[str, str, str], int], *,
               budget_bytes: int) -> Samples:  # fmt: skip
    """Returns the sampled documents of all sources, packed into JSON of at most ``budget_bytes`` if possible.

    If they do not fit, the excerpts are shortened first. Then the groups get fewer documents, but at least three each.

    Args:
        counts: numbers of dropped documents, by (source, stage, reason).
    """
    groups = [(source, group) for source, found in collected for group in found.groups]
    most = max([len(g.dropped) for _, g in groups] + [len(g.kept) for _, g in groups] + [_FEWEST])
    for excerpt in _EXCERPTS:
        if _least_bytes(groups, excerpt, most) <= budget_bytes:
            packed = _pack(groups, counts, excerpt, most)
            if len(packed.text.encode()) <= budget_bytes:
                return packed
    while True:
        packed = _pack(groups, counts, _EXCERPTS[-1], most)
        if most == _FEWEST or len(packed.text.encode()) <= budget_bytes:
            return packed
        most = max(_FEWEST, most * 3 // 4)


def _least_bytes(groups: Sequence[tuple[str, Group]], excerpt_chars: int, most: int) -> int:
    """Returns a lower bound for the bytes of the texts. It avoids packing documents that cannot fit."""
    return sum(min(len(s.text), excerpt_chars) for _, g in groups for s in g.dropped[:most])


def _pack(groups: Sequence[tuple[str, Group]], counts: dict[tuple[str, str, str], int], excerpt_chars: int,
          most: int) -> Samples:  # fmt: skip
    places: dict[tuple[str, str, int], int] = {}
    docs: list[list[Any]] = []
    packed = []
    languages: set[str] = set()

    def place(source: str, shown: NearestDocument, key: str, limit: Limit | None) -> int:
        known = places.get((source, key, id(shown)))
        if known is not None:
            return known
        language = "" if shown.language == UNDETERMINED else shown.language
        languages.add(language)
        measured = _measured(shown, limit)
        detail = "" if _says_the_same(shown, limit) else _cut(shown.detail)
        docs.append([_cut(shown.doc_id), language, detail, measured, shown.text[:excerpt_chars]])
        places[source, key, id(shown)] = len(docs) - 1
        return len(docs) - 1

    for source, group in groups:
        key = group.limit.signal if group.limit else ""
        packed.append(
            {
                "source": source,
                "stage": group.stage,
                "reason": group.reason,
                "count": counts.get((source, group.stage, group.reason), len(group.dropped)),
                "limit": group.limit.label if group.limit else "",
                "beside": group.beside,
                "dropped": [place(source, s, key, group.limit) for s in group.dropped[:most]],
                "kept": [place(source, s, key, group.limit) for s in group.kept[:most]],
            }
        )
    return Samples(
        text=script_json({"docs": docs, "groups": packed}),
        num_docs=len(docs),
        num_groups=len(packed),
        excerpt_chars=excerpt_chars,
        sources=list(dict.fromkeys(source for source, _ in groups)),
        reasons=sorted({f"{g.stage}: {g.reason}" for _, g in groups}),
        languages=sorted(languages),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _ID_CHARS else text[: _ID_CHARS - 1] + "…"


def _says_the_same(shown: NearestDocument, limit: Limit | None) -> bool:
    """True if the detail of a document is the value that is shown anyway."""
    value = shown.signals.get(limit.signal) if limit else None
    try:
        return value is not None and math.isclose(float(shown.detail), value, rel_tol=1e-6)
    except ValueError:
        return False


def _measured(shown: NearestDocument, limit: Limit | None) -> str:
    """Returns the title and value of the signal that was compared with the limit; empty if there is none."""
    if limit is None or limit.signal not in shown.signals:
        return ""
    return f"{title_of(limit.signal)} {short(shown.signals[limit.signal])}"


def script_json(value: Any) -> str:
    """Returns a value as JSON without any character that could start or end an HTML element.

    >>> script_json({"text": "</script><!--"})
    '{"text":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE_TABLE)
