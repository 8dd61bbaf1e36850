"""Tests that two lines have equal hashes if CCNet treats them as equal, and that marked lines are dropped."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.ccnet.line_hashes import LINE_HASHES, LineHashes, ccnet_hashes, drop_lines

CASES = json.loads((Path(__file__).parents[1] / "cases/common_crawl/lines.json").read_text("utf-8"))
PUNCTUATION = set("，。、„”“«»１」「《》´∶：？！（）；–—．～’…━〈〉【】％►")

# Python's text is any sequence of scalar values; the odd ones are tried more often than chance would.
ODD = st.sampled_from("ΣσςİıſẞßÅéa1٣９１“…\u0085\u00a0\u2028\t\r\x1f\x00\u200bǅﬁ\u1c89\ua7cb𐵐𝟗“ “ -")
TEXT = st.text(st.one_of(ODD, st.characters(blacklist_categories=("Cs",)), st.just("\n")), max_size=60)


def normalised(line: str) -> str:
    """Applies CCNet's normalisation, one character at a time, as the code of its paper does."""
    out = []
    for char in line.strip().lower():
        if unicodedata.category(char) == "Nd":
            out.append("0")
        elif char not in PUNCTUATION and unicodedata.category(char) != "Cc":
            out.append(char)
    return "".join(out)


def classes(keys: list[Any]) -> list[int]:
    """Returns for each key the index of its first occurrence. If this is equal for two lists, the same keys are equal
    in both.
    """
    first: dict[Any, int] = {}
    return [first.setdefault(key, at) for at, key in enumerate(keys)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, str]) -> None:
    assert normalised(case["line"]) == case["normalised"]
    hashes = ccnet_hashes(pa.array([case["line"], case["normalised"], case["normalised"] + "!"]))
    # The normal form of a line is its own normal form where stripping finds nothing more.
    is_stripped = case["normalised"] == case["normalised"].strip()
    assert (hashes.hashes[0] == hashes.hashes[1]) == is_stripped
    assert hashes.hashes[0] != hashes.hashes[2]


@given(st.lists(TEXT, max_size=8))
@settings(deadline=None, max_examples=300)
def test_hashes_tell_lines_apart_as_the_rule_does(texts: list[str]) -> None:
    for name, rule in (("ccnet", normalised), ("c4", lambda line: line.strip().lower())):
        hashes = LINE_HASHES[name](pa.array(texts, pa.string()))
        lines = [line for text in texts for line in text.split("\n")]
        assert classes(hashes.hashes.tolist()) == classes([rule(line) for line in lines])
        assert hashes.doc_offsets.tolist() == np.cumsum([0, *(text.count("\n") + 1 for text in texts)]).tolist()


def test_every_character_is_normalised_as_the_rule_does() -> None:
    assigned = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) not in ("Cs", "Co")]
    # All that are assigned, and a share of those that another version of Unicode may have assigned.
    chars = [c for c in assigned if c != "\n" and (unicodedata.category(c) != "Cn" or ord(c) % 16 == 0)]
    for line in ("{}", "x{}Y"):
        lines = [line.format(char) for char in chars]
        expected = [xxhash.xxh3_64_intdigest(normalised(line).encode()) for line in lines]
        assert ccnet_hashes(pa.array(lines)).hashes.tolist() == expected


@given(st.lists(TEXT, min_size=1, max_size=6), st.data())
@settings(deadline=None)
def test_a_document_is_hashed_as_if_it_stood_alone(texts: list[str], data: st.DataObject) -> None:
    for rule in LINE_HASHES.values():
        whole = rule(pa.array(texts, pa.string()))
        at = data.draw(st.integers(0, len(texts) - 1))
        alone = rule(pa.array(texts, pa.string())[at : at + 1])
        assert whole.hashes[whole.doc_offsets[at] : whole.doc_offsets[at + 1]].tolist() == alone.hashes.tolist()
        assert alone.doc_offsets[0] == 0


def test_no_documents() -> None:
    for rule in LINE_HASHES.values():
        hashes = rule(pa.array([], pa.string()))
        assert (len(hashes.hashes), hashes.doc_offsets.tolist()) == (0, [0])
    kept = drop_lines(pa.array([], pa.string()), np.zeros(0, np.bool_))
    assert (len(kept.text), len(kept.num_lines)) == (0, 0)


def test_hashes_are_part_of_the_output() -> None:
    """If the hashes change, a new data version is needed, because one run may compare its hashes with those of another
    run.
    """
    assert ccnet_hashes(pa.array(["Page 12", ""])).hashes.tolist() == [13500947186603657200, 3244421341483603138]


def test_marked_lines_of_a_slice_are_dropped() -> None:
    texts = pa.array(["x\ny", "a\nb\nA", "c"])[1:]
    kept = drop_lines(texts, np.array([False, False, True, True]))
    assert kept.text.to_pylist() == ["a\nb", ""]
    assert (kept.num_lines.to_pylist(), kept.original_num_lines.to_pylist()) == ([2, 0], [3, 1])
    with pytest.raises(ValueError, match="3 marks for 4 lines"):
        drop_lines(texts, np.zeros(3, np.bool_))


def test_one_line_of_5_mb_and_many_empty_lines() -> None:
    texts = pa.array(["Wört 12 " * 600_000, "\n" * 300_000])
    hashes = ccnet_hashes(texts)
    assert hashes.doc_offsets.tolist() == [0, 1, 300_002]
    assert len(np.unique(hashes.hashes)) == 2
    is_dropped = np.ones(300_002, np.bool_)
    is_dropped[:2] = False
    assert drop_lines(texts, is_dropped).num_lines.to_pylist() == [1, 1]


@pytest.fixture(scope="module")
def cc_net() -> Callable[[str], ModuleType]:
    """Returns a function that loads a module of CCNet's own code from a checkout. CCNet is not a part of this
    project.
    """
    root = os.environ.get("CC_NET_REPO")
    if not root:
        pytest.skip("CC_NET_REPO is not set: nothing to compare with (a checkout of facebookresearch/cc_net)")

    def module(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"cc_net_{name}", Path(root) / "cc_net" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return module


def stored(path: str) -> BinaryIO:
    return open(path, "rb")


@pytest.mark.real
def test_equal_to_cc_nets_own_code(cc_net: Callable[[str], ModuleType], corpus_data: Path) -> None:
    from pipeline.sources.formats.warc_pages import read_wet
    from pipeline.sources.source import Rejected

    rule = cc_net("text_normalizer").normalize_for_dedup
    texts = []
    for path in sorted((corpus_data / "commoncrawl/wrapped/wet").glob("*.gz")):
        for record in read_wet(str(path), stored):
            assert not isinstance(record, Rejected)
            texts.append(record.text)
    hashes: LineHashes = ccnet_hashes(pa.array(texts))
    lines = [line for text in texts for line in text.split("\n")]
    assert len(lines) > 90_000
    assert classes(hashes.hashes.tolist()) == classes([rule(line) for line in lines])
