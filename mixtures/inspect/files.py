"""Finds the files of an output that contain documents, and yields the wanted documents of these files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mixtures.decoder import find_tokenizer, load_decoder
from mixtures.inspect.documents import ShownDocument, Wanted, documents
from mixtures.inspect.names import check_names
from mixtures.inspect.parquet_documents import parquet_documents

_OF_OUTPUT = (("shards", "validation"), ("clean",), ("dropped",))
"""Groups of folders in a run's output. The command shows the files of the first group that contains any."""


def files_of(paths: Sequence[str | Path], *, is_dropped: bool = False) -> list[Path]:
    """Returns the files with these paths. For a folder, returns the files with documents in it.

    Args:
        is_dropped: True to take only the files of ``dropped/`` if a folder is the output of a run.

    Raises:
        ValueError: a path does not exist, or has no documents.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = _in_folder(path, is_dropped=is_dropped) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path} holds no shard and no documents")
        if not inside[0].is_file():
            raise ValueError(f"{path} is not there")
        found += inside
    return found


def _in_folder(folder: Path, *, is_dropped: bool) -> list[Path]:
    """Returns the files in a folder that contain documents. If the folder is a run's output, these are only its shards.
    If there are no shards, they are the files of ``clean/``, or else those of ``dropped/``.
    """
    if (folder / "manifest.json").is_file() or (folder / ".work").is_dir():
        for names in _OF_OUTPUT[-1:] if is_dropped else _OF_OUTPUT:
            if inside := [path for name in names for path in _below(folder / name)]:
                return inside
        return []
    return _below(folder)


def _below(folder: Path) -> list[Path]:
    paths = (*folder.rglob("*.arrow"), *folder.rglob("*.parquet"))
    return sorted(path for path in paths if ".work" not in path.relative_to(folder).parts)


def finder(files: Sequence[Path], tokenizer: str | None) -> Callable[[Wanted], Iterator[ShownDocument]]:
    """Returns a function that yields the wanted documents of all files. The returned function raises ValueError if the
    files have no such source, stage or reason.
    """
    shards = [path for path in files if path.suffix != ".parquet"]
    encoder = load_decoder(tokenizer or find_tokenizer(shards[0])) if shards else None

    def find(wanted: Wanted) -> Iterator[ShownDocument]:
        check_names(files, wanted)
        for path in files:
            if path.suffix == ".parquet":
                yield from parquet_documents(path, wanted)
            elif encoder is not None:
                yield from documents(path, encoder, wanted)

    return find


def find_documents(
    *paths: str | Path, wanted: Wanted | None = None, tokenizer: str | None = None
) -> Iterator[ShownDocument]:
    """Yields the documents of a run's output, of a folder in it (shards, clean or dropped), or of single files.

    Args:
        wanted: which documents are yielded; None for all.
        tokenizer: the tokenizer's file; None for the run's own.

    Raises:
        ValueError: a path has no documents, or a file is damaged.
    """
    wanted = wanted or Wanted()
    yield from finder(files_of(paths, is_dropped=wanted.is_dropped), tokenizer)(wanted)
