"""Tests the folding of many texts at once: it gives the bytes of folding one text at a time."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from filters.books.overlap import _ASCII_TABLE, folded, normalise_encoded
from filters.near.folding import SIGMAS, folded_texts

ALL = [chr(code) for code in range(128, 0x110000)]


def test_every_character_in_every_neighbourhood() -> None:
    """Each character of Unicode stands once beside random others, in texts of 500 characters."""
    shuffled = random.Random(1).sample(ALL, len(ALL))
    texts = ["".join(shuffled[at : at + 500]) for at in range(0, len(shuffled), 500)]
    assert folded_texts(texts) == [folded(text, {}) for text in texts]


def test_the_characters_whose_lower_case_depends_on_the_word_are_known() -> None:
    becoming = {c for c in ALL if "\u03a3" in unicodedata.normalize("NFKD", c.lower()) or c == "\u03a3"}
    assert becoming == set(SIGMAS)
    words = ["ΟΔΟΣ και ΣΑΣ", "\U0001d6baΟ\U0001d6ba"]
    assert folded_texts(words) == [folded(word, {}) for word in words]


@given(st.lists(st.text(st.characters(max_codepoint=0x2FFF)), max_size=6))
def test_any_texts(texts: list[str]) -> None:
    assert folded_texts(texts) == [folded(text, {}) for text in texts]


@given(st.text("aeoux é", max_size=40))
def test_ae_oe_and_ue_lose_their_second_letter(text: str) -> None:
    raw = folded(text, {}).translate(_ASCII_TABLE)
    assert normalise_encoded(raw) == raw.replace(b"ae", b"a").replace(b"oe", b"o").replace(b"ue", b"u")


def test_real_texts(corpus_data: Path) -> None:
    paths = sorted((corpus_data / "wikipedia").rglob("*"))
    texts = [path.read_bytes()[:300_000].decode("utf-8", "replace") for path in paths if path.is_file()][:20]
    assert any(not text.isascii() for text in texts)
    assert folded_texts(texts) == [folded(text, {}) for text in texts]
