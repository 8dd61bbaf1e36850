"""Lists published evaluation sets, with their addresses, size limits and columns, and downloads them.

The addresses are from the sets' own documentation. A published file may change. So the checksum of the downloaded file
is written into ``checksums.json``, and into the manifest of every run that uses the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pipeline.models.fetch import FetchError, Published, fetch
from tokenizer.did_you_mean import or_list

SETS_NAME = "sets.yaml"
_MB = 1 << 20
_HUB = "https://huggingface.co/datasets/"
_RAW = "https://raw.githubusercontent.com/"


@dataclass(frozen=True, slots=True)
class EvalFiles:
    """Describes a published evaluation set: its files, its columns and its size limit."""

    urls: tuple[str, ...]
    columns: Mapping[str, str]
    """Says which column of this set has which content. A key is a field of
    ``mixtures.decontaminate.settings.SetSettings`` that names a column, for example ``question``. The value is the name
    of the column in this set.
    """
    max_bytes: int = 20 * _MB
    """The largest size of a file, in bytes."""
    public: tuple[str, ...] = field(default=("passage",))
    """The parts of an item that the set's authors took from public sources, for example ``passage``."""

    def files(self, name: str, mirror: str | None) -> list[Published]:
        """Returns the files of the set with their addresses. The files are stored in a folder with the set's name.

        Args:
            name: the name of the set.
            mirror: the address of a server to use instead of the published addresses.
        """
        named = [url.split(_HUB)[-1].split(_RAW)[-1].replace("/", "-") for url in self.urls]
        return [
            Published(
                f"{name}/{file}", f"{mirror.rstrip('/')}/{name}/{file}" if mirror else url, max_bytes=self.max_bytes
            )
            for url, file in zip(self.urls, named, strict=True)
        ]


def _arc(kind: str) -> EvalFiles:
    columns = {"id": "id", "question": "question", "choices": "choices", "answer": "answerKey"}
    return EvalFiles((f"{_HUB}allenai/ai2_arc/resolve/main/{kind}/test-00000-of-00001.parquet",), columns)


EVALS: Mapping[str, EvalFiles] = {
    "arc_challenge": _arc("ARC-Challenge"),
    "arc_easy": _arc("ARC-Easy"),
    "boolq": EvalFiles(
        (f"{_HUB}google/boolq/resolve/main/data/validation-00000-of-00001.parquet",),
        {"question": "question", "answer": "answer", "passage": "passage"},
    ),
    "gsm8k": EvalFiles(
        (f"{_RAW}openai/grade-school-math/master/grade_school_math/data/test.jsonl",),
        {"question": "question", "answer": "answer"},
    ),
    "hellaswag": EvalFiles(
        (f"{_RAW}rowanz/hellaswag/master/data/hellaswag_val.jsonl",),
        {"id": "ind", "question": "ctx", "choices": "endings", "answer": "label"},
        max_bytes=40 * _MB,
    ),
    "humaneval": EvalFiles(
        (f"{_RAW}openai/human-eval/master/data/HumanEval.jsonl.gz",),
        {"id": "task_id", "question": "prompt", "answer": "canonical_solution"},
    ),
    "mbpp": EvalFiles(
        (f"{_RAW}google-research/google-research/master/mbpp/mbpp.jsonl",),
        {"id": "task_id", "question": "text", "answer": "code"},
    ),
    "mmlu": EvalFiles(
        (f"{_HUB}cais/mmlu/resolve/main/all/test-00000-of-00001.parquet",),
        {"question": "question", "choices": "choices", "answer": "answer"},
    ),
    "truthful_qa": EvalFiles(
        (f"{_HUB}truthfulqa/truthful_qa/resolve/main/generation/validation-00000-of-00001.parquet",),
        {"question": "question", "answer": "best_answer"},
    ),
}
"""The published sets, by name."""


def wanted_evals(names: Sequence[str]) -> list[str]:
    """Returns the names of the requested sets in alphabetical order. The name ``all`` requests every set.

    Raises:
        ValueError: a name is unknown.

    >>> wanted_evals(["mmlu", "gsm8k"])
    ['gsm8k', 'mmlu']
    """
    unknown = sorted(set(names) - EVALS.keys() - {"all"})
    if unknown:
        raise ValueError(f"fetch-evals: there is no {unknown[0]!r}{or_list(unknown[0], [*EVALS, 'all'])}")
    return sorted(EVALS) if "all" in names else sorted(set(names))


def fetch_evals(
    names: Sequence[str], folder: Path, mirror: str | None = None, *, say: Callable[[str], None] = print
) -> Path:
    """Downloads evaluation sets into a folder, and writes ``sets.yaml`` there. Returns the path of ``sets.yaml``.

    ``sets.yaml`` lists every published set that is complete in the folder, including sets that earlier calls fetched.
    The user can put the list into a configuration file.

    Raises:
        ValueError: a name is unknown.
        FetchError: one or more files could not be downloaded. The error is raised after all files were tried.
    """
    failures = []
    for name in wanted_evals(names):
        for file in EVALS[name].files(name, mirror):
            try:
                fetch(file, folder, say=say)
            except FetchError as error:
                failures.append(str(error))
    path = folder / SETS_NAME
    listed = [_settings(name) for name in sorted(EVALS) if _is_whole(name, folder)]
    if listed:
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(yaml.safe_dump({"sets": listed}, sort_keys=False), "utf-8")
        os.replace(temporary, path)
    if failures:
        raise FetchError("; ".join(failures))
    return path


def _is_whole(name: str, folder: Path) -> bool:
    return all((folder / file.name).is_file() for file in EVALS[name].files(name, None))


def _settings(name: str) -> dict[str, object]:
    one = EVALS[name]
    public = {} if one.public == ("passage",) else {"public": list(one.public)}
    return {"name": name, "path": name, **one.columns, **public}
