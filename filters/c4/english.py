"""Drops pages that are not English: C4's language rule.

The original uses langdetect (seed 0) and keeps pages with a score of at least 0.99. langdetect is slow (about 1 MB/s),
so fastText's lid.176 is the default of this step. fastText's scores are lower. In a test with 1,629 pages, 1,213 pages
got a score of at least 0.99 from langdetect, but only 58 pages from fastText. So the limit for fastText was chosen by a
comparison with langdetect on these 1,629 pages, which had all passed C4's rules about lines and pages. 505 of the pages
are CommonCrawl pages in about 30 languages, and the rest are English web text. fastText's model was lid.176.ftz. The
table has one row per limit for fastText. "kept" counts the pages that fastText keeps, "ours only" the pages that only
fastText keeps, and "theirs only" the pages that only langdetect keeps. "agreement" is the share of pages with the same
verdict:

=====  ====  =========  ===========  =========
limit  kept  ours only  theirs only  agreement
=====  ====  =========  ===========  =========
0.30   1213          2            2    99.75 %
0.40   1211          1            3    99.75 %
0.50   1210          1            4    99.69 %
0.65   1203          0           10    99.39 %
0.80   1185          0           28    98.28 %
0.90   1122          0           91    94.41 %
0.99     58          0         1155    29.10 %
=====  ====  =========  ===========  =========

The agreement hardly changes from 0.3 to 0.55. The limit 0.5 is the highest round number in that range, and it is also
the limit of CCNet. On the CommonCrawl pages alone, every limit from 0.3 to 0.85 gives the same verdicts as langdetect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.c4.lines_and_pages import is_judged
from filters.language.detect import UNDETERMINED
from filters.step import Models, Outcome, Step

DEFAULT_MIN_SCORE = {"fasttext": 0.5, "langdetect": 0.99}
"""Default limit per method. The limit 0.99 is from c4_utils ``detect_english``. The limit 0.5 is our choice (see the
table in the module's docstring)."""

Guess = tuple[str | None, float]
"""The most likely language and its score. The language is an ISO 639-1 code, or None if the text gives no evidence."""

_ENGLISH = ("en", "eng_Latn")
"""The label of English in lid.176 and langdetect, and in models whose labels include the script (GlotLID, OpenLID)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class C4English(Step):
    """Drops pages that are not English, and fills in the column ``language``. Documents of published C4 are not judged,
    unless ``is_for_published`` is set.

    ``method`` is ``fasttext`` or ``langdetect``. With ``fasttext``, the model with the key ``language`` is used.
    ``langdetect`` decides exactly as the original does.
    """

    NAME: ClassVar[str] = "c4_english"
    CITE: ClassVar[str] = "C4, c4_utils detect_english"
    DATA_VERSION: ClassVar[int] = 2
    MODELS: ClassVar[tuple[str, ...]] = ("language",)
    REASONS: ClassVar[tuple[str, ...]] = ("no_language", "other_language", "low_score")

    method: str = "fasttext"
    min_score: float | None = None
    """Lowest score that is kept. None means the default of the method: 0.5 for fasttext, 0.99 for langdetect."""
    is_for_published: bool = False

    def __post_init__(self) -> None:
        if self.method not in DEFAULT_MIN_SCORE:
            raise ValueError(f"c4_english: method must be one of {sorted(DEFAULT_MIN_SCORE)}, not {self.method!r}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which pages are dropped, by the most likely language of the whole page. The detail of a dropped page
        is this language and its score.
        """
        judged = is_judged(batch, is_for_published=self.is_for_published)
        texts = batch.column("text")
        found = iter(self._guess(texts.filter(pa.array(judged, pa.bool_())), models))
        guesses = [next(found) if applies else None for applies in judged]
        reasons = [guess and self._reason(guess) for guess in guesses]
        before = batch.column("language").to_pylist() if "language" in batch.schema.names else ["und"] * len(texts)
        return Outcome(
            verdict=pa.array(reasons, pa.string()),
            detail=pa.array(
                [f"{g[0]} {g[1]:.4f}" if g and r else None for g, r in zip(guesses, reasons, strict=True)], pa.string()
            ),
            columns={
                "language": pa.array(
                    [g[0] if g and g[0] else old for g, old in zip(guesses, before, strict=True)], pa.string()
                )
            },
            # Four decimals: the last bits of a sum may depend on the other texts of the batch.
            signals={"language_score": pa.array([g and round(g[1], 4) for g in guesses], pa.float64())},
        )

    def _guess(self, texts: pa.Array, models: Models) -> list[Guess]:
        if self.method == "langdetect":
            return [guess_by_langdetect(text) for text in texts.to_pylist()]
        if not len(texts):  # only published pages, which need no model
            return []
        # The model takes one line. C4's lines are sentences, so they are joined by spaces.
        languages, scores = models["language"].top_all(
            texts, lambda least, most: (least < self._limit) == (most < self._limit), line_end=" "
        )
        return [
            (None, 0.0) if language == UNDETERMINED else (language, min(score, 1.0))
            for language, score in zip(languages, scores.tolist(), strict=True)
        ]

    @property
    def _limit(self) -> float:
        return DEFAULT_MIN_SCORE[self.method] if self.min_score is None else self.min_score

    def _reason(self, guess: Guess) -> str | None:
        language, score = guess
        if language is None:
            return "no_language"
        if language not in _ENGLISH:
            return "other_language"
        return "low_score" if score < self._limit else None


def guess_by_langdetect(text: str) -> Guess:
    """Returns langdetect's most likely language and its score. Seed 0 makes the result the same in every run, as in
    c4_utils.

    >>> guess_by_langdetect("This is a plain English sentence, and so is this one here.")[0]
    'en'
    >>> guess_by_langdetect("12 34")
    (None, 0.0)
    """
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    DetectorFactory.seed = 0  # langdetect reads it again for every text
    try:
        guesses = detect_langs(text)
    except LangDetectException:
        return None, 0.0
    return (guesses[0].lang, float(guesses[0].prob)) if guesses else (None, 0.0)
