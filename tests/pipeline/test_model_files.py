"""Tests truncated model files of every kind that a library reads. They are refused at once, and complete files never
are.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from filters.ccnet.perplexity import Perplexity
from filters.language.detect import DetectLanguage, Language
from filters.reference import Reference
from pipeline.models import fasttext_file
from pipeline.models.fasttext_file import labels_of
from pipeline.models.find import MissingModels, find_models, require_models
from pipeline.models.model_files import check_model_file
from pipeline.models.train_perplexity import MAX_LINE_BYTES, _OfLanguage, _train_pieces
from pipeline.models.train_reference import _labelled
from pipeline.models.training_texts import Text
from pipeline.settings.bundled_sample import models_folder

WORDS = [
    a + b for a in ("ri", "sto", "bri", "wa", "let", "gar", "win", "mor") for b in ("ver", "ne", "dge", "ter", "den")
]


def write_corpus(path: Path) -> str:
    """Writes a training file with 300 labels. fastText quantizes the output matrix only if it has at least 256 rows."""
    chosen = random.Random(5)
    lines = [f"__label__{n % 300} " + " ".join(chosen.choices(WORDS, k=12)) for n in range(600)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


FASTTEXT: dict[str, Callable[[Any], None]] = {
    "dense.bin": lambda model: None,
    "quantized.ftz": lambda model: model.quantize(),
    "norms.ftz": lambda model: model.quantize(qnorm=True),
    "output.ftz": lambda model: model.quantize(qnorm=True, qout=True),
    "pruned.ftz": lambda model: model.quantize(cutoff=400, qnorm=True),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Returns a dict from names to models, with one model of every kind."""
    import fasttext

    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name, change in FASTTEXT.items():
        corpus = write_corpus(folder / "corpus.txt")
        ngrams = {"minn": 2, "maxn": 4} if name == "pruned.ftz" else {}
        model = fasttext.train_supervised(input=corpus, dim=8, bucket=2000, epoch=1, thread=1, verbose=0, wordNgrams=2,
                                          **ngrams)  # fmt: skip
        change(model)
        model.save_model(str(folder / name))
        made[name] = folder / name
    for name in ("en.sp.model", "en.arpa.bin", "reference.ftz"):
        made[name] = models_folder() / name
    arpa = Path(__file__).parents[1] / "cases" / "perplexity" / "en.arpa"
    made |= {"en.arpa": arpa} if arpa.is_file() else {}
    language = find_models(None)["language"]
    return made | {"lid.176.ftz": Path(str(language))}


KINDS = [*FASTTEXT, "en.sp.model", "en.arpa.bin", "reference.ftz", "lid.176.ftz"]


@pytest.mark.parametrize("name", KINDS)
def test_every_truncated_file_is_refused(files: dict[str, Path], name: str, tmp_path: Path) -> None:
    whole = files[name]
    check_model_file(str(whole))
    data, path = whole.read_bytes(), tmp_path / name
    chosen = random.Random(3)
    sizes = {*range(1, 220), *(chosen.randrange(1, len(data)) for _ in range(60)), len(data) - 1}
    for size in sizes:
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="."):  # noqa: RUF043 - each says something else
            check_model_file(str(path))


@pytest.mark.parametrize("name", [*FASTTEXT, "lid.176.ftz"])
def test_labels_are_read_without_the_model(files: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fasttext

    known = [label.removeprefix("__label__") for label in fasttext.load_model(str(files[name])).get_labels()]
    for read_bytes in (1 << 20, 64):
        monkeypatch.setattr(fasttext_file, "_READ_BYTES", read_bytes)
        assert sorted(labels_of(str(files[name]))) == sorted(known)


def test_a_file_without_labels_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    whole = files["dense.bin"].read_bytes()
    for content, said in (
        (whole[:300], "ends in its dictionary"),
        (b"x" * 500, "is not a fastText model"),
        (b"", "is not a fastText model"),
    ):
        (tmp_path / "language.bin").write_bytes(content)
        with pytest.raises(ValueError, match=said):
            labels_of(str(tmp_path / "language.bin"))


def test_names_that_another_language_model_does_not_have(files: dict[str, Path], tmp_path: Path) -> None:
    """The labels of the model are the numbers from 0 to 299, so it lacks most languages that the steps name."""
    shutil.copy(files["dense.bin"], tmp_path / "language.bin")
    shutil.copy(files["lid.176.ftz"], tmp_path / "lid.176.ftz")
    found = find_models(str(tmp_path))
    assert found["language"] == str(tmp_path / "language.bin"), "before lid.176"
    right = Language(languages=("7", "en"), min_scores={"en": 0.6}, renames={"8": "en"})
    assert require_models(found, "books", [right], str(tmp_path)) == {"language": found["language"]}
    for step, name in (
        (Language(), "en"),
        (Language(languages=("eng_Latn",)), "eng_Latn"),
        (Language(languages=(), renames={"eng_Latn": "en"}), "eng_Latn"),
        (DetectLanguage(renames={"x": "en"}), "x"),
    ):
        with pytest.raises(ValueError, match=f"language.bin has no label '{name}'"):
            require_models(found, "books", [step], str(tmp_path))


def train(path: Path, labels: list[str]) -> None:
    import fasttext

    corpus = path.with_suffix(".txt")
    corpus.write_text("".join(f"__label__{labels[n % len(labels)]} word{n % 7} some text\n" for n in range(60)))
    fasttext.train_supervised(str(corpus), epoch=1, dim=4, minCount=1, thread=1, verbose=0).save_model(str(path))


def test_a_model_with_other_names_for_languages_is_told_with_the_line_that_renames(tmp_path: Path) -> None:
    train(tmp_path / "language.bin", ["EN", "deu_Latn", "FR-CA", "SR_Cyrl", "sr-Latn"])
    found = find_models(str(tmp_path))
    for step, said in (
        (Language(), "'en'; its label is EN: rename it with sources: {web: {language: {renames: {EN: en}}}}"),
        (Language(languages=("de",)), "{web: {language: {renames: {deu_Latn: de}}}}"),
        (Language(languages=("fr",), renames={"EN": "en"}), "{web: {language: {renames: {EN: en, FR-CA: fr}}}}"),
        (Language(languages=("sr",)), "rename them with sources: {web: {language: {renames: {"),
        (DetectLanguage(), "rename them all, as in sources: {web: {detect_language: {renames: {"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)) as caught:
            require_models(found, "web", [step], str(tmp_path))
        assert "\n" not in str(caught.value)
        line = str(caught.value).partition("sources: ")[2]
        renames = yaml.safe_load(line)["web"][step.NAME]["renames"]
        require_models(found, "web", [replace(step, renames=renames)], str(tmp_path))
    with pytest.raises(ValueError, match="has no label 'it'; there are"):
        require_models(found, "web", [Language(languages=("it",))], str(tmp_path))


@pytest.mark.parametrize("name", [*FASTTEXT, "lid.176.ftz"])
def test_a_number_in_the_header_that_is_wrong_is_refused_or_harmless(
    files: dict[str, Path], name: str, tmp_path: Path
) -> None:
    """The sizes in a header say how much memory a library allocates. So no size may exceed the size of the file."""
    data = files[name].read_bytes()
    sizes_at = 8 + 12 * 4 + 8
    for at in (8, 8 + 8 * 4, sizes_at, sizes_at + 4, sizes_at + 8, sizes_at + 20):
        for value in (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff\xff\xff\x00"):
            if data[at : at + 4] == value:
                continue
            path = tmp_path / name
            path.write_bytes(data[:at] + value + data[at + 4 :])
            is_pruned = name in ("pruned.ftz", "lid.176.ftz")
            if (at == 8 + 8 * 4 and is_pruned) or (at == sizes_at + 20 and not is_pruned):
                continue  # buckets size no matrix of a pruned model; what is kept by pruning none of the others
            with pytest.raises(ValueError, match="."):  # noqa: RUF043
                check_model_file(str(path))


def test_a_truncated_model_is_refused_before_a_run(files: dict[str, Path], tmp_path: Path) -> None:
    names = ("reference.ftz", "lid.176.ftz")
    for name in names:
        (tmp_path / name).write_bytes(files[name].read_bytes())
    for name in names:
        (tmp_path / name).write_bytes(files[name].read_bytes()[:5000])
        with pytest.raises(ValueError, match=f"{name}: not a fastText model, or a broken one"):
            require_models(find_models(str(tmp_path)), "books", [Language(), Reference()], str(tmp_path))
        (tmp_path / name).write_bytes(files[name].read_bytes())


def test_all_missing_models_are_in_one_error(tmp_path: Path) -> None:
    steps = [Language(languages=("de", "fr")), Perplexity(), Reference()]
    with pytest.raises(MissingModels) as caught:
        require_models({}, "common_crawl", steps, None)
    said = str(caught.value)
    for name in ("lid.176.bin", "de.arpa.bin", "fr.sp.model", "cutoff.csv", "reference.bin"):
        assert name in said
    assert len(caught.value.missing) == 3


def test_documents_of_other_languages_are_skipped_and_counted() -> None:
    texts = [Text("a", "en"), Text("b", "de"), Text("c"), Text("d", "fr")]
    chosen = _OfLanguage(texts, "en")
    assert [text.text for text in chosen] == ["a", "c"]
    assert chosen.skipped == {"de": 1, "fr": 1}


def test_pieces_are_trained_on_long_lines(tmp_path: Path) -> None:
    """SentencePiece's trainer skips lines of more than 4,192 bytes. So the caller must split such lines."""
    import sentencepiece

    from tokenizer.train.sample import lines

    chosen = random.Random(1)
    long = " ".join(chosen.choice(WORDS) + chosen.choice(WORDS) for _ in range(3000))
    assert len(long.encode()) > 2 * MAX_LINE_BYTES
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(lines(long, max_line_bytes=MAX_LINE_BYTES)) + "\n")
    _train_pieces(corpus, tmp_path / "en.sp.model", 80, print)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "en.sp.model")).encode_as_pieces(long)
    assert sum(map(len, pieces)) / len(pieces) > 3


@pytest.mark.parametrize("mark", ["__label__wiki", "__label__", "__label__python", "</s>"])
def test_marks_of_fasttext_in_a_page_are_text(mark: str, tmp_path: Path) -> None:
    """fastText treats a word with the prefix ``__label__`` as a label anywhere, and ends a line at ``</s>``."""
    import fasttext

    pages = [Text(f"page {n} {mark} says {mark} more, x{mark} " + "x " * 600, url=f"http://s{n}.x/") for n in range(40)]
    lines = [f"{label} {line}" for label, line, *_ in _labelled(pages[:20], pages[20:], seed=0)]
    assert len(lines) == 40
    assert all(line.split().count(mark) == (line.split()[0] == mark) for line in lines)
    assert all(f"x{mark}" in line for line in lines), "inside a word it is nothing"
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(lines) + "\n")
    model = fasttext.train_supervised(input=str(corpus), dim=4, epoch=1, thread=1, verbose=0)
    assert sorted(model.labels) == ["__label__cc", "__label__wiki"]
    assert "more," in model.words


def test_scratch_folders_are_cleared(tmp_path: Path) -> None:
    from pipeline.models.scratch import scratch_folder

    (tmp_path / ".train-lm").mkdir()
    (tmp_path / ".train-lm" / "left").write_text("by a killed run")
    with scratch_folder(tmp_path, ".train-lm") as folder:
        assert not list(folder.iterdir())
        (folder / "x").write_text("x")
    assert not list(tmp_path.iterdir())
