"""Adds up the documents and tokens of a source before and after changed settings, separately for each part.

A document comes back if the run dropped it, but with the changed settings it would pass the stage that dropped it. The
run counted no tokens of dropped documents, so the tokens of a document that comes back are estimated. The estimate is
the document's length (a signal such as the number of characters) times the tokens per unit of length. This rate is
computed for each language from the kept documents. If the run kept no document of a language, the rate is computed from
the texts of the language that are stored in ``dropped/``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.report.documents import Floats
from pipeline.report.part_of import Names
from pipeline.report.rejudge import Documents

_LENGTHS = (
    "num_chars_after_dedup", "num_chars", "text_chars", "num_stripped_chars", "body_words", "num_words", "gopher_words",
)  # fmt: skip
"""Signals that measure the length of a text. The first that a document has is used."""
_NUMBER = ""
"""Stands for a length of 1 per document. It is used for documents without any of :data:`_LENGTHS`."""
_ANY = ""
"""Stands for all languages together."""
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Amount:
    """Holds a number of documents and the number of their tokens. Both can be estimates, so they need not be whole."""

    documents: float = 0.0
    tokens: float = 0.0

    def add(self, documents: float, tokens: float) -> None:
        self.documents += documents
        self.tokens += tokens


@dataclass(slots=True)
class _Back:
    """Holds sums over documents that come back. ``..._mixed`` are without those that are held out for validation."""

    documents: float = 0.0
    length: float = 0.0
    documents_mixed: float = 0.0
    length_mixed: float = 0.0


@dataclass(slots=True)
class Amounts:
    """Adds up documents and tokens by part. Documents that are held out for validation are not in ``before`` and
    ``after``.
    """

    before: dict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    """The documents that the run kept, by part."""
    after: dict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    """The documents that the changed settings keep, by part. Complete after :meth:`finish`."""
    tokens_back: float = 0.0
    """The estimated tokens of the documents that come back, including those for validation."""
    without_length: int = 0
    """The number of documents that come back and have no length. Each counts as an average kept document."""
    without_part: int = 0
    """The number of documents that come back and whose part is unknown. They are divided like the kept documents."""
    _known: dict[tuple[str, str], Amount] = field(default_factory=lambda: defaultdict(Amount))
    """By language and signal: the sum of the signal over kept documents (in ``documents``), and their tokens."""
    _sampled: dict[tuple[str, str], Amount] = field(default_factory=lambda: defaultdict(Amount))
    """The same, over dropped documents whose text is in ``dropped/``."""
    _back: dict[tuple[str | None, str, str, str], _Back] = field(default_factory=lambda: defaultdict(_Back))
    """By part, stage, language and signal."""

    def keep(
        self, documents: Documents, tokens: Floats, parts: tuple[Names, Names], alive: Mask, is_mixed: Mask
    ) -> None:
        """Adds documents that the run kept.

        Args:
            parts: the part of each document in the run, and after the changes.
            alive: True for documents that the changed settings keep.
            is_mixed: True for documents that are not held out for validation.
        """
        was, now = parts
        for part, here in _groups(was, is_mixed):
            self.before[part].add(float(here.sum()), float(tokens[here].sum()))
        for part, here in _groups(now, is_mixed & alive):
            self.after[part].add(float(here.sum()), float(tokens[here].sum()))
        _measure(self._known, documents, tokens)

    def keeps_language(self, languages: Names) -> Mask:
        """True for the languages of which :meth:`keep` has added documents."""
        return np.array([(one, _NUMBER) in self._known for one in languages.tolist()], dtype=bool)

    def sample(self, documents: Documents, tokens: Floats) -> None:
        """Adds dropped documents to the sums from which the tokens per unit of length are computed. If the tokens of a
        document were not counted, they are NaN in ``tokens``, and the document is skipped.
        """
        _measure(self._sampled, documents, tokens)

    def come_back(self, documents: Documents, parts: Names, stage: str, back: Mask, is_mixed: Mask) -> None:
        """Adds documents that ``stage`` dropped in the run and that would now pass it. ``back`` selects them."""
        lengths = np.ones(len(documents))
        signals = np.full(len(documents), _NUMBER, dtype=object)
        for signal in reversed(_LENGTHS):
            values = np.nan_to_num(documents.signal(signal))
            signals[values > 0], lengths[values > 0] = signal, values[values > 0]
        self.without_length += int((back & (signals == _NUMBER)).sum())
        for part, in_part in _groups(parts, back):
            self.without_part += int(in_part.sum()) if part is None else 0
            for language, in_language in _groups(documents.languages, in_part):
                for signal, here in _groups(signals, in_language):
                    one, mixed = self._back[part, stage, language, signal], here & is_mixed
                    one.documents += float(here.sum())
                    one.length += float(lengths[here].sum())
                    one.documents_mixed += float(mixed.sum())
                    one.length_mixed += float(lengths[mixed].sum())

    def finish(self, pass_share: Mapping[str, float]) -> None:
        """Adds the documents of :meth:`come_back` to ``after``. Their numbers are estimates, because later stages would
        drop some of these documents.

        Args:
            pass_share: for each stage, the share of its kept documents that the later stages also keep.
        """
        kept = sum(one.documents for one in self.before.values())
        like_kept = {part: one.documents / kept for part, one in self.before.items()} if kept else {}
        for (part, stage, language, signal), one in self._back.items():
            share, rate = pass_share.get(stage, 1.0), self._tokens_per(language, signal)
            self.tokens_back += share * rate * one.length
            for name, portion in (like_kept if part is None else {part: 1.0}).items():
                self.after[name].add(share * portion * one.documents_mixed, share * portion * rate * one.length_mixed)

    def _tokens_per(self, language: str, signal: str) -> float:
        """Returns the tokens per unit of a signal, of the language if that is known, or else of all languages. If no
        document has the signal, each document counts 0 tokens, because nothing is known.
        """
        places = ((self._known, language), (self._sampled, language), (self._known, _ANY), (self._sampled, _ANY))
        known = next((one for sums, key in places if (one := sums.get((key, signal)))), None)
        return known.tokens / known.documents if known is not None and known.documents else 0.0

    def scale(self, factor: float) -> None:
        """Multiplies all numbers. Used if only a share of the output was read."""
        for one in (*self.before.values(), *self.after.values()):
            one.documents, one.tokens = one.documents * factor, one.tokens * factor
        self.tokens_back *= factor
        self.without_length, self.without_part = (
            round(self.without_length * factor), round(self.without_part * factor)
        )  # fmt: skip


def _measure(sums: dict[tuple[str, str], Amount], documents: Documents, tokens: Floats) -> None:
    """Adds the lengths and tokens of documents to sums by language and signal."""
    # Tokens of kept documents are those of the final text, so the rates also reflect what later stages cut from a text.
    for signal in (*_LENGTHS, _NUMBER):
        values = np.ones(len(documents)) if signal == _NUMBER else np.nan_to_num(documents.signal(signal))
        for language, here in _groups(documents.languages, (values > 0) & ~np.isnan(tokens)):
            for key in {language, _ANY}:
                sums[key, signal].add(float(values[here].sum()), float(tokens[here].sum()))


def _groups(names: Names, chosen: Mask) -> Iterator[tuple[str, Mask]]:
    """Yields each name that the chosen documents have, with a mask of these documents."""
    for name in set(names[chosen].tolist()):
        yield name, chosen & np.array([one == name for one in names.tolist()], dtype=bool)
