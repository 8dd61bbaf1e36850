"""Tests where the parts of a source continue in the next stage. A simple second implementation follows every single
value.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtures.parts import OTHER
from pipeline.mix.earlier_parts import Place, moved, place_of, sets_of

Division = list[str] | None
"""The values by which a stage divides a source into parts; None if the source is not divided."""
VALUES = ("a", "b", "c", "d")

divisions = st.none() | st.lists(st.sampled_from(["a", "b", "c", OTHER]), min_size=1, max_size=4, unique=True)


def rule(values: Division) -> dict[str, object] | None:
    return None if values is None else {"by": "x", "values": values}


def members(values: Division) -> dict[str, set[str]]:
    """Returns a dict from the name of each part to the values that its documents have."""
    if values is None:
        return {"s": set(VALUES)}
    rest = set(VALUES) - set(values)
    return {f"s:{value}": rest if value == OTHER else {value} for value in values}


def epoch_of(name: str, values: Division, places: tuple[Place, ...]) -> int | str | None:
    """Returns the epoch in which a part continues. Returns None if the part is new, or a message if it is refused."""
    try:
        place = place_of(name, sets_of("s", rule(values))[name], places)
    except ValueError as error:
        return str(error)
    return None if place is None else place.epoch


@given(st.lists(divisions, min_size=1, max_size=6))
def test_a_part_continues_where_all_its_documents_stopped(stages: list[Division]) -> None:
    """In every stage all parts advance. A part is refused only if earlier stages put some of its documents into
    different parts.
    """
    places: tuple[Place, ...] = ()
    stopped: dict[str, int | None] = dict.fromkeys(VALUES)
    for number, values in enumerate(stages):
        parts = members(values)
        for name, held in parts.items():
            wanted, found = {stopped[value] for value in held}, epoch_of(name, values, places)
            if isinstance(found, str):
                assert "divided s otherwise" in found
                assert len(wanted) > 1
                return  # such a stage is not made
            assert wanted == {found}
        new = [Place(sets_of("s", rule(values))[name], 10 * number + index, None) for index, name in enumerate(parts)]
        places = moved(places, new)
        stopped |= {value: 10 * number + index for index, held in enumerate(parts.values()) for value in held}


def test_another_column_is_refused_unless_the_source_was_whole() -> None:
    by_y = sets_of("s", {"by": "y", "values": ["a"]})["s:a"]
    whole = moved((), [Place(sets_of("s", None)["s"], 3, None)])
    place = place_of("s:a", by_y, whole)
    assert place is not None
    assert place.epoch == 3
    divided = moved((), [Place(sets_of("s", {"by": "x", "values": ["a"]})["s:a"], 3, None)])
    with pytest.raises(ValueError, match="divide it by the same column"):
        place_of("s:a", by_y, divided)
