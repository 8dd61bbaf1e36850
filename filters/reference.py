"""Classifies pages as references: a linear model separates pages that Wikipedia cites from random web pages.

LLaMA's model (section 2.1) was not published. The model of this module is of the same kind as RedPajama's: a supervised
fastText model over whole pages with the labels ``wiki`` and ``cc``. The command
``python -m pipeline.models train-reference`` trains such a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from filters.rules import Rule, first_broken
from filters.step import Models, Outcome, Step

REFERENCE_LABEL = "__label__wiki"
RANDOM_LABEL = "__label__cc"


def classifier_text(text: str) -> str:
    """Returns the text on one line, the form in which the classifier is trained and applied.

    Line ends become spaces (RedPajama v1, data_prep/cc/classifier).

    >>> classifier_text("a\\nb")
    'a b'
    """
    return text.replace("\n", " ")


class ReferenceModel:
    """Wraps a loaded fastText classifier.

    Raises:
        ValueError: the model has no label ``wiki``.
    """

    def __init__(self, fasttext_model: Any) -> None:
        labels = fasttext_model.get_labels()
        if REFERENCE_LABEL not in labels:
            raise ValueError(f"a reference classifier needs the label {REFERENCE_LABEL}; this one has {labels[:5]}")
        self._predict = fasttext_model.f.predict

    def score(self, text: str) -> float:
        """Returns the probability that Wikipedia would cite the page; 0 for a page without words."""
        found = self._predict(classifier_text(text) + "\n", 1, 0.0, "strict")
        if not found:
            return 0.0
        probability, label = found[0]
        probability = min(probability, 1.0)  # fastText may return slightly more than 1
        return float(probability if label == REFERENCE_LABEL else 1.0 - probability)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(Step):
    """Drops pages that the classifier rates as unlikely to be cited by Wikipedia."""

    NAME: ClassVar[str] = "reference"
    CITE: ClassVar[str] = 'LLaMA, section 2.1: "discarded pages not classified as references"'
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("reference",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"reference_score": pa.float64()}
    REASONS: ClassVar[tuple[str, ...]] = ("not_reference",)

    min_score: float = 0.5
    """Lowest score that is kept. 0.5 is the simplest reading of the paper: a page is kept if it is a reference with a
    probability of at least one half. RedPajama v1 keeps pages with a score of at least 0.25."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"reference: min_score must lie between 0 and 1, not {self.min_score}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limit as a rule."""
        return (Rule("not_reference", "reference_score", "<", self.min_score, "LLaMA, section 2.1"),)

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        model: ReferenceModel = models["reference"]
        scores = pa.array([model.score(text) for text in batch.column("text").to_pylist()], pa.float64())
        verdict, detail = first_broken({"reference_score": scores}, self.rules)
        columns = {"reference_score": scores}
        return Outcome(verdict=verdict, columns=columns, detail=detail, signals=columns)
