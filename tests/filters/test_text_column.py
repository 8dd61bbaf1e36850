"""Tests the counts of lines in columns of texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import text_column
from filters.text_column import bytes_of, count_lines, num_line_ends

TEXTS = st.lists(st.text("ab\n\r é", max_size=12), max_size=6)
KINDS = [pa.string(), pa.large_string(), pa.string_view()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("piece_bytes", [1, 3, 256 << 10])
@given(texts=TEXTS, start=st.integers(0, 6), number=st.integers(0, 6))
def test_lines_are_those_that_a_file_of_them_would_have(
    kind: pa.DataType, piece_bytes: int, texts: list[str], start: int, number: int
) -> None:
    column, texts = pa.array(texts, kind).slice(start, number), texts[start : start + number]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_column, "_PIECE_BYTES", piece_bytes)
        assert count_lines(column) == sum(len(t.split("\n")) - (t.endswith("\n") or not t) for t in texts)
        assert num_line_ends(column).tolist() == [t.count("\n") for t in texts]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(texts=TEXTS, start=st.integers(0, 6))
def test_the_bytes_of_each_text_are_between_two_offsets(kind: pa.DataType, texts: list[str], start: int) -> None:
    data, starts = bytes_of(pa.array(texts, kind).slice(start))
    found = [data[a:b].tobytes().decode() for a, b in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    assert found == texts[start:]
    assert starts.dtype == np.int64
