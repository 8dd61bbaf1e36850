"""Trains a language's SentencePiece model and 5-gram model as CCNet did, and computes the cut-offs of perplexity."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import sentencepiece

from filters.ccnet.perplexity import PerplexityModel, normalize
from pipeline.models.scratch import TrainingFailed, scratch_folder
from pipeline.models.trained import record_cutoffs, record_training
from pipeline.models.training_texts import Text, num_bytes_of
from tokenizer.progress import QUIET, Progress
from tokenizer.train.sample import lines

MAX_DOCS = 1_000_000
VOCAB_SIZE = 65_536
SMALL_VOCAB_SIZE = 40_000
"""The vocabulary size for small corpora in CCNet's Makefile. The two constants before it are also from this Makefile,
where they are called NDOC_FOR_LM and VOCAB_SIZE.
"""
CHARACTER_COVERAGE = 0.9995
ORDER = 5
_MAX_LISTED = 5
"""The number of languages that a message lists."""
MAX_LINE_BYTES = 4192
"""The largest length of a line for the training of pieces, in bytes. Longer lines are split. The value is the default
of SentencePiece's max_sentence_length. CCNet's lines (first paragraphs) are shorter.
"""

HOW_TO_GET_LMPLZ = (
    "lmplz is part of KenLM and no Python package brings it: build it in a checkout of this project with "
    "`python samples/build_lmplz.py DIR` (or `make lmplz`, into .venv/bin), and name it with --lmplz DIR/lmplz"
)


def find_program(name: str, given: str | None, beside: str | None = None) -> str | None:
    """Returns the path of one of KenLM's programs; None if it is not found.

    If the user gave a path (``given``), only this path is tried. Otherwise the folder of ``beside`` (the path of
    another program) is searched first, and then the folders in PATH.
    """
    if given:
        return given if os.access(given, os.X_OK) else None
    if beside and os.access(os.path.join(os.path.dirname(beside), name), os.X_OK):
        return os.path.join(os.path.dirname(beside), name)
    return shutil.which(name)


def train_language_model(
    texts: Iterable[Text],
    *,
    language: str,
    folder: Path,
    lmplz: str,
    vocab_size: int = VOCAB_SIZE,
    progress: Progress = QUIET,
) -> list[Path]:
    """Trains a language's SentencePiece model and 5-gram model. Returns the paths of the two files.

    The files are ``<language>.sp.model`` and ``<language>.arpa.bin``. If KenLM's build_binary is not found, the second
    file is ``<language>.arpa``. The size of the training text is recorded (:mod:`pipeline.models.trained`).

    Documents that are known to be in a different language are skipped and counted. The 5-gram model is trained on one
    line per document. In CCNet, a line was the first paragraph of a Wikipedia article. For the SentencePiece model,
    long lines are split first, because SentencePiece's trainer silently skips them.

    Raises:
        ValueError: the input has no text of the language.
        TrainingFailed: a program failed, for example because the corpus is too small. The message has its output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say = progress.say
    with scratch_folder(folder, ".train-lm") as scratch:
        corpus, split = scratch / "corpus.txt", scratch / "split.txt"
        chosen = _OfLanguage(progress.reading(texts, num_bytes_of), language)
        num_docs = _write_lines(corpus, (normalize(text.text) for text in islice(chosen, MAX_DOCS)))
        num_bytes = corpus.stat().st_size
        say(f"{language}: {num_docs:,} documents, {num_bytes:,} bytes of normalised text")
        if chosen.skipped:
            say(f"skipped {chosen.skipped.total():,} documents of other languages: {most_common(chosen.skipped)}")
        if not num_docs:
            raise ValueError(f"train-lm: the input has no text of language {language}{_there_is(chosen.skipped)}")
        with open(corpus, encoding="utf-8") as whole:
            _write_lines(split, (part for line in whole for part in lines(line, max_line_bytes=MAX_LINE_BYTES)))
        pieces = scratch / f"{language}.sp.model"
        with progress.working(f"training the pieces on {split.stat().st_size / 1e6:,.1f} MB"):
            num_pieces = _train_pieces(split, pieces, vocab_size, progress)
        say(f"{pieces.name}: {num_pieces:,} pieces")
        processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        segmented = scratch / "pieces.txt"
        with open(corpus, encoding="utf-8") as whole, progress.working("splitting the corpus into pieces"):
            _write_lines(segmented, (" ".join(processor.encode_as_pieces(line.rstrip("\n"))) for line in whole))
        arpa = scratch / f"{language}.arpa"
        with progress.working(f"estimating the {ORDER}-grams with lmplz"):
            _count_ngrams(lmplz, segmented, arpa, progress)
        made = [pieces, _as_binary(arpa, lmplz, progress)]
        for path in made:
            os.replace(path, folder / path.name)
        about = {"documents": num_docs, "text_bytes": num_bytes}
        record_training(folder, {path.name: about for path in made})
        return [folder / path.name for path in made]


class _OfLanguage:
    """Yields the texts whose language is the given one or is not known. Skips all other texts, and counts them by
    language."""

    def __init__(self, texts: Iterable[Text], language: str) -> None:
        self._texts, self._language = texts, language
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Text]:
        for text in self._texts:
            if text.language in ("", self._language):
                yield text
            else:
                self.skipped[text.language] += 1


def most_common(languages: Counter[str]) -> str:
    """Returns the languages that have the most documents, with the numbers of documents.

    >>> most_common(Counter({"de": 1300, "fr": 2}))
    'de (1,300), fr (2)'
    """
    shown = languages.most_common(_MAX_LISTED)
    more = len(languages) - len(shown)
    return ", ".join(f"{name} ({number:,})" for name, number in shown) + (f" and {more} more" if more else "")


def _there_is(languages: Counter[str]) -> str:
    return f"; its documents are in {most_common(languages)}" if languages else ""


def cutoff_table(texts: Iterable[Text], language: str, model: PerplexityModel) -> tuple[list[float], int]:
    """Returns the percentiles 0 to 100 of the perplexities in a corpus, and the number of documents that were scored.

    Documents that are known to be in another language are skipped.

    Raises:
        ValueError: fewer than 101 documents have a score, which are too few for 101 percentiles.
    """
    chosen = _OfLanguage(texts, language)
    known = [score for score in (model.perplexity(text.text) for text in chosen) if score is not None]
    if len(known) < 101:
        raise ValueError(
            f"cutoffs: {len(known)} documents of language {language} have a score; at least 101 are needed: give more "
            f"pages that have passed the steps before perplexity{_there_is(chosen.skipped)}"
        )
    return [round(float(value), 1) for value in np.percentile(known, np.arange(101))], len(known)


def write_cutoffs(path: Path, language: str, column: list[float], num_docs: int) -> None:
    """Writes a language's cut-offs into ``cutoff.csv``, as a column. The other columns do not change.

    Also records the number of documents from which the cut-offs were computed.

    Raises:
        ValueError: the existing table does not have 102 rows. It is not changed.
    """
    rows = [["", *()], *([str(percentile)] for percentile in range(101))]
    before = ""
    if path.is_file():
        before = path.read_bytes().decode("utf-8")
        rows = [row for row in csv.reader(io.StringIO(before, newline="")) if row]
        if len(rows) != 102:
            raise ValueError(f"{path}: {len(rows)} rows where 102 should be; it is left as it is")
    if language in rows[0]:
        at = rows[0].index(language)
        rows = [row[:at] + row[at + 1 :] for row in rows]
    rows[0].append(language)
    for row, value in zip(rows[1:], column, strict=True):
        row.append(f"{value:g}")
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    os.replace(temporary, path)
    record_cutoffs(path.parent, language, num_docs, before)


def _write_lines(path: Path, lines: Iterator[str]) -> int:
    num_lines = 0
    with open(path, "w", encoding="utf-8") as sink:
        for line in lines:
            if line:
                sink.write(line + "\n")
                num_lines += 1
    return num_lines


def _train_pieces(corpus: Path, target: Path, vocab_size: int, progress: Progress) -> int:
    sizes = [(vocab_size, True), (min(vocab_size, SMALL_VOCAB_SIZE), False)]
    for size, is_hard in sizes:
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(corpus),
                model_prefix=str(target.with_suffix("")),
                vocab_size=size,
                max_sentence_length=MAX_LINE_BYTES,
                hard_vocab_limit=is_hard,
                character_coverage=CHARACTER_COVERAGE,
                model_type="unigram",
                minloglevel=2,
            )
        except RuntimeError as error:
            if not is_hard:
                raise TrainingFailed(f"train-lm: SentencePiece failed: {error}") from error
            progress.say(f"the corpus is too small for {size:,} pieces; as in CCNet, {SMALL_VOCAB_SIZE:,} at most then")
        else:
            break
    return int(sentencepiece.SentencePieceProcessor(model_file=str(target)).get_piece_size())


_LMPLZ_STAGE = re.compile(rb"^=== (\d/\d .*?) ===")


def _count_ngrams(lmplz: str, segmented: Path, arpa: Path, progress: Progress) -> None:
    """Runs KenLM's program lmplz, which estimates n-grams. Prints the name of each stage of the program."""
    folder = str(arpa.parent)
    command = [lmplz, "-o", str(ORDER), "-S", "40%", "-T", folder, "--vocab_estimate", str(VOCAB_SIZE)]
    with open(segmented, "rb") as source, open(arpa, "wb") as sink, tempfile.TemporaryFile(dir=folder) as said:
        with subprocess.Popen(
            [*command, "--discount_fallback"], stdin=source, stdout=sink, stderr=subprocess.PIPE
        ) as program:
            assert program.stderr is not None
            for line in program.stderr:
                said.write(line)
                if found := _LMPLZ_STAGE.match(line):
                    progress.say(f"lmplz: {found[1].decode('utf-8', 'replace')}")
        said.seek(max(0, said.tell() - 1000))
        if program.returncode:
            raise TrainingFailed(f"train-lm: {lmplz} failed: {_last_lines(said.read())}")


def _as_binary(arpa: Path, lmplz: str, progress: Progress) -> Path:
    program = find_program("build_binary", None, beside=lmplz)
    if program is None:
        progress.say(
            "build_binary is not beside lmplz nor on PATH: the model stays text (.arpa), which loads slowly, unshared"
        )
        return arpa
    binary = arpa.with_name(arpa.name + ".bin")
    done = subprocess.run([program, str(arpa), str(binary)], capture_output=True, check=False)
    if done.returncode:
        raise TrainingFailed(f"train-lm: {program} failed: {_last_lines(done.stderr[-1000:])}")
    return binary


def _last_lines(said: bytes) -> str:
    """Returns the end of a program's output as one line."""
    return " ".join(said.decode("utf-8", "replace").split())
