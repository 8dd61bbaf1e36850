"""The natural language of a document, by fastText's lid.176, as CCNet asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.language.word_sums import Floats, PrunedModel, WordSums
from filters.step import Models, Outcome, Step

UNDETERMINED = "und"
_LABEL = "__label__"

IsSame = Callable[[Floats, Floats], npt.NDArray[np.bool_]]


class LanguageModel:
    """A loaded fastText language model (``fasttext.load_model``), with its parts where they are of the kind for it."""

    def __init__(self, fasttext_model: Any, parts: PrunedModel | None = None) -> None:
        # The wrapper's own predict fails under NumPy 2 in some of fastText's distributions; what it wraps does not.
        self._predict = fasttext_model.f.predict
        self._words = WordSums(parts) if parts else None

    def top(self, text: str, line_end: str = "") -> tuple[str, float]:
        """Returns the likeliest language and its probability, of the whole text with its line ends replaced.

        Deleted is what cc_net/split_by_lang.py does: words at line ends are glued, as in CCNet.
        """
        labels, probabilities = self.predict(text.replace("\n", line_end))
        return (labels[0].removeprefix(_LABEL), probabilities[0]) if labels else (UNDETERMINED, 0.0)

    def top_all(self, texts: pa.Array, is_same: IsSame, line_end: str = "") -> tuple[list[str], Floats]:
        """Returns what :meth:`top` says of each text (string), twice as fast where the model allows it.

        Args:
            is_same: of the least and the most that some probabilities may be, whether it makes no difference which.
                A text of which it does is asked of fastText itself; the probabilities of the others are right to what
                makes no difference.
        """
        if self._words is None:
            found = [self.top(text, line_end) for text in texts.to_pylist()]
            return [language for language, _ in found], np.array([score for _, score in found], np.float64)
        guesses = self._words.guess(pc.replace_substring(texts, "\n", line_end))
        languages = [label.removeprefix(_LABEL) for label in guesses.labels]
        scores, errors = guesses.probabilities, guesses.errors
        for number in np.flatnonzero(~(np.isfinite(errors) & is_same(scores - errors, scores + errors))):
            languages[number], scores[number] = self.top(texts[number].as_py(), line_end)
        return languages, scores

    def predict(self, text: str, k: int = 1) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Returns fastText's ``k`` likeliest labels with their probabilities, of a text without line ends.

        fastText's own ``predict`` adds the line end that closes its input, which counts as a word: without it the
        score is another one.
        """
        found = self._predict(text + "\n", k, 0.0, "strict")
        return tuple(label for _, label in found), tuple(probability for probability, _ in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(Step):
    """Keeps documents in ``languages`` (none named: all) of which the model is sure to ``min_score``.

    The score is rounded to two decimals before it is compared, as CCNet does it (0.495 passes at 0.5;
    cc_net/split_by_lang.py ``rounding=2``, cc_net/mine.py ``lang_threshold=0.5``), and kept so.
    """

    NAME: ClassVar[str] = "language"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("language",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"language": pa.string(), "language_score": pa.float64()}
    REASONS: ClassVar[tuple[str, ...]] = ("low_language_score", "other_language")

    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes, as the model has them. English: LLaMA, section 2.1."""
    min_score: float = 0.5
    """CCNet, cc_net/mine.py: lang_threshold=0.5."""

    def __post_init__(self) -> None:
        if isinstance(self.languages, str):
            raise ValueError(f"language: languages must be a list of codes, not {self.languages!r}")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"language: min_score must lie between 0 and 1, not {self.min_score}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        languages, scores = _predict_all(batch.column("text"), models["language"])
        is_low = scores < self.min_score
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
    """Fills in ``language`` if no step has determined it (``und``); drops nothing.

    A language that the model is less than ``min_score`` sure of stays ``und``.
    """

    NAME: ClassVar[str] = "detect_language"
    CITE: ClassVar[str] = "CCNet's threshold"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("language",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"language": pa.string()}

    min_score: float = 0.5
    """As CCNet's threshold for pages."""
    max_chars: int = 100_000
    """Ours: a language shows in the first pages of a book; bounds the time a document takes."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        texts = batch.column("text")
        known = batch.column("language") if "language" in batch.schema.names else pa.nulls(len(texts), pa.string())
        unknown = pc.equal(pc.fill_null(known, UNDETERMINED), UNDETERMINED)
        heads = pc.utf8_slice_codeunits(texts.filter(unknown), 0, self.max_chars)
        found, scores = _predict_all(heads, models["language"])
        sure = [lang if score >= self.min_score else UNDETERMINED for lang, score in zip(found, scores, strict=True)]
        language = pc.replace_with_mask(known, unknown, pa.array(sure, pa.string())) if sure else known
        return Outcome(verdict=pa.nulls(len(texts), pa.string()), columns={"language": language})


def _predict_all(texts: pa.Array, model: LanguageModel) -> tuple[list[str], Floats]:
    languages, scores = model.top_all(texts, lambda least, most: np.round(least, 2) == np.round(most, 2))
    return languages, np.round(scores, 2)
