"""Contains CCNet's tables of characters, which its line dedup and its language models share.

The entries are from cc_net/text_normalizer.py (commit bda555b). Two entries are wrong but kept, because CCNet's
published language models and cut-offs were made with them: FULLWIDTH DIGIT ONE is listed as a quotation mark (harmless,
since digits are folded first), and a full stop of full width gains a space.
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
"""Maps each character to its replacement in the language models' text."""

CONTROL_CHARS = "".join(map(chr, (*range(32), *range(127, 160))))
"""Control characters, including line ends. The line dedup and the language models delete them."""

CHARS_WITH_RULES = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000))))
"""All characters that can be a cased letter, a mark or a digit. The Unicode planes that are left out contain only
ideographs, or nothing."""

DIGITS = "".join(c for c in CHARS_WITH_RULES if unicodedata.category(c) == "Nd")
"""Characters that ``\\\\d`` matches. They are folded to ``0``."""
