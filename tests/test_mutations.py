"""Runs ``python -m tests.mutate`` with few files: one run per source, over damaged files beside sound ones."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mutate import MUTATIONS, faults, mutated
from tests.mutated_forms import FORMS, text

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("source", FORMS)
def test_damaged_files_harm_nobody_and_are_named(source: str, tmp_path: Path) -> None:
    num_mutants = 6 * len(FORMS[source])
    num_damaged, found = faults(source, tmp_path, num_mutants=num_mutants, seed=11)
    assert num_damaged > num_mutants / 2
    assert not found, "\n".join(found)


def test_every_kind_of_damage_changes_a_file() -> None:
    data, other = text(1, 0).encode(), text(2, 0).encode()
    for kind in MUTATIONS:
        made = {mutated(data, other, kind, random.Random(seed)) for seed in range(20)}
        assert len(made - {data}) > 10, kind
