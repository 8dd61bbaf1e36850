"""CCNet's tables of characters, shared by its line dedup and its language models.

Facts from cc_net/text_normalizer.py (commit bda555b). Two of its tables are wrong and kept, since its published
language models and cut-offs were made with them: FULLWIDTH DIGIT ONE stands among the quotes (harmless behind the
folding of digits), and a full stop of full width gains a space.
"""

from __future__ import annotations

import unicodedata

UNICODE_PUNCTUATION: dict[str, str] = {
    **dict.fromkeys("„”“«»」「《》１", '"'),
    **dict.fromkeys("´’", "'"),
    **dict.fromkeys("–━►", "-"),
    "，": ",",
    "、": ",",
    "。": ".",
    "．": ". ",
    "…": "...",
    "—": " - ",
    "：": ":",
    "∶": ":",
    "；": ";",
    "？": "?",
    "！": "!",
    "％": "%",
    "～": "~",
    "（": "(",
    "）": ")",
    "〈": "<",
    "〉": ">",
    "【": "[",
    "】": "]",
}
"""Each character with what the language models' text has in its place."""

CONTROL_CHARS = "".join(map(chr, (*range(32), *range(127, 160))))
"""Deleted everywhere: line ends are among them."""

CHARS_WITH_RULES = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000))))
"""All that may be a letter with two cases, a mark or a digit: the other planes are ideographs, private or empty."""

DIGITS = "".join(c for c in CHARS_WITH_RULES if unicodedata.category(c) == "Nd")
"""What ``\\\\d`` matches: folded to ``0``."""
