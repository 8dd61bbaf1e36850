"""Tests that the number of output files and buckets grows with the input, so that each worker holds a limited
amount.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.clean.sizing import scale_of


@given(st.integers(0, 10**16))
def test_a_source_is_cut_so_that_what_a_worker_holds_is_bounded(num_bytes: int) -> None:
    scale = scale_of(num_bytes)
    assert scale.num_parts >= 1
    assert num_bytes <= scale.num_parts * (256 << 20), "a part is at most 256 MB of stored input"
    assert scale.num_parts <= 64 or num_bytes / scale.num_parts > (200 << 20), "and no smaller than it must be"
    assert scale.num_line_buckets & (scale.num_line_buckets - 1) == 0, "a power of two"
    assert scale.num_key_buckets >= min(16, scale.num_parts)


@given(st.lists(st.integers(0, 10**13), min_size=2, max_size=9))
@example([(64 << 20) + 1, 99_308_352])  # 65 parts, then 64, in an earlier rule
@example([(16 << 30) - 1, 16 << 30, (16 << 30) + 1])
def test_more_input_is_never_fewer_parts(sizes: list[int]) -> None:
    scales = [scale_of(n) for n in sorted(sizes)]
    for name in ("num_parts", "num_line_buckets", "num_key_buckets"):
        values = [getattr(s, name) for s in scales]
        assert values == sorted(values)


def test_sources_of_up_to_64_mb_have_a_part_per_mb() -> None:
    mega = 1 << 20
    sizes = (0, 1, mega, mega + 1, 40 * mega, 64 * mega - 1, 64 * mega)
    assert [scale_of(n).num_parts for n in sizes] == [1, 1, 1, 2, 40, 64, 64]
