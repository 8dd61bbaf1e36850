"""Detects the natural language of a document with fastText's lid.176, as CCNet does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.language.word_sums import Floats, PrunedModel, WordSums
from filters.step import Models, Outcome, Step

UNDETERMINED = "und"
LABEL = "__label__"
"""The prefix of the labels that fastText returns."""

IsSame = Callable[[Floats, Floats], npt.NDArray[np.bool_]]


class LanguageModel:
    """Wraps a loaded fastText language model (``fasttext.load_model``).

    ``parts`` contains the arrays of the same model. :class:`WordSums` uses them to score texts faster than fastText. If
    :class:`WordSums` cannot evaluate the model, ``parts`` is None.
    """

    def __init__(self, fasttext_model: Any, parts: PrunedModel | None = None) -> None:
        # The wrapper's own predict fails with NumPy 2 in some distributions of fastText. The wrapped object works.
        self._model, self._parts = fasttext_model, parts
        self._predict = fasttext_model.f.predict
        self._words: WordSums | None = WordSums(parts) if parts else None

    @functools.cached_property
    def compiled(self) -> LanguageModel:
        """The same model with compiled loops. It returns the same results faster. But in each process the compiler
        takes a second and 180 MB of memory."""
        from filters.language.compiled_sums import CompiledWordSums

        found = LanguageModel(self._model, self._parts)
        found._words = CompiledWordSums(self._parts) if self._parts else None
        return found

    def top(self, text: str, line_end: str = "") -> tuple[str, float]:
        """Returns the most likely language of a text and its probability. Returns ("und", 0.0) if the model finds no
        language.

        ``line_end`` replaces line ends, because the model takes a single line. By default line ends are deleted, as in
        cc_net/split_by_lang.py. Then the word before and the word after a line end become one word.
        """
        labels, probabilities = self.predict(text.replace("\n", line_end))
        return (labels[0].removeprefix(LABEL), probabilities[0]) if labels else (UNDETERMINED, 0.0)

    def top_all(self, texts: pa.Array, is_same: IsSame, line_end: str = "") -> tuple[list[str], Floats]:
        """Returns the languages and the probabilities of all texts. If the model has ``parts``, this takes half the
        time of calling :meth:`top` for each text.

        Args:
            texts: an array of strings.
            is_same: a function of two arrays: the lowest and the highest possible score of each text. For each text, it
                returns True if all scores from the lowest to the highest lead to the same decision of the caller. If it
                returns False, fastText itself scores the text again. So the returned scores can differ slightly from
                fastText's scores, but the decisions cannot.
            line_end: the string that replaces line ends, as in :meth:`top`.
        """
        if self._words is None:
            found = [self.top(text, line_end) for text in texts.to_pylist()]
            return [language for language, _ in found], np.array([score for _, score in found], np.float64)
        guesses = self._words.guess(pc.replace_substring(texts, "\n", line_end))
        languages = [label.removeprefix(LABEL) for label in guesses.labels]
        scores, errors = guesses.probabilities, guesses.errors
        for number in np.flatnonzero(~(np.isfinite(errors) & is_same(scores - errors, scores + errors))):
            languages[number], scores[number] = self.top(texts[number].as_py(), line_end)
        return languages, scores

    def predict(self, text: str, k: int = 1) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Returns fastText's ``k`` most likely labels with their probabilities, for a text without line ends.

        A line end is added to the text, as fastText's own ``predict`` does. fastText counts the line end as a word, so
        it changes the score.
        """
        found = self._predict(text + "\n", k, 0.0, "strict")
        return tuple(label for _, label in found), tuple(probability for probability, _ in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(Step):
    """Drops documents whose most likely language is not in ``languages`` or has a score below ``min_score``.

    ``min_scores`` has separate limits for some languages. If ``languages`` is empty, every language is kept. Models
    other than lid.176 may use other names for languages, such as ``eng_Latn``. ``renames`` maps these names to the
    names that documents get. The other settings use the new names. The score is rounded to two decimals before it is
    compared and stored, as in CCNet (0.495 passes at 0.5; cc_net/split_by_lang.py ``rounding=2``, cc_net/mine.py
    ``lang_threshold=0.5``).
    """

    NAME: ClassVar[str] = "language"
    CITE: ClassVar[str] = "CCNet, split_by_lang.py and mine.py; English: LLaMA, section 2.1"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("language",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"language": pa.string(), "language_score": pa.float64()}
    REASONS: ClassVar[tuple[str, ...]] = ("low_language_score", "other_language")

    languages: tuple[str, ...] = ("en",)
    """Languages that are kept, as ISO 639-1 codes. The default, English, is from section 2.1 of the LLaMA paper."""
    min_score: float = 0.5
    """Lowest score that is kept. The default is from CCNet (cc_net/mine.py, ``lang_threshold=0.5``)."""
    min_scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Lowest scores that are kept, by language, for example ``{de: 0.7}``. For all other languages, ``min_score`` is
    used. (FineWeb 2 has a separate limit for each language.)"""
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)
    """New names for the model's languages, for example ``{eng_Latn: en}``. All other names are not changed."""

    def __post_init__(self) -> None:
        if isinstance(self.languages, str):
            raise ValueError(f"language: languages must be a list of codes, not {self.languages!r}")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"language: min_score must lie between 0 and 1, not {self.min_score}")
        for language, score in self.min_scores.items():
            if not 0 <= score <= 1:
                raise ValueError(f"language: min_scores.{language} must lie between 0 and 1, not {score}")
            if self.languages and language not in self.languages:
                raise ValueError(f"language: min_scores has {language}, which is not in languages")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        labels, scores = _predict_all(batch.column("text"), models["language"])
        languages = [self.renames.get(label, label) for label in labels]
        is_low = scores < np.array([self.min_scores.get(language, self.min_score) for language in languages])
        is_other = [bool(self.languages) and language not in self.languages for language in languages]
        verdict, detail = [], []
        for language, score, low, other in zip(languages, scores, is_low, is_other, strict=True):
            verdict.append("low_language_score" if low else "other_language" if other else None)
            detail.append(f"{language} {score:.2f}" if low or other else None)
        score_column = pa.array(scores, pa.float64())
        return Outcome(
            verdict=pa.array(verdict, pa.string()),
            columns={"language": pa.array(languages, pa.string()), "language_score": score_column},
            detail=pa.array(detail, pa.string()),
            signals={"language_score": score_column},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectLanguage(Step):
    """Fills in the language of documents whose ``language`` is missing or ``und`` (undetermined). Drops nothing.

    If the score of the most likely language is below ``min_score``, ``und`` is filled in.
    """

    NAME: ClassVar[str] = "detect_language"
    CITE: ClassVar[str] = "CCNet's threshold"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("language",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"language": pa.string()}

    min_score: float = 0.5
    """Lowest score at which the language is filled in. The default is CCNet's threshold for pages."""
    max_chars: int = 100_000
    """Number of characters that the model reads. Our choice: the first pages of a book show its language. The limit
    bounds the time."""
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)
    """New names for the model's languages, as in the step ``language``."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        texts = batch.column("text")
        known = batch.column("language") if "language" in batch.schema.names else pa.nulls(len(texts), pa.string())
        unknown = pc.equal(pc.fill_null(known, UNDETERMINED), UNDETERMINED)
        heads = pc.utf8_slice_codeunits(texts.filter(unknown), 0, self.max_chars)
        languages, scores = _predict_all(heads, models["language"])
        sure = [
            self.renames.get(lang, lang) if score >= self.min_score else UNDETERMINED
            for lang, score in zip(languages, scores, strict=True)
        ]
        language = pc.replace_with_mask(known, unknown, pa.array(sure, pa.string())) if sure else known
        return Outcome(verdict=pa.nulls(len(texts), pa.string()), columns={"language": language})


def _predict_all(texts: pa.Array, model: LanguageModel) -> tuple[list[str], Floats]:
    languages, scores = model.top_all(texts, lambda least, most: np.round(least, 2) == np.round(most, 2))
    return languages, np.round(scores, 2)
