"""``python -m mixtures.inspect SHARD...``: prints decoded documents of shards with their source, or pages through them.

On a terminal it shows a document a page and waits for what is asked; elsewhere it prints the first few. The tokenizer
is the ``tokenizer.model`` of the run, found beside the shards' folder, unless ``--tokenizer`` names one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mixtures.manifest import TOKENIZER_NAME
from mixtures.shards import ShardMetadata, read_batches, shard_schema
from mixtures.stream import one_line
from tokenizer.encode import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which documents to show. What is not given does not select."""

    source: str | None = None
    doc_id: str | None = None
    grep: str | None = None
    """Text that must stand in the document, as it is written."""
    epoch: int | None = None
    is_case_ignored: bool = False
    """Whether ``grep`` finds small and capital letters alike."""

    def is_in(self, text: str) -> bool:
        """Whether the text holds what is searched for.

        >>> Wanted(grep="Abc").is_in("xabcx"), Wanted(grep="Abc", is_case_ignored=True).is_in("xabcx")
        (False, True)
        """
        if self.grep is None:
            return True
        return self.grep.casefold() in text.casefold() if self.is_case_ignored else self.grep in text


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A document of a shard."""

    shard: str
    row: int
    source: str
    doc_id: str
    epoch: int
    num_tokens: int
    is_cut: bool
    """Whether it lacks its eos: the document in which its source's last pass ends."""
    text: str


def documents(path: Path, encoder: Encoder, wanted: Wanted) -> Iterator[Shown]:
    """The documents of a shard that are wanted, decoded one at a time.

    Raises:
        ValueError: the file is not a shard, or its ids are another tokenizer's.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable shard: {one_line(error)}") from error
    try:
        metadata = ShardMetadata.of(reader.schema)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not reader.schema.equals(shard_schema(metadata.vocab_size)):
        raise ValueError(f"{path}: its columns are not those of a shard: {one_line(reader.schema.remove_metadata())}")
    if metadata.tokenizer_sha256 != encoder.sha256:
        raise ValueError(
            f"{path} holds ids of the tokenizer {metadata.tokenizer_sha256[:12]} ({metadata.vocab_size:,} pieces), "
            f"this one is {encoder.sha256[:12]} ({encoder.vocab_size:,} pieces): give the run's with --tokenizer"
        )
    try:
        yield from _documents(path, reader, encoder, wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError, IndexError) as error:
        raise ValueError(f"{path} is damaged: {one_line(error)}") from error


def _documents(path: Path, reader: Any, encoder: Encoder, wanted: Wanted) -> Iterator[Shown]:
    before, eos_id = 0, ShardMetadata.of(reader.schema).eos_id
    for batch in read_batches(reader):
        batch.validate(full=True)
        for row in _rows(batch, wanted):
            ids = batch.column("input_ids")[row].values
            text = encoder.decode(ids.to_numpy())
            if wanted.is_in(text):
                yield Shown(
                    shard=str(path),
                    row=before + row,
                    source=batch.column("source")[row].as_py(),
                    doc_id=batch.column("doc_id")[row].as_py(),
                    epoch=batch.column("epoch")[row].as_py(),
                    num_tokens=len(ids),
                    is_cut=eos_id >= 0 and ids[-1].as_py() != eos_id,
                    text=text,
                )
        before += len(batch)


def _rows(batch: pa.RecordBatch, wanted: Wanted) -> list[int]:
    mask = None
    if wanted.source is not None:
        mask = pc.equal(batch.column("source").dictionary_decode(), wanted.source)
    if wanted.doc_id is not None:
        is_id = pc.equal(batch.column("doc_id"), wanted.doc_id)
        mask = is_id if mask is None else pc.and_(mask, is_id)
    if wanted.epoch is not None:
        is_epoch = pc.equal(batch.column("epoch"), wanted.epoch)
        mask = is_epoch if mask is None else pc.and_(mask, is_epoch)
    return list(range(len(batch))) if mask is None else pc.indices_nonzero(mask).to_pylist()


def find_tokenizer(shard: Path) -> Path:
    """``tokenizer.model`` in the shard's folder or the one above. Raises ValueError where there is none."""
    for folder in (shard.parent, shard.parent.parent):
        if (folder / TOKENIZER_NAME).is_file():
            return folder / TOKENIZER_NAME
    raise ValueError(f"there is no {TOKENIZER_NAME} beside {shard}: name it with --tokenizer")


def _shards(paths: Sequence[str]) -> list[Path]:
    """The shards that are named; of a folder, all in it."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.rglob("*.arrow")) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path} holds no shard")
        if not inside[0].is_file():
            raise ValueError(f"{path} is not there")
        found += inside
    return found


def heading(one: Shown) -> str:
    """The line above a document."""
    size = f"{one.num_tokens:,} tokens" + (", cut before its end" if one.is_cut else "")
    return printable(f"=== {one.source}  {one.doc_id}  epoch {one.epoch}  {size}  ({one.shard} row {one.row})")


def printable(text: str) -> str:
    r"""The text with what a terminal would obey spelled out.

    >>> printable("a\x1b[31m\tb")
    'a\\x1b[31m\tb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def _print(one: Shown, max_chars: int) -> None:
    print(heading(one))
    text = (
        one.text if len(one.text) <= max_chars else f"{one.text[:max_chars]} [... {len(one.text) - max_chars:,} more]"
    )
    print(printable(text))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 shown, 1 nothing matches, 2 the request was wrong."""
    args = _parser().parse_args(argv)
    wanted = Wanted(
        source=args.source, doc_id=args.id, grep=args.grep, epoch=args.epoch, is_case_ignored=args.ignore_case
    )
    num_shown = 0
    try:
        if args.n is not None and args.n < 1:
            raise ValueError(f"-n {args.n} is not a positive number")
        is_paged = (
            args.pager if args.pager is not None else args.n is None and sys.stdin.isatty() and sys.stdout.isatty()
        )
        shards = _shards(args.shards)
        encoder = Encoder.load(args.tokenizer or find_tokenizer(shards[0]), bos=False, eos=False)

        def find(wanted: Wanted) -> Iterator[Shown]:
            for shard in shards:
                yield from documents(shard, encoder, wanted)

        if is_paged:
            from mixtures.pager import Pager  # which is made of what stands here

            pager = Pager(find, wanted)
            pager.run(input)
            return 0 if pager.num_shown else 1
        for one in find(wanted):
            _print(one, args.max_chars)
            num_shown += 1
            if num_shown >= (args.n or 10):
                return 0
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except ValueError as error:
        print(f"mixtures.inspect: {error}", file=sys.stderr)
        return 2
    if not num_shown:
        print(f"mixtures.inspect: no document of {len(shards)} shards matches", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mixtures.inspect",
        description="Prints decoded documents of shards with their source. "
        "Exit status: 0 shown, 1 no document matches, 2 wrong request.",
    )
    parser.add_argument("shards", metavar="SHARD", nargs="+", help="shards, or folders of them")
    parser.add_argument("--source", help="only documents of this source")
    parser.add_argument("--id", help="only the document of this id (all its epochs)")
    parser.add_argument("--epoch", type=int, metavar="N", help="only documents of this epoch, from 0")
    parser.add_argument("--grep", metavar="TEXT", help="only documents that hold this text, as it is written")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="--grep finds small and capital letters alike")
    parser.add_argument(
        "--pager", action=argparse.BooleanOptionalAction, default=None,
        help="page through the documents (default: on a terminal, unless -n is given)",
    )  # fmt: skip
    parser.add_argument("-n", type=int, metavar="N", help="print so many documents at most (default: 10)")
    parser.add_argument(
        "--max-chars", type=int, default=2_000, metavar="N", help="characters of each at most (default: %(default)s)"
    )
    parser.add_argument("--tokenizer", metavar="FILE", help="a .model file (default: the run's tokenizer.model)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
