"""Names the formats of ``mixtures.export``. The command's flags need them, so this module imports nothing large."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["megatron", "datatrove", "dolma", "mds", "arrayrecord"]
FORMATS: tuple[Format, ...] = get_args(Format)

WITH_ONE_INDEX: tuple[Format, ...] = ("megatron", "mds")
"""Formats in which one index describes all files."""
