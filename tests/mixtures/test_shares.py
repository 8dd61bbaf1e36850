"""Tests the command that measures the sources' shares: in all shards, in the worst shard, and at the beginning of the
stream. The expected shares are counted by plain code.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from mixtures.loader import Loader, LoaderSettings
from mixtures.shares.__main__ import main
from mixtures.shares.measure import shares
from mixtures.stream import TokenStream

Rows = list[tuple[str, str, int, list[int]]]


def of(rows: Rows) -> dict[str, float]:
    tokens: Counter[str] = Counter()
    for source, _, _, ids in rows:
        tokens[source] += len(ids)
    return {source: n / tokens.total() for source, n in tokens.items()}


def test_shares_are_those_counted_by_hand(output: Path, rows: Rows) -> None:
    stream = TokenStream(output)
    settings = LoaderSettings(seq_len=64, batch_size=1, seed=5)
    found = {one.source: one for one in shares(stream, settings=settings, num_sequences=20)}
    whole, by_shard = of(rows), [of(rows[number::5]) for number in range(5)]
    assert {s: one.whole for s, one in found.items()} == pytest.approx(whole)
    assert {s: one.planned for s, one in found.items()} == pytest.approx(dict.fromkeys(whole, 1 / 3))
    for source, one in found.items():
        worst = max(range(5), key=lambda n: abs(by_shard[n].get(source, 0) - whole[source]))
        assert one.worst_path == f"shards/train-{worst:05d}-of-00005.arrow"
        assert one.worst_shard == pytest.approx(by_shard[worst].get(source, 0))
    seen: Counter[int] = Counter()
    for _, batch in zip(range(20), Loader(stream, settings), strict=False):
        seen.update(batch.sources().ravel().tolist())
    first = {stream.source_names[number]: n / seen.total() for number, n in seen.items()}
    assert {s: one.first for s, one in found.items() if one.first} == pytest.approx(first)


def test_the_whole_stream_has_the_whole_shares(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(output), "--first", "1", "--seq-len", "16"]) == 0
    said = capsys.readouterr().out
    table = {line.split()[0]: line.split()[1:] for line in said.splitlines()[1:4]}
    assert set(table) == {"books", "c4", "wikipedia"}
    for _, whole, _, first in table.values():
        assert float(first) == pytest.approx(float(whole), abs=0.1)
    assert re.search(r"tokens in 5 shards; the stream begins with ([\d,]+) of \1 sequences of 16, seed 0", said)
    assert re.search(r"furthest of all: \w+ in shards/train-0000\d-of-00005\.arrow, [\d.]+ % in place of", said)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--first", "0"], "--first 0.0 is not above 0"),
        (["--first", "2"], "--first 2.0 is not above 0 and at most 1"),
        (["--seq-len", "0"], "seq_len 0 is not a positive number"),
        (["--seq-len", "999999999"], "fewer than the 1 of a step"),
    ],
)
def test_a_wrong_request_is_one_line(
    output: Path, capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    assert main([str(output), *args]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_an_output_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "manifest.json is not there" in capsys.readouterr().err
