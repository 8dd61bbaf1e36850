"""Scores texts with a language model of Wikipedia, and sorts them into CCNet's buckets head, middle and tail.

The limits between the buckets (cut-offs) are percentiles of the scores of a crawl, computed by CCNet's authors. So this
module scores exactly as their code does, including its mistakes. For example, line ends are deleted like all control
characters. So the last word of a line and the first word of the next line become one word, and the whole document is
scored as one sentence.
"""

from __future__ import annotations

import csv
import functools
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from filters.ccnet.characters import CHARS_WITH_RULES, CONTROL_CHARS, DIGITS, UNICODE_PUNCTUATION
from filters.step import Models, Outcome, Step

HEAD_PERCENTILE, TAIL_PERCENTILE = 30, 60
"""The percentiles of the two cut-offs. The bucket head is below the 30th percentile, and the bucket tail begins at the
60th (cc_net/perplexity.py ``PerplexityBucket``)."""
BUCKETS = ("head", "middle", "tail", "all")


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Holds the two limits between the buckets: ``head`` is the upper limit of the head bucket, and ``tail`` is the
    lower limit of the tail bucket."""

    head: float
    tail: float

    def bucket(self, perplexity: float) -> str:
        """Returns the name of the bucket for a perplexity.

        >>> [Cutoffs(340, 520).bucket(perplexity) for perplexity in (339.9, 340, 519.9, 520)]
        ['head', 'middle', 'middle', 'tail']
        """
        if perplexity < self.head:
            return "head"
        return "middle" if perplexity < self.tail else "tail"


@dataclass(frozen=True, slots=True)
class PerplexityModel:
    """Scores texts in one language. A SentencePiece processor (``pieces``) splits a text into pieces, and a KenLM
    language model (``lm``) scores these pieces.
    """

    pieces: Any
    lm: Any
    cutoffs: Cutoffs

    def perplexity(self, text: str) -> float | None:
        """Returns the perplexity of a text, rounded to one decimal. Returns None if the normalised text is empty.

        The perplexity is ``10 ** (-log10(p) / (n + 1))``. n is the number of the text's pieces, and p is the
        probability of the text in the language model.
        """
        plain = normalize(text)
        # Use bytes throughout, which both models take and return. Making a string of each piece costs a third more.
        pieces = self.pieces.encode(plain.encode("utf-8"), out_type=bytes)
        if not pieces:
            return None
        joined = b" ".join(pieces)
        # cc_net counts a piece that contains another kind of space (for example a no-break space) as several pieces.
        others = [space for space in _OTHER_SPACES if space in plain]
        has_other = any(space.encode("utf-8") in joined for space in others)
        num_pieces = len(joined.decode("utf-8").split()) if has_other else len(pieces)
        return round(float(10.0 ** (-self.lm.score(joined) / (num_pieces + 1))), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity(Step):
    """Scores each document with the model of its language, and keeps the documents in the buckets that ``keep`` lists.

    If there is no model for a document's language, the document gets no perplexity and the bucket ``all``, as in CCNet.
    Such a document is dropped with the reason ``no_perplexity``, unless ``keep`` contains ``all``. The step needs the
    column ``language``.
    """

    NAME: ClassVar[str] = "perplexity"
    CITE: ClassVar[str] = "CCNet, perplexity.py and cutoff.csv; which buckets are kept: RedPajama v1"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("perplexity",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"perplexity": pa.float64(), "bucket": pa.string()}
    REASONS: ClassVar[tuple[str, ...]] = ("head_perplexity", "middle_perplexity", "tail_perplexity", "no_perplexity")

    keep: tuple[str, ...] = ("head", "middle")
    """Buckets that are kept. RedPajama v1 keeps head and middle. The LLaMA paper does not say which buckets it keeps.
    """

    def __post_init__(self) -> None:
        if isinstance(self.keep, str) or not self.keep or not set(self.keep) <= set(BUCKETS):
            raise ValueError(f"perplexity: keep must name some of {', '.join(BUCKETS)}, not {self.keep!r}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        by_language: Mapping[str, PerplexityModel] = models.get("perplexity", {})
        scores: list[float | None] = []
        buckets: list[str] = []
        for language, text in zip(batch.column("language").to_pylist(), batch.column("text").to_pylist(), strict=True):
            model = by_language.get(language)
            score = model.perplexity(text) if model else None
            scores.append(score)
            buckets.append(model.cutoffs.bucket(score) if model and score is not None else "all")
        verdict = [None if bucket in self.keep else _REASON_OF[bucket] for bucket in buckets]
        detail = [None if reason is None else _detail(score) for reason, score in zip(verdict, scores, strict=True)]
        column = pa.array(scores, pa.float64())
        return Outcome(
            verdict=pa.array(verdict, pa.string()),
            columns={"perplexity": column, "bucket": pa.array(buckets, pa.string())},
            detail=pa.array(detail, pa.string()),
            signals={"perplexity": column},
        )


_REASON_OF = {
    "head": "head_perplexity",
    "middle": "middle_perplexity",
    "tail": "tail_perplexity",
    "all": "no_perplexity",
}


def _detail(score: float | None) -> str:
    return "no model of its language, or nothing to score" if score is None else f"{score:.1f}"


def normalize(text: str) -> str:
    """Returns a text in the form that CCNet's language models were trained on (text_normalizer.py ``normalize``).

    The text is stripped, lower-cased and loses its accents. Digits become ``0``, Unicode punctuation becomes ASCII, and
    control characters are deleted.

    >>> normalize("Hello World.\\nSecond “liné” 42…")
    'hello world.second "line" 00...'
    """
    # Process line by line, because ASCII lines (most) are faster. No rule depends on text beyond a line end.
    lines = [line.lower() if line.isascii() else _plain_line(line.lower()) for line in text.strip().split("\n")]
    return "".join(lines).encode("utf-8").translate(_FOLD_DIGITS, _ASCII_CONTROLS).decode("utf-8")


def read_cutoffs(csv_text: str) -> dict[str, Cutoffs]:
    """Reads CCNet's ``cutoff.csv``, which has one row per percentile from 0 to 100 and one column per language. Returns
    the two cut-offs of each language: the 30th and the 60th percentile.

    Raises:
        ValueError: one of these two rows is missing, or a value is not a number.

    >>> read_cutoffs(",en\\n30,340\\n60,520\\n")
    {'en': Cutoffs(head=340.0, tail=520.0)}
    """
    header, *rows = csv.reader(io.StringIO(csv_text)) if csv_text.strip() else [[]]
    by_percentile = {row[0]: row[1:] for row in rows if row}
    missing = [str(p) for p in (HEAD_PERCENTILE, TAIL_PERCENTILE) if str(p) not in by_percentile]
    if missing or len(header) < 2:
        raise ValueError(f"not a table of cut-offs: percentile {' and '.join(missing) or header} is missing")
    heads, tails = by_percentile[str(HEAD_PERCENTILE)], by_percentile[str(TAIL_PERCENTILE)]
    try:
        return {
            language: Cutoffs(float(head), float(tail))
            for language, head, tail in zip(header[1:], heads, tails, strict=True)
        }
    except ValueError as error:
        raise ValueError(f"not a table of cut-offs: {error}") from error


_PLAIN_FOR = (
    dict.fromkeys((c for c in CHARS_WITH_RULES if unicodedata.category(c) == "Mn"), "")
    | UNICODE_PUNCTUATION
    | dict.fromkeys((digit for digit in DIGITS if not digit.isascii()), "0")
    | dict.fromkeys((control for control in CONTROL_CHARS if not control.isascii()), "")
)
"""Maps marks, digits, punctuation and control characters outside ASCII to their replacements."""
# Two expressions: Python's engine uses a lookup table for a class only if it stays inside the basic plane.
_PLAINER = re.compile("[" + "".join(c for c in _PLAIN_FOR if c <= "\uffff") + "]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_OTHER_SPACES = tuple(char for char in map(chr, range(128, 0x10000)) if char.isspace())
"""The white space characters outside ASCII."""
_ASTRAL_BYTE = re.compile(rb"[\xf0-\xf4]")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_FOLD_DIGITS = bytes(ord("0") if ord("0") <= byte <= ord("9") else byte for byte in range(256))
_ASCII_CONTROLS = bytes(ord(control) for control in CONTROL_CHARS if control.isascii())


def _plain_line(line: str) -> str:
    return _BEYOND_ASCII.sub(_plain_match, line)


def _plain_match(match: re.Match[str]) -> str:
    run = match[0]
    return _plain_short(run) if len(run) <= _SHORT_RUN_CHARS else _plain_run(run)


def _plain_run(run: str) -> str:
    # Normalisation only reorders marks, and all marks are outside ASCII, so a run can be normalised on its own.
    run = _PLAINER.sub(_plain_for, unicodedata.normalize("NFD", run))
    return _ASTRAL.sub(_plain_for, run) if _ASTRAL_BYTE.search(run.encode("utf-8")) else run


_plain_short = functools.lru_cache(1 << 14)(_plain_run)
"""The function ``_plain_run`` with a cache for short runs of characters outside ASCII. In English text, nearly every
run is a single letter, quotation mark or dash, so only a few hundred different runs occur."""
_SHORT_RUN_CHARS = 8


def _plain_for(match: re.Match[str]) -> str:
    return _PLAIN_FOR.get(match[0], match[0])
