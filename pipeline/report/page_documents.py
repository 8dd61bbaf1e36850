"""Packs sampled documents into JSON of limited size. The script of the report page shows these documents as text.

The data is in a block that browsers do not run. The script inserts it into the page as text nodes, so whatever a
document contains (a script, an image, a link) stays text. The page's content policy allows only the page's own script.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from filters.language.detect import UNDETERMINED
from pipeline.report.charts import short
from pipeline.report.collect import Collected, Group
from pipeline.report.limits import Limit, title_of
from pipeline.report.nearest import EXCERPT_CHARS, NearestDocument, excerpt

_EXCERPTS = (EXCERPT_CHARS, 1000, 600, 400, 300, 200)
NOT_THERE = -1
"""The number that is stored in place of a kept document that was not found."""
_FEWEST = 3
"""The smallest number of documents per group, however many groups there are."""
_ID_CHARS = 200
_MAX_HOSTS = 200
"""The largest number of hosts in the page's menu."""
_LONG_NUMBER = re.compile(r"-?\d{1,9}\.\d{5,}")
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE_TABLE = str.maketrans(_UNSAFE)


@dataclass(slots=True)
class Samples:
    """Holds the sampled documents, packed into JSON, and the choices in the page's menus."""

    text: str
    """JSON that is safe inside a ``script`` element."""
    num_docs: int
    num_groups: int
    excerpt_chars: int
    sources: list[str]
    reasons: list[str]
    """The stages and reasons, each as ``stage: reason``."""
    languages: list[str]
    hosts: list[str]
    """The hosts with the most documents, sorted by name."""


def samples_of(collected: Sequence[tuple[str, Collected]], counts: dict[tuple[str, str, str], int], *,
               budget_bytes: int) -> Samples:  # fmt: skip
    """Returns the sampled documents of all sources, packed into JSON of at most ``budget_bytes`` if possible.

    If the documents do not fit, the excerpts of texts are shortened first. If they still do not fit, fewer documents
    are packed for each drop reason, but at least three.

    Args:
        counts: numbers of dropped documents, by (source, stage, reason).
    """
    groups = [(source, group) for source, found in collected for group in found.groups]
    most = max([len(g.dropped) for _, g in groups] + [len(g.kept) for _, g in groups] + [_FEWEST])
    for chars in _EXCERPTS:
        if _least_bytes(groups, chars, most) <= budget_bytes:
            packed = _pack(groups, counts, chars, most)
            if len(packed.text.encode()) <= budget_bytes:
                return packed
    while True:
        packed = _pack(groups, counts, _EXCERPTS[-1], most)
        if most == _FEWEST or len(packed.text.encode()) <= budget_bytes:
            return packed
        most = max(_FEWEST, most * 3 // 4)


def _least_bytes(groups: Sequence[tuple[str, Group]], excerpt_chars: int, most: int) -> int:
    """Returns a lower bound for the number of bytes that the texts need. If this bound is already too large, the caller
    does not pack the documents in this way.
    """
    return sum(min(len(s.text), excerpt_chars) for _, g in groups for s in g.dropped[:most])


def _pack(groups: Sequence[tuple[str, Group]], counts: dict[tuple[str, str, str], int], excerpt_chars: int,
          most: int) -> Samples:  # fmt: skip
    places: dict[tuple[str, str, int], int] = {}
    docs: list[dict[str, Any]] = []
    packed = []
    languages: set[str] = set()
    hosts: Counter[str] = Counter()

    def place(source: str, shown: NearestDocument | None, limit: Limit | None) -> int:
        if shown is None:
            return NOT_THERE
        known = places.get((source, limit.signal if limit else "", id(shown)))
        if known is not None:
            return known
        packed_document = _document(shown, limit, excerpt_chars)
        languages.add(packed_document.get("language", ""))
        hosts.update([packed_document["host"]] if "host" in packed_document else [])
        docs.append(packed_document)
        places[source, limit.signal if limit else "", id(shown)] = len(docs) - 1
        return len(docs) - 1

    for source, group in groups:
        packed.append(
            {
                "source": source,
                "stage": group.stage,
                "reason": group.reason,
                "count": counts.get((source, group.stage, group.reason), len(group.dropped)),
                "limit": group.limit.label if group.limit else "",
                "signal": title_of(group.limit.signal) if group.limit else "",
                "beside": group.beside,
                "paired": group.is_paired,
                "dropped": [place(source, s, group.limit) for s in group.dropped[:most]],
                "kept": [place(source, s, group.limit) for s in group.kept[:most]],
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
        hosts=sorted(host for host, _ in hosts.most_common(_MAX_HOSTS)),
    )


def _document(shown: NearestDocument, limit: Limit | None, excerpt_chars: int) -> dict[str, Any]:
    """Returns a document as a mapping, in the form that the script of the page reads. Values that are not known are
    left out.
    """
    one = excerpt(shown, excerpt_chars)
    found = {
        "id": _cut(one.doc_id),
        "language": "" if one.language == UNDETERMINED else one.language,
        "detail": "" if _says_the_same(one, limit) else _cut(_rounded(one.detail)),
        "measured": _measured(one, limit),
        "value": one.signals.get(limit.signal) if limit else None,
        "text": one.text,
        "at": one.starts_at,
        "size": one.num_chars or len(one.text),
        "is_beginning": one.is_beginning or None,
        "marks": [list(span) for span in one.marks],
        "why": one.why,
        "url": _cut(one.url),
        "host": host_of(one.url)[:_ID_CHARS],
        "title": _cut(one.title),
        "date": one.date,
    }
    return {name: value for name, value in found.items() if value not in ("", None, []) and (name, value) != ("at", 0)}


def host_of(url: str) -> str:
    """Returns the host of an address; empty if it has none.

    >>> host_of("https://www.example.org:80/a"), host_of("no address")
    ('www.example.org', '')
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _cut(text: str) -> str:
    return text if len(text) <= _ID_CHARS else text[: _ID_CHARS - 1] + "…"


def _rounded(detail: str) -> str:
    """Returns a detail, with fewer digits if it is a number.

    >>> _rounded("0.2560606061"), _rounded("12"), _rounded("gutenberg-1.2")
    ('0.2561', '12', 'gutenberg-1.2')
    """
    return f"{float(detail):.4g}" if _LONG_NUMBER.fullmatch(detail) else detail


def _says_the_same(shown: NearestDocument, limit: Limit | None) -> bool:
    """True if the detail of a dropped document (the note of the step that dropped it) only repeats the signal's value.
    The page shows this value anyway.
    """
    value = shown.signals.get(limit.signal) if limit else None
    try:
        return value is not None and math.isclose(float(shown.detail), value, rel_tol=1e-6)
    except ValueError:
        return False


def _measured(shown: NearestDocument, limit: Limit | None) -> str:
    """Returns the title and the value of the signal that the step compared with its limit. Returns an empty text if the
    drop reason has no limit, or the document does not have the signal.
    """
    if limit is None or limit.signal not in shown.signals:
        return ""
    return f"{title_of(limit.signal)} {short(shown.signals[limit.signal])}"


def script_json(value: Any) -> str:
    """Returns a value as JSON without any character that could start or end an HTML element.

    >>> script_json({"text": "</script><!--"})
    '{"text":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE_TABLE)
