"""Tests the command that lists the documents of a training step: they are those that the loader returned in this
step.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mixtures.inspect.__main__ import main
from mixtures.loader import Loader, LoaderSettings, Place


@pytest.mark.parametrize("more", [{}, {"seed": 3}, {"packing": "best_fit"}, {"max_seq_len": 256}, {"shuffle": False}])
def test_a_step_lists_what_the_loader_gave(output: Path, capsys: Any, more: dict[str, Any]) -> None:
    made = LoaderSettings(**{"seq_len": 64, "batch_size": 3, "epochs": None, **more})
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in more.items() if k != "shuffle"]
    flags += ["--no-shuffle"] if not more.get("shuffle", True) else []
    first, second = (iter(Loader(output, made, place=Place(rank=rank, num_ranks=2))) for rank in range(2))
    for step in range(6):
        batches = next(first), next(second)
        assert main([str(output), f"--step={step}", "--seq-len=64", "--batch-size=6", *flags]) == 0
        said = capsys.readouterr().out
        given = [n for batch in batches for n in batch.sequences.tolist()]
        assert [int(n) for n in re.findall(r"^sequence (\d+)$", said, re.M)] == given
        sources = {batch_source for batch in batches for batch_source in batch.segment_sources.tolist()} - {-1}
        loader = Loader(output, made)
        names = {loader.stream.source_names[number] for number in sources}
        assert set(re.findall(r"^  at \d+: (\S+)  ", said, re.M)) == names
        assert f"skip_sequences=[({step * 6}, {step * 6 + 6})] leaves it out" in said
        assert "shares: " in said
        assert main([str(output), f"--step={step}", "--seq-len=64", "--batch-size=6", *flags, "--json"]) == 0
        as_json = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [one["sequence"] for one in as_json] == given
        assert {document["source"] for one in as_json for document in one["documents"]} == names


def test_the_documents_of_a_sequence_are_its_tokens(output: Path, rows: Any) -> None:
    loader = Loader(output, LoaderSettings(seq_len=300, batch_size=2))
    ids = {(source, doc_id, epoch): ids for source, doc_id, epoch, ids in rows}
    for batch in loader:
        for row, number in enumerate(batch.sequences.tolist()):
            found: list[int] = []
            for one in loader.documents(number):
                assert one.at == len(found)
                whole = ids[one.source, one.doc_id, one.epoch]
                found += whole[one.begin : one.begin + one.num_tokens]
            assert found == batch.input_ids[row].tolist()


def test_requests_that_cannot_be_meant(output: Path, capsys: Any) -> None:
    assert main([str(output), "--step=3", "--seq-len=64"]) == 2
    assert "--step needs --seq-len and --batch-size" in capsys.readouterr().err
    assert main([str(output), "--step=-1", "--seq-len=64", "--batch-size=2"]) == 2
    assert "step -1 is not among" in capsys.readouterr().err
    assert main([str(output), str(output), "--step=1", "--seq-len=64", "--batch-size=2"]) == 2
    assert "--step needs one folder" in capsys.readouterr().err
