"""Contains CCNet's tables of characters, which its line dedup and its language models share.

The entries are from cc_net/text_normalizer.py (commit bda555b). Two entries are wrong. They are kept, because CCNet's
published language models and cut-offs were made with them. The first maps FULLWIDTH DIGIT ONE to a quotation mark,
which has no effect, because digits are replaced by ``0`` before. The second maps the full-width full stop to a full
stop and a space.
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
"""Maps each punctuation mark outside ASCII to its replacement in the text that the language models score."""

CONTROL_CHARS = "".join(map(chr, (*range(32), *range(127, 160))))
"""Control characters, including line ends. The line dedup and the language models delete them."""

CHARS_WITH_RULES = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000))))
"""All characters of the Unicode planes that contain cased letters, combining marks or digits. The other planes contain
only ideographs, or nothing."""

DIGITS = "".join(c for c in CHARS_WITH_RULES if unicodedata.category(c) == "Nd")
r"""All characters that the regular expression ``\d`` matches. Each is replaced by ``0``."""
