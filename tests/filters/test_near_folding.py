"""Tests the table that folds characters (to lower case, without accents). It gives the same bytes as folding one
character at a time.
"""

from __future__ import annotations

import random
import threading
import unicodedata
from pathlib import Path

import numpy as np

from filters.books.overlap import ASCII_TABLE, folded, shingles
from filters.near.folding import SIGMAS, FoldTable, fold_table
from filters.near.ngrams import ngram_sets

ALL = [chr(code) for code in range(128, 0x110000)]


def entry(table: FoldTable, character: str) -> bytes:
    start = int(table.entries[ord(character)])
    return table.pool[start + 1 : start + 1 + int(table.pool[start])].tobytes()


def test_characters_of_all_scripts() -> None:
    """Tests all characters up to U+33FF, and 60 random blocks of 256 higher code points."""
    pages = random.Random(1).sample(range(0x34, 0x1100), 60)
    characters = ALL[: 0x3400 - 128] + [chr(code) for page in pages for code in range(page << 8, (page + 1) << 8)]
    table = fold_table(characters)
    for character in characters:
        assert entry(table, character) == folded(character, {}).translate(ASCII_TABLE)
    assert table.pool[:256].tobytes() == ASCII_TABLE


def test_the_characters_whose_lower_case_depends_on_the_word_are_known() -> None:
    becoming = {c for c in ALL if "\u03a3" in unicodedata.normalize("NFKD", c.lower()) or c == "\u03a3"}
    assert becoming == set(SIGMAS)


def test_threads_share_the_table() -> None:
    found: list[FoldTable] = []
    threads = [threading.Thread(target=lambda c=c: found.append(fold_table([c]))) for c in "éЖ我\U0001f600" * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    for character in "éЖ我\U0001f600":
        assert entry(fold_table(), character) == folded(character, {}).translate(ASCII_TABLE)


def test_real_texts(corpus_data: Path) -> None:
    paths = sorted((corpus_data / "wikipedia").rglob("*"))
    texts = [path.read_bytes()[:300_000].decode("utf-8", "replace") for path in paths if path.is_file()][:20]
    assert any(not text.isascii() for text in texts)
    for text, found in zip(texts, ngram_sets(texts, ngram_words=5), strict=True):
        assert np.array_equal(found, shingles(text))
