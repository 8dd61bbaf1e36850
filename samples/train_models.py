"""Trains the sample's small models on the project's texts: ``python samples/train_models.py [--lmplz PATH]``.

The script writes five files to ``models/``, with the names that ``pipeline.models`` looks for:

- ``en.sp.model`` and ``en.arpa.bin``: models like CCNet's (SentencePiece unigram, KenLM 5-gram) at a hundredth of the
  size, trained on the prose of ``material/``: books, articles, papers, answers, essays.
- ``cutoff.csv``: the perplexities at the percentiles 0 to 100 of a crawl. The crawl consists of the sample's pages, and
  has as much junk as a real crawl.
- ``reference.ftz``: a quantized classifier that separates prose from shops, forums and keyword pages.
- ``trained.json``: how much text the other files were trained on, as ``pipeline.models`` records it.

The models are only for the sample. ``samples/build_lmplz.py`` builds ``lmplz`` and ``build_binary``. On one machine the
same material gives the same files. The cut-offs depend on the installed documentation.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

import fasttext
import kenlm
import numpy as np
import sentencepiece

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import make as sample  # noqa: E402

from filters.ccnet.perplexity import Cutoffs, PerplexityModel, normalize  # noqa: E402
from filters.html.fragment import html_to_text  # noqa: E402
from filters.latex.paper import clean_latex  # noqa: E402
from filters.reference import RANDOM_LABEL, REFERENCE_LABEL, ReferenceModel, classifier_text  # noqa: E402
from filters.wikitext.page import wikitext_to_text  # noqa: E402
from filters.wikitext.wiki_names import syntax  # noqa: E402
from pipeline.models.trained import record_cutoffs, record_training  # noqa: E402

VOCAB_SIZE = 3_000
ORDER = 5
PIECE_CHARS = 1_200
"""The texts are split into pieces of about this many characters, so that each class of the classifier has some hundreds
of pieces (our choice).
"""
TAIL_SHARE = 0.4
"""Share of the pages that are junk. CCNet's tail (the worst bucket) begins at the 60th percentile."""


def part(name: str) -> ModuleType:
    """Loads a module of ``parts/``."""
    return sample._part(name)


def prose() -> list[str]:
    """Returns the project's English prose, cleaned as the pipeline would clean it."""
    material = part("material")
    texts = [book.text for book in part("books").books().values()]
    names = syntax("en")
    texts += [
        wikitext_to_text(body, names=names, title=head["title"])
        for head, body in material.blocks("wikipedia", "en.wiki")
        if not head.get("ns") and "redirect" not in head
    ]
    for path in material.files("stack_exchange"):
        texts += [html_to_text(body) for head, body in material.blocks("stack_exchange", path.name) if "kind" in head]
    texts += [clean_latex(path.read_text("utf-8")).text for path in material.files("arxiv") if path.suffix == ".tex"]
    texts += [page.text for page in part("common_crawl").own_pages("essays")]
    return [text for text in texts if len(text) > 100]


def junk() -> list[str]:
    """Returns texts that are not prose: the project's own forum and shop pages, and pages of keywords."""
    crawl = part("common_crawl")
    return [page.text for page in [*crawl.own_pages("casual"), *crawl.gibberish(25)]]


def train_language_model(texts: Sequence[str], folder: Path, lmplz: Path) -> PerplexityModel:
    """Trains the language model and writes ``en.sp.model`` and ``en.arpa.bin``.

    Returns the model. Its cut-offs are not known yet, so both are 0.
    """
    lines = [normalize(paragraph) for text in texts for paragraph in text.split("\n") if paragraph.strip()]
    with tempfile.TemporaryDirectory() as scratch:
        corpus, pieces = Path(scratch, "corpus.txt"), Path(scratch, "pieces.txt")
        corpus.write_text("".join(f"{line}\n" for line in lines if line), "utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus.read_text("utf-8").splitlines()),
            model_writer=(model := _Sink()),
            vocab_size=VOCAB_SIZE,
            hard_vocab_limit=False,
            character_coverage=0.9995,
            model_type="unigram",
            num_threads=1,
            minloglevel=2,
        )
        (folder / "en.sp.model").write_bytes(bytes(model.data))
        processor = sentencepiece.SentencePieceProcessor(model_proto=bytes(model.data))
        # Each document is scored as one line, so it is counted as one line.
        whole = [" ".join(processor.encode_as_pieces(normalize(text))) for text in texts]
        pieces.write_text("".join(f"{line}\n" for line in whole), "utf-8")
        arpa = Path(scratch, "en.arpa")
        command = [str(lmplz), "-o", str(ORDER), "-S", "20%", "-T", scratch, "--discount_fallback"]
        command += ["--prune", "0", "0", "1", "1", "1", "--text", str(pieces), "--arpa", str(arpa)]
        subprocess.run(command, check=True, capture_output=True)
        binary = folder / "en.arpa.bin"
        build = [str(lmplz.with_name("build_binary")), "-T", scratch, "-q", "8", "-b", "8", "trie"]
        subprocess.run([*build, str(arpa), str(binary)], check=True, capture_output=True)
    return PerplexityModel(processor, kenlm.Model(str(binary)), Cutoffs(0.0, 0.0))


def crawl_scores(model: PerplexityModel) -> tuple[list[float], list[float]]:
    """Returns two lists: the perplexities of real pages, and the perplexities of junk pages. The sites' navigation is
    left out.
    """
    crawl = part("common_crawl")
    real = [page.text.partition("\n")[2] for page in crawl.real_pages()]
    return _scores(model, real), _scores(model, junk())


def write_cutoffs(path: Path, real: Sequence[float], junked: Sequence[float]) -> list[float]:
    """Writes ``cutoff.csv``: the perplexity at each percentile (0 to 100) of a crawl. Returns these perplexities.

    The crawl consists of real pages and junk pages. They are weighted so that the share ``TAIL_SHARE`` of the crawl is
    junk.
    """
    shares = ((real, 1 - TAIL_SHARE), (junked, TAIL_SHARE))
    weights = np.concatenate([np.full(len(scores), share / len(scores)) for scores, share in shares])
    scores = np.concatenate([real, junked])
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    column = [float(scores[order][min(int(np.searchsorted(reached, p / 100)), len(order) - 1)]) for p in range(101)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["", "en"], *([p, f"{v:g}"] for p, v in enumerate(column))])
    return column


def record(folder: Path, texts: Sequence[str], num_scored: int) -> None:
    """Writes ``trained.json``: on how much text each model was trained. For the classifier this is the number of pieces
    of prose and of junk, without repetitions.
    """
    about = {"documents": len(texts), "text_bytes": sum(len(normalize(text).encode()) for text in texts)}
    positives, negatives = _pieces(texts), _pieces(junk())
    reference = {
        "positives": len(positives), "negatives": len(negatives),
        "text_bytes": sum(len(piece.encode()) for piece in (*positives, *negatives)),
    }  # fmt: skip
    record_training(folder, {"en.sp.model": about, "en.arpa.bin": about, "reference.ftz": reference})
    record_cutoffs(folder, "en", num_scored, "")


def train_reference(positives: Iterable[str], negatives: Iterable[str], path: Path) -> ReferenceModel:
    """Trains the classifier and writes it. The texts are split into pieces. The pieces of the smaller class are
    repeated until both classes have equally many.
    """
    classes = {REFERENCE_LABEL: _pieces(positives), RANDOM_LABEL: _pieces(negatives)}
    size = max(map(len, classes.values()))
    rows = [f"{label} {row}" for label, found in classes.items() for row in (found * (size // len(found) + 1))[:size]]
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch, "corpus.txt")
        ordered = sorted(rows, key=lambda row: part("containers").pick(row, 1 << 62))
        corpus.write_text("".join(f"{row}\n" for row in ordered), "utf-8")
        model = fasttext.train_supervised(
            input=str(corpus), dim=8, epoch=15, lr=0.3, minCount=2, wordNgrams=1, bucket=0, thread=1, seed=0, verbose=0
        )
        model.quantize(input=str(corpus), qnorm=True, retrain=False, cutoff=0, thread=1, verbose=0)
        model.save_model(str(path))
    return ReferenceModel(fasttext.load_model(str(path)))


def _pieces(texts: Iterable[str]) -> list[str]:
    made = []
    for text in texts:
        words: list[str] = []
        for word in classifier_text(text).split():
            words.append(word)
            if sum(map(len, words)) + len(words) > PIECE_CHARS:
                made.append(" ".join(words))
                words = []
        if len(words) > 20:
            made.append(" ".join(words))
    return made


def _scores(model: PerplexityModel, texts: Iterable[str]) -> list[float]:
    return [score for score in map(model.perplexity, texts) if score is not None]


class _Sink:
    """Receives the model that SentencePiece writes, and keeps it in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def main() -> int:
    """Runs the command: trains all models and prints how well they separate prose from junk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--lmplz",
        type=Path,
        help="KenLM's lmplz, with build_binary beside it (default: beside this Python, or on PATH)",
    )
    parser.add_argument("--output", type=Path, default=HERE / "models")
    args = parser.parse_args()
    beside = str(Path(sys.executable).parent)
    found = args.lmplz or shutil.which("lmplz", path=beside) or shutil.which("lmplz")
    lmplz = Path(found) if found else None
    if lmplz is None or not lmplz.with_name("build_binary").exists():
        print("train_models: lmplz and build_binary are needed: python samples/build_lmplz.py DIR", file=sys.stderr)
        return 2
    args.output.mkdir(parents=True, exist_ok=True)
    texts = prose()
    print(f"{len(texts)} texts of the project's own, {sum(map(len, texts)):,} characters")
    lm = train_language_model(texts, args.output, lmplz)
    real, junked = crawl_scores(lm)
    column = write_cutoffs(args.output / "cutoff.csv", real, junked)
    for name, scores in {"real pages": real, "junk": junked}.items():
        quarter = np.percentile(scores, [5, 25, 50, 75, 95])
        through = float(np.mean(np.array(scores) < column[60]))
        print(f"{name}: {len(scores)}, perplexity {quarter.round()}, head or middle {through:.0%}")
    classifier = train_reference(texts, junk(), args.output / "reference.ftz")
    record(args.output, texts, len(real) + len(junked))
    pages = [page.text.partition("\n")[2] for page in part("common_crawl").real_pages()]
    for name, asked in {"real pages": pages, "junk": junk()}.items():
        kept = np.mean([classifier.score(text) >= 0.5 for text in asked])
        print(f"{name}: {kept:.0%} classified as references")
    for path in sorted(args.output.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
