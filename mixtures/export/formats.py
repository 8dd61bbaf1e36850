"""Names the formats of ``mixtures.export``. The flags need the names before anything large is imported."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["megatron", "datatrove", "dolma", "mds", "arrayrecord"]
FORMATS: tuple[Format, ...] = get_args(Format)

WITH_ONE_INDEX: tuple[Format, ...] = ("megatron", "mds")
"""Formats in which one index describes all files."""
