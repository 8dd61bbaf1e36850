"""Defines limits of the search. The command's ``--help`` shows them, so this module does not import NumPy."""

from __future__ import annotations

GRAM_BYTES = 12
WINDOW_GRAMS = 9
GRAIN_BYTES = GRAM_BYTES + WINDOW_GRAMS - 1
"""Length of the shortest string that can be looked up, in bytes of UTF-8."""
MAX_SHARE = 0.3
"""Largest size of an index, as a fraction of its shard's size."""
