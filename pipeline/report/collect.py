"""Reads a source's output once, and collects what the page shows: the signals of all documents that are read (a signal
is a number that a step measures), and some documents as examples.

Memory is bounded. For each document, one float is stored per signal. For each drop reason, the beginnings of a limited
number of texts are stored. If an output is large, only a sample is read (:mod:`pipeline.report.documents`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.ledger import MAX_SAMPLE_CHARS
from pipeline.clean.origin import COLUMNS
from pipeline.files.files import exists, join, open_file
from pipeline.files.store_files import StoreError
from pipeline.output.paths import Layout
from pipeline.report.documents import (
    SAMPLE_BYTES,
    Floats,
    Part,
    Read,
    read_sample,
    read_texts,
    signal_columns,
    signals_of,
)
from pipeline.report.eval_sets import hit_spans
from pipeline.report.limits import Limit, limits_of
from pipeline.report.near_dedups import members_of_groups
from pipeline.report.nearest import EXCERPT_CHARS, Kept, NearestDocument, excerpt
from pipeline.report.output_state import SourceState
from pipeline.report.passages import Passage, Span, by_reason, scored_passage, shared
from pipeline.sources.dedup_steps import DedupStep
from pipeline.tokenize.encode_parts import TOKEN_FILE

KEPT = ""
"""The name of the group of kept documents. All groups with a different name have dropped documents."""
_SHOWN_COLUMNS = ("id", "language", "stage", "reason", "detail", "signals", "url", "title", "date", "text")
"""The columns of ``dropped`` that are shown. Older outputs have no ``language``, ``url``, ``title`` and ``date``."""
_PART_NUMBER = re.compile(r"part-(\d+)-of-")


@dataclass(slots=True)
class Group:
    """Holds documents that a stage (a step of a source) dropped for one reason, and kept documents for comparison."""

    stage: str
    reason: str
    dropped: list[NearestDocument]
    kept: list[NearestDocument | None] = field(default_factory=list)
    """Kept documents for comparison. An entry is None if the dropped document is a copy whose original was not
    found.
    """
    beside: str = ""
    """A description of the kept documents, shown in the page."""
    limit: Limit | None = None
    is_paired: bool = False
    """True if the lists ``dropped`` and ``kept`` are paired: ``kept[i]`` is the original of the copy ``dropped[i]``."""


@dataclass(slots=True)
class Collected:
    """Holds the numbers and texts that were read from a source's output."""

    limits: list[Limit]
    values: dict[str, dict[str, list[Floats]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """The values of the documents, by signal and group (:func:`group_name`, or :data:`KEPT`)."""
    groups: list[Group] = field(default_factory=list)
    clean: Read = field(default_factory=Read)
    dropped: Read = field(default_factory=Read)
    language_docs: Counter[str] = field(default_factory=Counter)
    language_bytes: Counter[str] = field(default_factory=Counter)
    language_tokens: Counter[str] = field(default_factory=Counter)
    """The number of tokens per language. Documents whose number of tokens is unknown are not counted."""
    tokenized_bytes: Counter[str] = field(default_factory=Counter)
    members: dict[str, NearestDocument] = field(default_factory=dict)
    """Documents in the largest groups of a near dedup, by their id. Only documents whose text was read are included."""

    def of(self, signal: str, group: str) -> Floats:
        """Returns all values of a signal in a group as one array."""
        parts = self.values.get(signal, {}).get(group, [])
        return np.concatenate(parts) if parts else np.empty(0)


def collect(
    layout: Layout, state: SourceState, *, budget_bytes: int = SAMPLE_BYTES, scores: Mapping[str, Any] | None = None
) -> Collected:
    """Reads the clean and dropped documents of a source, up to ``budget_bytes`` of each folder. Also reads all stored
    texts of dropped documents.

    Args:
        scores: the run's models that are on this machine, by key (such as ``perplexity``). These models find the
            passages with the worst scores.

    Returns:
        The numbers and texts that were read.
    """
    steps = state.source.steps if state.source else ()
    found = Collected(limits=[limit for step in steps for limit in limits_of(step, state.cutoffs)])
    names_kept = {step.NAME for step in steps if isinstance(step, DedupStep) and step.names_kept}
    deciding = Deciding(scores or {}, hit_spans(layout, state.name))
    by_reason = _dropped_texts(layout.dropped(state.name), found.dropped, deciding, names_kept)
    _read_dropped(layout.dropped(state.name), found, budget_bytes)
    named = {shown.detail for (stage, _), docs in by_reason.items() if stage in names_kept for shown in docs}
    named |= members_of_groups(state)
    kept = Kept(found.limits, named)
    _read_clean(layout, state.name, found, kept, budget_bytes)
    found.groups = _grouped(state, found.limits, by_reason, kept, names_kept)
    _mark_kept(found.groups, deciding)
    found.members = {one: excerpt(kept.by_id[one], EXCERPT_CHARS) for one in members_of_groups(state) & set(kept.by_id)}
    for group in found.groups:
        found.members |= {d.doc_id: d for d in group.dropped if d.doc_id in members_of_groups(state)}
    return found


@dataclass(frozen=True, slots=True)
class Deciding:
    """Finds the passage that made a step drop or keep a document."""

    scores: Mapping[str, Any]
    hits: Mapping[str, tuple[Span, ...]]
    """The places at which evaluation items were found, by the id of the document."""

    def passage(self, reason: str, document: NearestDocument) -> Passage:
        """Returns the passage that belongs to a drop reason, for example the line with a curly bracket. The document
        can be a dropped or a kept one. If an evaluation item was found in it, returns the place of the item instead.
        """
        if document.doc_id in self.hits:
            return Passage(self.hits[document.doc_id], "the evaluation item")
        scored = scored_passage(reason, document.text, self.scores, document.language)
        return by_reason(reason, document.text, document.detail) if scored is None else scored


def _dropped_texts(
    folder: str, read: Read, deciding: Deciding, names_kept: Set[str]
) -> dict[tuple[str, str], list[NearestDocument]]:
    """Returns the dropped documents whose text is in the output, by (stage, reason).

    Each text is shortened to an excerpt, with one exception. If a document was dropped as a copy, its whole text is
    returned, because it is compared with the text of the kept document.
    """
    found: dict[tuple[str, str], list[NearestDocument]] = defaultdict(list)
    for batch in read_texts(folder, read):
        columns = [name for name in _SHOWN_COLUMNS if name in batch.schema.names]
        for row in batch.select(columns).to_pylist():
            document = NearestDocument(
                row["id"],
                row["text"],
                row.get("language") or "",
                row["detail"] or "",
                signals_of(row["signals"]),
                url=row.get("url") or "",
                title=row.get("title") or "",
                date=row.get("date") or "",
                num_chars=len(row["text"]),
                is_beginning=len(row["text"]) >= MAX_SAMPLE_CHARS,
            )
            if row["stage"] not in names_kept:
                document = excerpt(document, EXCERPT_CHARS, deciding.passage(row["reason"], document))
            found[row["stage"], row["reason"]].append(document)
    return dict(found)


def _mark_kept(groups: Sequence[Group], deciding: Deciding) -> None:
    """Shortens the kept documents in the groups to excerpts, and marks a passage in each of them.

    The drop reason of the group decides which passage is marked. There is one exception: if a group pairs each copy
    with its original, the passages that both have are marked in both documents.
    """
    unmarked: dict[int, NearestDocument] = {}  # the page stores a document once if it is the same in all groups
    for group in groups:
        if group.is_paired:
            pairs = list(zip(group.dropped, group.kept, strict=True))
            group.dropped = [_beside(one, other) for one, other in pairs]
            group.kept = [other and _beside(other, one) for one, other in pairs]
        else:
            for place, one in enumerate(group.kept):
                passage = deciding.passage(group.reason, one) if one else Passage()
                cut = one and excerpt(one, EXCERPT_CHARS, passage)
                group.kept[place] = cut if cut is None or cut.marks else unmarked.setdefault(id(one), cut)


def _beside(one: NearestDocument, other: NearestDocument | None) -> NearestDocument:
    """Returns an excerpt of the document ``one``. The passages that the document ``other`` has too are marked. If the
    two texts are equal, or if ``other`` is None, nothing is marked.
    """
    is_equal = other is None or one.text == other.text
    passage = Passage() if is_equal else shared(one.text, other.text if other else "")
    return excerpt(one, EXCERPT_CHARS, passage)


def _read_dropped(folder: str, found: Collected, budget_bytes: int) -> None:
    columns = ["stage", "reason", "signals"]
    for _, batch in read_sample(folder, columns, found.dropped, budget_bytes=budget_bytes):
        pairs = zip(batch.column("stage").to_pylist(), batch.column("reason").to_pylist(), strict=True)
        groups = np.array([group_name(stage, reason) for stage, reason in pairs], dtype=object)
        signals = signal_columns(batch.column("signals"))
        for group in set(groups.tolist()):
            is_in = groups == group
            _keep_values(found, group, {name: values[is_in] for name, values in signals.items()})


def group_name(stage: str, reason: str) -> str:
    """Returns the name of the group of documents that the given stage dropped for the given reason."""
    return f"{stage}: {reason}"


def _keep_values(found: Collected, group: str, signals: Mapping[str, Floats]) -> None:
    for name, values in signals.items():
        known = values[~np.isnan(values)]
        if len(known):
            found.values[name][group].append(known)


def _read_clean(layout: Layout, source: str, found: Collected, kept: Kept, budget_bytes: int) -> None:
    columns = ["id", "text", "language", "programming_language", "signals", *COLUMNS]
    tokens = Tokens(layout.tokens(source))
    for part, batch in read_sample(layout.clean(source), columns, found.clean, budget_bytes=budget_bytes):
        signals = signal_columns(batch.column("signals"))
        ids, languages = batch.column("id").to_pylist(), languages_of(batch)
        text_bytes = pc.binary_length(batch.column("text")).to_numpy().astype(np.float64)
        num_tokens = tokens.of(part, ids)
        measured = {**signals, "text_bytes": text_bytes, "num_tokens": num_tokens}
        _keep_values(found, KEPT, measured)
        for language, size, number in zip(languages, text_bytes.tolist(), num_tokens.tolist(), strict=True):
            found.language_docs[language] += 1
            found.language_bytes[language] += int(size)
            if number == number:
                found.language_tokens[language] += int(number)
                found.tokenized_bytes[language] += int(size)
        kept.look_at(batch, ids, languages, signals)


def languages_of(batch: pa.RecordBatch) -> list[str]:
    """Returns the language of each document in a batch. For code it is the programming language."""
    languages: list[str] = batch.column("language").to_pylist() if "language" in batch.schema.names else []
    languages = languages or ["und"] * batch.num_rows
    if "programming_language" in batch.schema.names:
        code = batch.column("programming_language").to_pylist()
        return [c or natural for c, natural in zip(code, languages, strict=True)]
    return [language or "und" for language in languages]


class Tokens:
    """Looks up how many tokens each document has. A token file has these numbers for the documents of one part (output
    file).

    If the token file does not exist or cannot be read, the number is NaN.
    """

    def __init__(self, folder: str) -> None:
        self._folder, self._path = folder, ""
        self._counts: dict[str, int] = {}

    def of(self, part: Part, ids: Sequence[str]) -> Floats:
        match = _PART_NUMBER.search(part.name)
        if match and self._path != part.path:
            self._path, self._counts = part.path, self._read(join(self._folder, TOKEN_FILE.format(int(match[1]))))
        return np.array([self._counts.get(i, np.nan) for i in ids], np.float64)

    def has(self, part: Part) -> bool:
        """True if there is a token file for a part."""
        match = _PART_NUMBER.search(part.name)
        return match is not None and exists(join(self._folder, TOKEN_FILE.format(int(match[1]))))

    @staticmethod
    def _read(path: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        if not exists(path):
            return counts
        try:
            with open_file(path) as file, pa.ipc.open_file(file) as reader:
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    lengths = pc.list_value_length(batch.column("input_ids")).to_pylist()
                    counts.update(zip(batch.column("doc_id").to_pylist(), lengths, strict=True))
        except (pa.ArrowInvalid, OSError, StoreError):
            return {}
        return counts


def _grouped(state: SourceState, limits: Sequence[Limit], by_reason: Mapping[tuple[str, str], list[NearestDocument]],
             kept: Kept, names_kept: Set[str]) -> list[Group]:  # fmt: skip
    """Returns one group of dropped documents per stage and drop reason, in the order of the stages. If the reason
    compares a signal with a limit, the documents nearest to the limit come first in the group.
    """
    order = {stage: place for place, stage in enumerate(state.stages)}
    groups = []
    for stage, reason in sorted(by_reason, key=lambda key: (order.get(key[0], len(order)), key[1])):
        group = Group(stage, reason, by_reason[stage, reason])
        limit = next((one for one in limits if (one.stage, one.reason) == (stage, reason)), None)
        if limit is not None and all(limit.signal in shown.signals for shown in group.dropped):
            group.limit = limit
            group.dropped.sort(key=lambda shown, limit=limit: abs(shown.signals[limit.signal] - limit.value))  # type: ignore[misc]
        if stage in names_kept:
            group.kept = [kept.by_id.get(s.detail) for s in group.dropped]
            group.beside, group.is_paired = "the document that was kept for it", True
        elif group.limit is not None and kept.near(group.limit):
            group.kept, group.beside = list(kept.near(group.limit)), "kept, nearest to the limit"
        else:
            group.kept, group.beside = list(kept.any()), "kept, at random"
        groups.append(group)
    return groups
