"""Tests the pass counter. All workers of one iteration over the data get the same number, even if worker processes end
and others start.
"""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest

from mixtures.pass_counter import PassCounter


def join(counter: PassCounter, iteration: str, worker: int, found: Any) -> None:
    found.put((iteration, worker, counter.join(iteration, worker)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_in_processes_agree(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    counter, found = PassCounter(), context.Queue()
    for number in range(2):
        processes = [context.Process(target=join, args=(counter, f"i{number}", w, found)) for w in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert {found.get(timeout=30)[1:] for _ in processes} == {(w, number) for w in range(3)}
    assert counter.join("i2", 0) == 2


def test_an_iteration_that_began_earlier_and_arrives_late_keeps_its_number() -> None:
    counter = PassCounter()
    assert counter.join("old", 0) == 0
    assert counter.join("new", 0) == 1
    assert counter.join("old", 1) == 0
    assert counter.join("new", 1) == 1


def test_the_same_name_again_is_another_pass() -> None:
    """If a random generator gets the same seed before every pass, all passes have the same name. They still get
    different numbers.
    """
    counter = PassCounter()
    assert [counter.join("seed 0", worker) for worker in (0, 1, 1, 0, 0, 1)] == [0, 0, 1, 1, 2, 2]


def test_a_worker_that_died_before_it_began_is_not_waited_for() -> None:
    counter = PassCounter()
    assert counter.join("a", 0) == 0  # its worker 1 never came
    assert [counter.join("b", 0), counter.join("b", 1)] == [1, 1]


def test_a_number_from_a_state_counts_on() -> None:
    counter = PassCounter()
    assert counter.join("resumed", 0, number=5) == 5
    assert counter.join("resumed", 1, number=5) == 5
    assert counter.join("next", 1) == 6
    counter.restart(2)
    assert counter.join("again", 0) == 2


def test_a_copy_may_outlive_the_first(tmp_path: Path) -> None:
    counter = PassCounter()
    copied = pickle.loads(pickle.dumps(counter))
    assert counter.join("a", 0) == 0
    path = Path(counter._path)
    del counter
    assert not path.exists()
    assert copied.join("b", 0) == 0
    path.unlink()
