"""Limits the expansion of macros. In TeX an expansion can be endless, and a hostile source can make it costly."""

from __future__ import annotations

MAX_DEPTH = 200
"""Maximum depth of nested macro texts. Our choice: TeX allows 200 levels of input, and papers use fewer than 10."""
MAX_CALL_CHARS = 8_192
"""One call may add this many characters, plus 16 times the length of its arguments. Our choice: in 63 papers no
shorthand adds more than 800 characters; macros that add more draw figures."""
MAX_CALL_EXPANSIONS = 1_000
"""One call may expand this many macros, plus one per character of its arguments (an argument can be a whole section).
Our choice: in 63 papers, no call expands more than 50 macros."""
WORK_CHARS_BASE = 2_000_000
WORK_PER_CHAR = 6
"""Characters that all calls together may write per character of the document, besides ``WORK_CHARS_BASE``. Real papers
need far less. A hostile source of 20 MB takes under half a minute."""
PUSH_COST_CHARS = 100
"""The cost of each call, in characters, besides the characters that the call writes."""
MAX_FAILURES = 3
"""A macro that failed this many times is not expanded again (our choice)."""
MAX_GLANCE_CHARS = 500
"""A longer text of a macro is read again without a look at the commands in it (our choice)."""
