"""Compares an encoder with its reference library, before a run encodes anything.

The ids must be equal, and no text may be encoded to a control token. The texts are some of the run's documents and a
list of difficult strings (control characters, long runs, spelled control tokens).

The encoder that the run will use is compared. This is gigatoken, if it is installed and reads the file. Without it,
:mod:`tokenizer.fast_bpe` encodes with a ``.model``. If the reference library itself encodes, there is nothing to
compare, and only the control tokens are checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tokenizer.audited import WrongIds
from tokenizer.encode import Encoder

MAX_TEXT_CHARS = 20_000
"""The number of characters of each text that are compared."""
MAX_TEXTS_BYTES = 1 << 20
"""About this many bytes of the run's texts are compared. The slowest library needs less than a second for them."""

HOSTILE = (
    "", " ", "  ", "a", " a", "a ", "a  b", "   a   b   ", "\n", "\n\n a", "\t\tx", "\r\n", "\r\n\r\n  x", " \n \n",
    "say <s> twice", "</s>", "<unk>", "<0x0A>", "<0x0A><0x0", "\u2581", "a\u2581b", "\u2581\u2581",
    "Z\u00fcrich \u4e2d\u6587 \U0001f600", "\U0001f468\u200d\U0001f469", "\x00", "a\x00b", "\ufeff",
    "\u00a0\u3000\u2028\u2029", "e\u0301 \u00e9 \ufb01 \u00bd", "0123456789", "3.14159e-10", "I'm we'LL they'Ve d'S",
    "'" * 50, " " * 70, "=" * 33, "ab" * 40, "\U0010ffff", "\ufffd", "    return x  # ok", "aaaaaaaaaaaaaaaab",
    "\ufdfa", "\u0ca0_\u0ca0", "HTTPServer2Go", "\u01c5\u02b0\u0301x", "a\u0660\u0661\u0662\u0663", "\u017f'\u017f",
    "x" * 400, "\n" * 90, "a\u00adb\u200bc", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "/* */ // \\n\\t",
)  # fmt: skip


def prove(encoder: Encoder, texts: Sequence[str]) -> str | None:
    """Compares an encoder with its reference library.

    Args:
        encoder: the encoder to check.
        texts: some of the run's own texts.

    Returns:
        A message about the first text with different ids; None if all ids are equal.

    Raises:
        ValueError: a text that spells a control token is encoded to that token.
    """
    control = frozenset(encoder.codec.control.values())
    spelled = [text for token in encoder.codec.control for text in (token, f"a {token} b", f"{token}{token}")]
    samples = list(_bounded(texts))
    every = [*HOSTILE, *spelled, *samples]
    try:
        rows = encoder.codec.encode(_large(every))
    except WrongIds as error:
        return error.what
    ends = np.cumsum(rows[1])
    has_control = np.isin(rows[0], np.fromiter(control, np.int64, len(control)))
    if has_control.any():
        number = int(ends.searchsorted(int(np.flatnonzero(has_control)[0]), "right"))
        raise ValueError(
            f"the tokenizer gives a control token for text that spells one ({every[number][:60]!r}), so documents "
            "could forge the borders of others: encode with another file"
        )
    if not encoder.is_fast:
        return None
    for number, wanted in enumerate(encoder.codec.reference(every)):
        found = rows[0][int(ends[number] - rows[1][number]) : int(ends[number])].tolist()
        if found != list(wanted):
            at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(wanted))
            place = "text of this run" if number >= len(every) - len(samples) else "test text"
            return (
                f"{encoder.codec.accelerator} differs from {encoder.codec.library} at id {at} of a {place} that begins "
                f"{every[number][:40]!r}"
            )
    return None


def _bounded(texts: Sequence[str]) -> Iterator[str]:
    left = MAX_TEXTS_BYTES
    for text in texts:
        if left <= 0:
            return
        part = text[:MAX_TEXT_CHARS]
        left -= len(part.encode("utf-8", "replace"))
        yield part


def proven(encoder: Encoder, texts: Sequence[str]) -> tuple[Encoder, str]:
    """Returns the encoder to use, and a message about it.

    If the ids of the given encoder equal those of the reference library, the given encoder is returned. If gigatoken's
    ids differ, an encoder without gigatoken is returned instead.

    Raises:
        ValueError: the ids of the project's own encoder differ, or a text is encoded to a control token.
    """
    difference = prove(encoder, texts)
    what = encoder.codec.accelerator or encoder.codec.library
    if difference is None:
        return encoder, f"{what} encodes, with ids equal to those of {encoder.codec.library}"
    if not encoder.codec.accelerator.startswith("gigatoken"):
        raise ValueError(f"{difference}; set tokenizer.fast: off to encode with {encoder.codec.library}")
    other, said = proven(Encoder(encoder.model, replace(encoder.settings, fast="own")), texts)
    return other, f"{said.split(' encodes', 1)[0]} encodes, because {difference}"


def _large(texts: Sequence[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())
