"""One pass over a source's output: what was measured of its documents, and documents to read.

Everything is bounded: a float a signal of each document that is looked at, of texts the first characters of so many
documents a reason. What is looked at of a large output is a sample (:mod:`pipeline.report.documents`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.files.files import exists, join, open_file
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
from pipeline.report.limits import OVERLAP, Limit, limits_of
from pipeline.report.nearest import EXCERPT_CHARS, Kept, NearestDocument
from pipeline.report.output_state import SourceState
from pipeline.tokenize.encode_parts import TOKEN_FILE

KEPT = ""
"""The group of the documents that were kept, among those of what was dropped."""
_OVERLAP = re.compile(r"^(\d\.\d+) of it stands in (.*)$", re.DOTALL)
_LANGUAGE = re.compile(r"^([a-z]{2,3}(?:-[a-z]+)?) [01]\.\d+$")
_PART_NUMBER = re.compile(r"part-(\d+)-of-")


@dataclass(slots=True)
class Group:
    """What was dropped at a stage for a reason, and kept documents beside it."""

    stage: str
    reason: str
    dropped: list[NearestDocument]
    kept: list[NearestDocument] = field(default_factory=list)
    beside: str = ""
    """What the kept ones are, for people."""
    limit: Limit | None = None


@dataclass(slots=True)
class Collected:
    """What a source's output says."""

    limits: list[Limit]
    values: dict[str, dict[str, list[Floats]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """By signal and group (:func:`group_name`, or :data:`KEPT`)."""
    groups: list[Group] = field(default_factory=list)
    clean: Read = field(default_factory=Read)
    dropped: Read = field(default_factory=Read)
    language_docs: Counter[str] = field(default_factory=Counter)
    language_bytes: Counter[str] = field(default_factory=Counter)
    language_tokens: Counter[str] = field(default_factory=Counter)
    """Of documents whose tokens are known."""
    tokenized_bytes: Counter[str] = field(default_factory=Counter)

    def of(self, signal: str, group: str) -> Floats:
        """All values of a signal in a group."""
        parts = self.values.get(signal, {}).get(group, [])
        return np.concatenate(parts) if parts else np.empty(0)


def collect(layout: Layout, state: SourceState, *, budget_bytes: int = SAMPLE_BYTES) -> Collected:
    """Reads a source's clean and dropped documents."""
    steps = state.source.steps if state.source else ()
    found = Collected(limits=[limit for step in steps for limit in limits_of(step, state.cutoffs)])
    by_reason = _dropped_texts(layout.dropped(state.name), only_language(state))
    _read_dropped(layout.dropped(state.name), found, budget_bytes)
    wanted = {_kept_id(shown.detail) for (stage, _), shown in _flat(by_reason) if _names_the_kept(state, stage)}
    kept = Kept(found.limits, wanted)
    _read_clean(layout, state.name, found, kept, budget_bytes)
    found.groups = _grouped(state, found.limits, by_reason, kept)
    return found


def _flat(
    by_reason: Mapping[tuple[str, str], Sequence[NearestDocument]],
) -> list[tuple[tuple[str, str], NearestDocument]]:
    return [(key, shown) for key, docs in by_reason.items() for shown in docs]


def only_language(state: SourceState) -> tuple[str, str]:
    """The stage behind which all documents are of one language, and that language."""
    for step in state.source.steps if state.source else ():
        languages = getattr(step, "languages", None)
        if languages is not None and len(languages) == 1:
            return step.NAME, languages[0]
        if step.NAME == "c4_english":
            return step.NAME, "en"
    return "", ""


def _dropped_texts(folder: str, only: tuple[str, str]) -> dict[tuple[str, str], list[NearestDocument]]:
    """Of each (stage, reason) the documents that kept their text."""
    found: dict[tuple[str, str], list[NearestDocument]] = defaultdict(list)
    for batch in read_texts(folder):
        texts = pc.utf8_slice_codeunits(batch.column("text"), 0, EXCERPT_CHARS).to_pylist()
        rows = batch.select(["id", "stage", "reason", "detail", "signals"]).to_pylist()
        for row, text in zip(rows, texts, strict=True):
            detail = row["detail"] or ""
            signals = signals_of(row["signals"])
            if (overlap := overlap_of(detail)) is not None:
                signals[OVERLAP] = overlap
            is_scored = "language_score" in signals
            language = language_of(row["id"], row["stage"], detail, only, is_scored=is_scored)
            found[row["stage"], row["reason"]].append(NearestDocument(row["id"], text, language, detail, signals))
    return dict(found)


def language_of(doc_id: str, stage: str, detail: str, only: tuple[str, str], *, is_scored: bool) -> str:
    """The language of a dropped document, as far as its row tells: ``dropped`` has no column of it."""
    if match := _LANGUAGE.match(detail):
        return match[1]
    if stage == "wiki_languages":
        return detail
    if only[0] and stage != only[0] and is_scored:
        return only[1]
    head, colon, rest = doc_id.partition(":")  # a Wikipedia page: the wiki's language and a number
    return head if colon and rest.isdigit() and head.isalpha() else ""


def overlap_of(detail: str) -> float | None:
    """
    >>> overlap_of("0.9995 of it stands in gutenberg-11"), overlap_of("412")
    (0.9995, None)
    """
    match = _OVERLAP.match(detail)
    return float(match[1]) if match else None


def _names_the_kept(state: SourceState, stage: str) -> bool:
    """Whether a stage's detail names the document that stayed."""
    step = next((s for s in state.source.steps if stage == s.NAME), None) if state.source else None
    return type(step).__name__ in ("ExactDedup", "NearDedup")


def _kept_id(detail: str) -> str:
    """
    >>> _kept_id("0.9995 of it stands in gutenberg-11"), _kept_id("it:808")
    ('gutenberg-11', 'it:808')
    """
    match = _OVERLAP.match(detail)
    return match[2] if match else detail


def _read_dropped(folder: str, found: Collected, budget_bytes: int) -> None:
    columns = ["stage", "reason", "detail", "signals"]
    for _, batch in read_sample(folder, columns, found.dropped, budget_bytes=budget_bytes):
        pairs = zip(batch.column("stage").to_pylist(), batch.column("reason").to_pylist(), strict=True)
        groups = np.array([group_name(stage, reason) for stage, reason in pairs], dtype=object)
        signals = signal_columns(batch.column("signals"))
        overlaps = [overlap_of(detail or "") for detail in batch.column("detail").to_pylist()]
        if any(value is not None for value in overlaps):
            signals[OVERLAP] = np.array([np.nan if v is None else v for v in overlaps])
        for group in set(groups.tolist()):
            is_in = groups == group
            _keep_values(found, group, {name: values[is_in] for name, values in signals.items()})


def group_name(stage: str, reason: str) -> str:
    """The group of documents that a stage dropped for a reason."""
    return f"{stage}: {reason}"


def _keep_values(found: Collected, group: str, signals: Mapping[str, Floats]) -> None:
    for name, values in signals.items():
        known = values[~np.isnan(values)]
        if len(known):
            found.values[name][group].append(known)


def _read_clean(layout: Layout, source: str, found: Collected, kept: Kept, budget_bytes: int) -> None:
    columns = ["id", "text", "language", "programming_language", "signals"]
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
    """The language of each document; of code the programming language."""
    languages: list[str] = batch.column("language").to_pylist() if "language" in batch.schema.names else []
    languages = languages or ["und"] * batch.num_rows
    if "programming_language" in batch.schema.names:
        code = batch.column("programming_language").to_pylist()
        return [c or natural for c, natural in zip(code, languages, strict=True)]
    return [language or "und" for language in languages]


class Tokens:
    """Tokens of the documents of a part, from its token file; NaN where that is gone."""

    def __init__(self, folder: str) -> None:
        self._folder, self._path = folder, ""
        self._counts: dict[str, int] = {}

    def of(self, part: Part, ids: Sequence[str]) -> Floats:
        match = _PART_NUMBER.search(part.name)
        if match and self._path != part.path:
            self._path, self._counts = part.path, self._read(join(self._folder, TOKEN_FILE.format(int(match[1]))))
        return np.array([self._counts.get(i, np.nan) for i in ids], np.float64)

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
        except (pa.ArrowInvalid, OSError):
            return {}
        return counts


def _grouped(
    state: SourceState, limits: Sequence[Limit], by_reason: Mapping[tuple[str, str], list[NearestDocument]], kept: Kept
) -> list[Group]:
    """The groups in the order of the stages; in a group the documents nearest to the limit first."""
    order = {stage: place for place, stage in enumerate(state.stages)}
    groups = []
    for stage, reason in sorted(by_reason, key=lambda key: (order.get(key[0], len(order)), key[1])):
        group = Group(stage, reason, by_reason[stage, reason])
        limit = next((one for one in limits if (one.stage, one.reason) == (stage, reason)), None)
        if limit is not None and all(limit.signal in shown.signals for shown in group.dropped):
            group.limit = limit
            group.dropped.sort(key=lambda shown, limit=limit: abs(shown.signals[limit.signal] - limit.value))  # type: ignore[misc]
        if _names_the_kept(state, stage):
            group.kept = [kept.by_id[i] for s in group.dropped if (i := _kept_id(s.detail)) in kept.by_id]
            group.beside = "the copy that was kept"
        elif group.limit is not None and kept.near(group.limit):
            group.kept, group.beside = kept.near(group.limit), "kept, nearest to the limit"
        if not group.kept:
            group.kept, group.beside = kept.any(), "kept, at random"
        groups.append(group)
    return groups
