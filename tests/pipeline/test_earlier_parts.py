"""Where the parts of a source continue, compared with a place for every single document."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mixtures.parts import OTHER
from pipeline.mix.earlier_parts import Place, moved, place_of, sets_of

Division = list[str] | None
"""The values of a stage's parts; None for a source that is not divided."""
VALUES = ("a", "b", "c", "d")

divisions = st.none() | st.lists(st.sampled_from(["a", "b", "c", OTHER]), min_size=1, max_size=4, unique=True)


def rule(values: Division) -> dict[str, object] | None:
    return None if values is None else {"by": "x", "values": values}


def members(values: Division) -> dict[str, set[str]]:
    """Returns the values that the documents of each part have, by the part's name."""
    if values is None:
        return {"s": set(VALUES)}
    rest = set(VALUES) - set(values)
    return {f"s:{value}": rest if value == OTHER else {value} for value in values}


@given(st.lists(divisions, min_size=1, max_size=4), divisions)
def test_a_part_continues_where_all_its_documents_stopped(stages: list[Division], now: Division) -> None:
    """Every stage moves all parts of its own. A part is refused only if its documents are at different places."""
    places: tuple[Place, ...] = ()
    stopped: dict[str, int | None] = dict.fromkeys(VALUES)
    for number, values in enumerate(stages):
        new, found = [], {}
        for index, (name, held) in enumerate(members(values).items()):
            new.append(Place(sets_of("s", rule(values))[name], 10 * number + index, None))
            found |= dict.fromkeys(held, 10 * number + index)
        places = moved(places, new)
        stopped |= found
    for name, held in members(now).items():
        wanted = {stopped[value] for value in held}
        try:
            place = place_of(name, sets_of("s", rule(now))[name], places)
        except ValueError as error:
            assert "divided s otherwise" in str(error)
            # joined parts are refused even if they stopped alike, because other values may not have
            assert len(wanted) > 1 or len(held) > 1
        else:
            assert wanted == {None if place is None else place.epoch} or not held


def test_another_column_is_refused_unless_the_source_was_whole() -> None:
    by_y = sets_of("s", {"by": "y", "values": ["a"]})["s:a"]
    whole = moved((), [Place(sets_of("s", None)["s"], 3, None)])
    place = place_of("s:a", by_y, whole)
    assert place is not None
    assert place.epoch == 3
    divided = moved((), [Place(sets_of("s", {"by": "x", "values": ["a"]})["s:a"], 3, None)])
    try:
        place_of("s:a", by_y, divided)
    except ValueError as error:
        assert "divide it by the same column" in str(error)
    else:
        raise AssertionError
