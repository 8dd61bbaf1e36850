"""Tests the trained model: it has LLaMA's settings, equal text gives equal bytes, and the sample is limited and
weighted.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from mixtures.recipe import Recipe
from mixtures.tokenizer_sample import weighted_sample
from tokenizer import model_file as model_proto
from tokenizer.train.__main__ import main
from tokenizer.train.sample import SmallestHashes, bounded_sample, lines
from tokenizer.train.training import TrainSettings, train


def recipe(missing: str = "error", **weights: str) -> Recipe:
    return Recipe(
        name="test",
        weights={s: Decimal(w) for s, w in weights.items()},
        max_epochs=dict.fromkeys(weights, Decimal(4)),
        tokens=10**9,
        missing=missing,  # type: ignore[arg-type]
    )


def stream(prefix: str, num_docs: int, doc_bytes: int) -> Callable[[], Iterator[tuple[str, str]]]:
    return lambda: ((f"{prefix}{i}", (f"{prefix}{i} " * doc_bytes)[:doc_bytes]) for i in range(num_docs))


def test_the_settings_are_those_of_llamas_model(model: bytes) -> None:
    proto = model_proto.parse(model)
    assert (proto.model_type, proto.byte_fallback, len(proto.pieces)) == (model_proto.BPE, True, 2000)
    assert (proto.charsmap, proto.add_dummy_prefix, proto.remove_extra_whitespaces) == (b"", True, False)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = (processor.unk_id(), processor.bos_id(), processor.eos_id(), processor.pad_id())
    assert ids == (0, 1, 2, -1)
    assert [p.text for p in proto.pieces[3:259]] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert processor.encode("1024", out_type=str) == ["▁", "1", "0", "2", "4"]
    assert any(p.text == "▁▁▁▁" for p in proto.pieces)
    assert not any("\n" in p.text for p in proto.pieces)


def test_equal_text_gives_equal_bytes(topics: list[str], model: bytes, tmp_path: Path) -> None:
    shuffled = list(topics)
    random.Random(3).shuffle(shuffled)
    for folder, threads in (("a", 1), ("b/c", 5)):
        made = train(shuffled, tmp_path / folder / "t", TrainSettings(vocab_size=2000, num_threads=threads))
        assert made.model == model
        assert (tmp_path / folder / "t.model").read_bytes() == model
    assert (tmp_path / "a/t.json").read_bytes() == (tmp_path / "b/c/t.json").read_bytes()
    about = json.loads((tmp_path / "a/t.json").read_text())
    assert about["vocab_size"] == 2000
    assert about["sample"]["bytes"] == sum(len(t.encode()) for t in topics)
    assert about["sha256"] == made.sha256
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["t.json", "t.model", "t.tokenizer.json"]


def test_too_little_text_says_what_is_possible(topics: list[str]) -> None:
    with pytest.raises(ValueError, match=r"too little for a vocabulary of 32,000 pieces: at most 1[\d,]+ are possible"):
        train(topics, None, TrainSettings())
    lowered = train(topics, None, TrainSettings(lower_vocab_size=True))
    assert 10_000 < lowered.vocab_size < 20_000
    with pytest.raises(ValueError, match=r"too small for the text's characters: at least \d+ are needed"):
        train(topics, None, TrainSettings(vocab_size=300))
    for texts in ([], [""], ["\n\n"]):
        with pytest.raises(ValueError, match="there is no text"):
            train(texts, None, TrainSettings())


def test_long_lines_and_the_trainers_own_mark_are_not_lost() -> None:
    long = " ".join(f"word{i % 50}" for i in range(3_000)) + " sesquipedalian " * 40
    marked = "▅ floccinaucinihil ▅ pilification " * 40
    made = train([long, marked], None, TrainSettings(vocab_size=600, lower_vocab_size=True))
    pieces = {p.text for p in model_proto.parse(made.model).pieces}
    assert {"▁sesquipedalian", "pilification"} <= pieces


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(4, 40))
def test_lines_hold_all_but_the_breaks(text: str, max_line_bytes: int) -> None:
    cut = list(lines(text, max_line_bytes=max_line_bytes))
    assert all(0 < len(line.encode()) <= max_line_bytes for line in cut)
    assert "".join(cut) == text.replace("\u2585", "").replace("\n", "")


@given(st.lists(st.text(max_size=20), max_size=30), st.integers(1, 60), st.randoms())
def test_a_bounded_sample_does_not_depend_on_the_order(texts: list[str], max_bytes: int, order: random.Random) -> None:
    texts = [t.encode("utf-8", "replace").decode() for t in texts]
    sample = bounded_sample(texts, max_bytes=max_bytes)
    total = sum(len(t.encode()) for t in texts)
    assert min(total, max_bytes) - 3 <= sample.text_bytes <= min(total, max_bytes)
    if total <= max_bytes:
        assert sorted(sample.texts) == sorted(t for t in texts if t)
    order.shuffle(texts)
    assert bounded_sample(texts, max_bytes=max_bytes) == sample


def test_no_more_than_twice_the_bound_is_held() -> None:
    kept = SmallestHashes(1_000)
    for i in range(500):
        kept.add(str(i), "x" * (i * 7 % 3_000))
        assert sum(len(text) for _, text in kept._heap) <= 2_000
    assert sum(map(len, kept.smallest())) == 1_000


def test_the_sample_is_weighted_as_the_mixture() -> None:
    sources = {"a": stream("a", 900, 1_000), "b": stream("b", 50, 20_000), "c": stream("c", 10, 200)}
    sample = weighted_sample(sources, recipe(a="70", b="25", c="5"), max_bytes=100_000)
    assert sample.source_bytes == {"a": 70_000, "b": 25_000, "c": 5_000}  # c holds 2,000 and is repeated
    assert sum(len(t) for t in sample.texts) == sample.text_bytes == 100_000
    again = {s: (lambda made=made: reversed(list(made()))) for s, made in sources.items()}
    assert weighted_sample(again, recipe(a="70", b="25", c="5"), max_bytes=100_000) == sample


def test_a_source_that_is_too_small_bounds_the_sample() -> None:
    sources = {"a": stream("a", 900, 1_000), "b": stream("b", 1, 1_000)}
    sample = weighted_sample(sources, recipe(a="90", b="10"), max_bytes=10**6)
    assert sample.source_bytes["b"] == 4_000
    assert sample.source_bytes["a"] == pytest.approx(36_000, abs=9)


def test_a_source_without_text_is_named_or_shared_out() -> None:
    sources = {"a": stream("a", 9, 1_000), "b": stream("b", 0, 0)}
    with pytest.raises(ValueError, match=r"bytes of text\na +90 +9,000\nb +10 +0\nb needs more text"):
        weighted_sample(sources, recipe(a="90", b="10"), max_bytes=5_000)
    shared = weighted_sample(sources, recipe("share", a="90", b="10"), max_bytes=5_000)
    assert shared.source_bytes == {"a": 5_000}


def test_the_command_on_clean_documents(tmp_path: Path, topics: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: t\nmixture: {weights: {a: 75, b: 25}, max_epochs: 4, tokens: 1000000}\ntokenizer: {vocab_size: 600}\n"
    )
    for source, texts in (("a", topics[:40]), ("b", topics[40:60])):
        (tmp_path / "out/clean" / source).mkdir(parents=True)
        table = pa.table(
            {"id": [f"{source}{i}" for i in range(len(texts))], "text": texts, "source": [source] * len(texts)}
        )
        part = tmp_path / "out/clean" / source / "part-00000-of-00001.parquet"
        pq.write_table(table, part, compression="none", write_page_checksum=True)
    wanted = [
        "--config",
        str(tmp_path / "recipe.yaml"),
        "--output",
        str(tmp_path / "t"),
        "--max-sample-bytes",
        "100000",
    ]
    assert main(["--clean", str(tmp_path / "out"), *wanted]) == 0
    about = json.loads((tmp_path / "t.json").read_text())
    assert about["vocab_size"] == 600
    assert about["sample"]["source_bytes"]["a"] == pytest.approx(75_000, abs=3)
    assert about["sample"]["source_bytes"]["b"] == pytest.approx(25_000, abs=3)
    first = (tmp_path / "t.model").read_bytes()
    assert main(["--clean", str(tmp_path / "out/clean"), *wanted]) == 0
    assert (tmp_path / "t.model").read_bytes() == first

    part = next((tmp_path / "out/clean/b").iterdir())
    part.write_bytes(part.read_bytes().replace(topics[45][:20].encode(), topics[45][:20].encode().upper()))
    capsys.readouterr()
    assert main(["--clean", str(tmp_path / "out"), *wanted]) == 2, "changed text is never trained on"
    assert f"{part} is not a Parquet file of cleaned documents: could not verify page" in capsys.readouterr().err


def test_the_command_takes_the_file_of_a_run(tmp_path: Path, topics: list[str]) -> None:
    """The command reads the same file as ``pipeline.run --config``, which also has inputs, models, the output and
    settings of the run.
    """
    (tmp_path / "run.yaml").write_text(
        "inputs: {books: b/*.txt, arxiv: a/*.tar}\nmodels: m\noutput: o\nseed: 3\nrun: {sample_docs: 5}\n"
        "mixture: {weights: {books: 75, arxiv: 25}, max_epochs: 4, tokens: 1M}\n"
        "tokenizer: {vocab_size: 600, max_sample_bytes: 100K, bos: true}\n"
    )
    for source, texts in (("books", topics[:40]), ("arxiv", topics[40:60])):
        (tmp_path / "o/clean" / source).mkdir(parents=True)
        table = pa.table({"id": [f"{source}{i}" for i in range(len(texts))], "text": texts})
        pq.write_table(table, tmp_path / "o/clean" / source / "part-00000-of-00001.parquet")
    wanted = ["--clean", str(tmp_path / "o"), "--config", str(tmp_path / "run.yaml"), "--output", str(tmp_path / "t")]
    assert main(wanted) == 0
    about = json.loads((tmp_path / "t.json").read_text())
    assert about["vocab_size"] == 600
    assert about["sample"]["source_bytes"] == {
        "books": pytest.approx(75_000, abs=3),
        "arxiv": pytest.approx(25_000, abs=3),
    }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--input", "{tmp}/*.none"], "matches no file"),
        (["--input", "{tmp}/latin.txt"], "is not UTF-8"),
        (["--input", "{tmp}/short.txt"], "at most"),
        (["--input", "{tmp}/short.txt", "--vocab-size", "5"], "vocab_size 5 is too small"),
        (["--clean", "{tmp}"], "--clean needs --config"),
        (["--clean", "{tmp}/absent", "--config", "llama"], "there is no such folder of cleaned documents"),
        (["--clean", "{tmp}", "--config", "llama"], "holds no SOURCE/"),
        (["--clean", "{tmp}", "--config", "{tmp}/absent.yaml"], "cannot read the recipe"),
        (["--input", "{tmp}/short.txt", "--config", "{tmp}/odd.yaml"], "tokenizer holds vocabulary"),
    ],
)
def test_a_wrong_request_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    (tmp_path / "latin.txt").write_bytes("né\n".encode("latin-1") * 9)
    (tmp_path / "short.txt").write_text("too short\n" * 9)
    (tmp_path / "odd.yaml").write_text(
        "name: t\nmixture: {weights: {a: 100}, tokens: 9}\ntokenizer: {vocabulary: 600}\n"
    )
    given_args = [arg.replace("{tmp}", str(tmp_path)) for arg in args]
    assert main([*given_args, "--output", str(tmp_path / "t")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "t.model").exists()


@pytest.mark.slow
def test_the_command_in_a_process(tmp_path: Path, topics: list[str]) -> None:
    for i in range(4):
        (tmp_path / f"in{i}.txt").write_text("\n".join(topics[i::4]), encoding="utf-8")
    command = [sys.executable, "-m", "tokenizer.train", "--vocab-size", "500", "--output", str(tmp_path / "t")]
    done = subprocess.run([*command, "--input", str(tmp_path / "in*.txt")], capture_output=True, text=True, check=True)
    assert "500 pieces" in done.stdout
    assert done.stderr == ""
