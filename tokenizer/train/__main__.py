"""Runs the command ``python -m tokenizer.train``."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mixtures.config import recipe_of_file
from mixtures.recipe import Recipe
from mixtures.tokenizer_sample import weighted_sample
from tokenizer.interrupts import as_command
from tokenizer.numbers import count_flag
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of
from tokenizer.progress import Progress
from tokenizer.train.sample import Sample
from tokenizer.train.training import TrainedTokenizer, TrainSettings, train

_BLOCK_CHARS = 16_384
"""Plain text is split into blocks of whole lines, each of about this many characters. The sample is drawn from these
blocks."""
_DEFAULTS = TrainSettings()
_PROGRESS = Progress("tokenizer.train")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status: 0 if it succeeded, 1 if it failed (a full disk), 2 if the request was
    wrong.
    """
    args = build_parser().parse_args(argv)
    try:
        trained = _run(args)
    except ValueError as error:
        print(f"tokenizer.train: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"tokenizer.train: {described(error, args.output)}", file=sys.stderr)
        return status_of(error)
    print(
        f"{args.output}.model: {trained.vocab_size:,} pieces from {trained.sample_bytes:,} bytes of text, "
        f"sha256 {trained.sha256}"
    )
    for source, num_bytes in trained.source_bytes.items():
        print(f"  {source}: {num_bytes:,} bytes ({100 * num_bytes / trained.sample_bytes:.2f} %)")
    return 0


def _run(args: argparse.Namespace) -> TrainedTokenizer:
    recipe = recipe_of_file(args.config) if args.config else None
    named = dict(recipe.tokenizer) if recipe else {}
    flags = {name: getattr(args, name) for name in TrainSettings.__slots__ if getattr(args, name) is not None}
    settings = TrainSettings.of({**named, **flags})
    if args.clean:
        if recipe is None:
            raise ValueError("--clean needs --config FILE: the sample is weighted by a recipe")
        return train(_clean_sample(Path(args.clean), recipe, settings), args.output, settings, progress=_PROGRESS)
    texts = _PROGRESS.reading(_plain_texts(args.input), lambda text: len(text.encode()))
    return train(texts, args.output, settings, progress=_PROGRESS)


def _clean_sample(folder: Path, recipe: Recipe, settings: TrainSettings) -> Sample:
    """Draws the weighted sample from ``clean/<source>/*.parquet``. ``folder`` is the folder ``clean`` itself, or the
    folder that contains it.
    """
    root = folder / "clean" if (folder / "clean").is_dir() else folder
    if not root.is_dir():
        raise ValueError(f"{folder}: there is no such folder of cleaned documents")
    files = {source: sorted((root / source).glob("*.parquet")) for source in recipe.weights}
    if not any(files.values()):
        raise ValueError(f"{root} holds no SOURCE/*.parquet of {', '.join(recipe.weights)}")
    streams = {source: _documents_of(source, paths) for source, paths in files.items()}
    return weighted_sample(streams, recipe, max_bytes=settings.max_sample_bytes)


def _documents_of(source: str, paths: Sequence[Path]) -> Callable[[], Iterator[tuple[str, str]]]:
    def stream() -> Iterator[tuple[str, str]]:
        progress = Progress(f"tokenizer.train: {source}")
        return progress.reading(documents(), lambda document: len(document[1].encode("utf-8", "replace")))

    def documents() -> Iterator[tuple[str, str]]:
        from mixtures.parquet_rows import DAMAGE, open_parquet, whole_batches  # imports pyarrow

        for path in paths:
            try:
                for batch in whole_batches(open_parquet(path), batch_size=256, columns=["id", "text"]):
                    yield from zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)
            except DAMAGE as error:
                raise ValueError(f"{path} is not a Parquet file of cleaned documents: {error}") from error

    return stream


def _plain_texts(pattern: str) -> Iterator[str]:
    paths = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())
    if not paths:
        raise ValueError(f"--input {pattern} matches no file")
    for path in paths:
        yield from _blocks(path)


def _blocks(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            block = ""
            while read := file.read(_BLOCK_CHARS):
                block += read
                end = block.rfind("\n") + 1 or (len(block) if len(block) > 64 * _BLOCK_CHARS else 0)
                if end:
                    yield block[:end]
                    block = block[end:]
            yield block
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("tokenizer.train"),
        description="Trains a SentencePiece BPE tokenizer with LLaMA's settings. "
        "Equal text and settings give equal bytes.",
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--input", metavar="GLOB", help="plain UTF-8 text files (** for folders below)")
    given.add_argument(
        "--clean", metavar="DIR", help="cleaned documents, DIR/SOURCE/*.parquet: a sample weighted by the recipe"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration file of a run, or a recipe's YAML file or name (llama, sample)",
    )
    parser.add_argument(
        "--output", metavar="PREFIX", required=True, help="writes PREFIX.model, PREFIX.json and PREFIX.tokenizer.json"
    )
    for name, kind, text in (
        ("vocab_size", count_flag, "pieces"),
        ("character_coverage", float, "share of the characters that get a piece; others are spelled in bytes"),
        ("max_sentencepiece_length", count_flag, "characters of the longest piece"),
        ("max_line_bytes", count_flag, "bytes; longer lines are split"),
        ("max_sample_bytes", count_flag, "bytes of text to train on; memory is about 12 times that"),
        ("num_threads", count_flag, "threads; changes the time, not the result"),
    ):
        flag = "--" + name.replace("_", "-")
        parser.add_argument(
            flag, type=kind, metavar="N", help=f"{text} (default: {getattr(_DEFAULTS, name)}, or the recipe's)"
        )
    parser.add_argument("--pad", action="store_const", const=True, help="give <pad> the id 3 (default: no pad token)")
    parser.add_argument("--reserve", type=int, metavar="N", help="reserve N ids as control tokens (default: 0)")
    parser.add_argument(
        "--user-defined-symbols", nargs="+", metavar="TEXT", help="texts that are always encoded as one piece each"
    )
    parser.add_argument(
        "--no-dummy-prefix", dest="add_dummy_prefix", action="store_const", const=False,
        help="put no space before a text; a tokenizer.json of a model with user-defined symbols needs this",
    )  # fmt: skip
    parser.add_argument(
        "--lower-vocab-size",
        action="store_const",
        const=True,
        help="take a smaller vocabulary where the text is too little for --vocab-size (default: that is an error)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
