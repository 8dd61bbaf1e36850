"""Contains the steps for source files (GitHub in section 2.1 of the LLaMA paper). The paper gives no limits, so the
limits are those of RedPajama v1, whose code is published.

The steps test, in this order: the licence of the repository, the path and type of a file, generated code, and the form
of the text (such as the length of its lines). The licence header is removed before the last test.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import ClassVar

import pyarrow as pa

from filters.code.alphanumeric import num_alphanumeric
from filters.code.comments import head_comments
from filters.code.languages import PATH_REASONS, language_of, path_fault, tables
from filters.code.licence_header import remove_header
from filters.rules import Rule, first_broken
from filters.step import Models, Outcome, Step

PERMISSIVE = ("mit", "bsd-*", "apache-*")
"""Licence families that the paper names, as patterns of BigQuery's names (``bsd-3-clause``, ``apache-2.0``)."""

_MARKER_WORDS = ("generat", "created", "produced", "bison parser")
"""Every pattern in the table ``generated_markers`` matches only text with one of these words. Searching for these words
first saves nine tenths of the time."""
_MARKS = " \t\r*/#;%!|-=~+:<>(){}[]\\"
_QUOTED = re.compile(r"[\"'`\u201c\u2018]\s*\Z")
_NESTED_COMMENT = re.compile(r"\s*(?://+|#+|--)\s{2,}(?://|#|--|/\*)|\s*(?:\*|/\*+)\s+(?://|#|/\*)")
_LEAD_IN = re.compile(
    r"(?:|(?-i:[A-Z0-9 !*_.,'-]+)|(?:note|warning|attention|important|caution|danger)\W*|[\w./-]+\.\w+|.*[.!?;]"
    r"|(?:@\w+\s*)+|.*\bin|(?:this|the)(?: \w+){0,2}"
    r"|(?:source |header )?(?:file|code|module|source|header|class|document|tables?|data))",
    re.IGNORECASE,
)
"""Matches what may precede a generator's mark on its line: capitals, a warning, a file name, or a whole sentence."""
_UNFINISHED = re.compile(
    r"(?:,|\b(?:a|an|and|are|as|be|begin|begins|by|comment|contain|contains|header|in|is|like|line|lines|mark|marked|marker|of|or"
    r"|read|reads|say|says|that|the|to|was|were|which|with))[ \t]*\Z",
    re.IGNORECASE,
)
_MARKER_CHARS = 5_000
"""Number of characters that are searched for a generator's mark in each comment at the head of a file."""


def is_permissive(licence: str | None, families: tuple[str, ...] = PERMISSIVE) -> bool:
    """Returns True if a licence matches one of ``families`` (patterns of licence names), ignoring case.

    >>> is_permissive("BSD-3-Clause"), is_permissive("agpl-3.0"), is_permissive(None)
    (True, False, False)
    """
    return licence is not None and any(fnmatchcase(licence.strip().lower(), family) for family in families)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedLicence(Step):
    """Drops files of repositories whose licence is unknown or not permissive (LLaMA keeps MIT, BSD and Apache)."""

    NAME: ClassVar[str] = "licence"
    DATA_VERSION: ClassVar[int] = 1
    IS_BLIND_TO_CUTS: ClassVar[bool] = True
    NEEDS: ClassVar[tuple[str, ...]] = ("license",)
    REASONS: ClassVar[tuple[str, ...]] = ("no_file_row", "no_licence", "licence_not_permitted")

    families: tuple[str, ...] = PERMISSIVE
    """Licences that are kept, as lower-case patterns. ``*`` matches any characters."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides by the column ``license`` which files are dropped.

        If the batch has a column ``repo_name``, a null in it means that the listing of files does not contain the file.
        Such a file is dropped with the reason ``no_file_row``, because its licence is unknown.
        """
        verdict: list[str | None] = []
        detail: list[str | None] = []
        repositories = batch.column("repo_name").to_pylist() if "repo_name" in batch.schema.names else None
        for row, licence in enumerate(batch.column("license").to_pylist()):
            if repositories is not None and repositories[row] is None:
                reason, named = "no_file_row", None
            elif is_permissive(licence, self.families):
                reason, named = None, None
            elif licence and licence.strip() and licence.strip().lower() != "unknown":
                reason, named = "licence_not_permitted", licence
            else:
                reason, named = "no_licence", licence
            verdict.append(reason)
            detail.append(named)
        return Outcome(verdict=pa.array(verdict, pa.string()), detail=pa.array(detail, pa.string()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFiles(Step):
    """Drops files that the repository's authors did not write as code: vendored, generated, minified, binary and data
    files. Fills in the column ``programming_language``."""

    NAME: ClassVar[str] = "code_files"
    DATA_VERSION: ClassVar[int] = 4
    NEEDS: ClassVar[tuple[str, ...]] = ("path",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"programming_language": pa.string()}
    REASONS: ClassVar[tuple[str, ...]] = ("no_path", *PATH_REASONS, "binary_content", "generated_code")

    kept_languages: tuple[str, ...] | None = None
    """Languages that are kept, by their names in ``languages.yaml``; None keeps all languages."""
    dropped_reasons: tuple[str, ...] = field(default=("no_path", *PATH_REASONS, "binary_content", "generated_code"))
    """The reasons for which files are dropped, from :attr:`REASONS`. Files with a reason that is not in this tuple are
    kept.
    """

    def __post_init__(self) -> None:
        unknown = set(self.dropped_reasons) - set(self.REASONS)
        unknown |= set(self.kept_languages or ()) - set(tables().comments)
        if unknown:
            raise ValueError(f"code_files: unknown reasons or languages: {', '.join(sorted(unknown))}")

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Tests first the path of each file, then its content. Fills in ``programming_language``."""
        verdict: list[str | None] = []
        detail: list[str | None] = []
        languages: list[str | None] = []
        for path, text in zip(batch.column("path").to_pylist(), batch.column("text").to_pylist(), strict=True):
            language = language_of(path, text) if path else None
            reason, named = self._fault(path, text, language)
            verdict.append(reason)
            detail.append(named)
            languages.append(language)
        return Outcome(
            verdict=pa.array(verdict, pa.string()),
            detail=pa.array(detail, pa.string()),
            columns={"programming_language": pa.array(languages, pa.string())},
        )

    def _fault(self, path: str | None, text: str, language: str | None) -> tuple[str | None, str | None]:
        if not path:
            return "no_path", None
        fault = path_fault(path, language)
        if fault is not None and fault[0] in self.dropped_reasons:
            return fault
        if self.kept_languages is not None and language not in self.kept_languages:
            return "unknown_file_type", language
        if "\0" in text and "binary_content" in self.dropped_reasons:
            return "binary_content", "a NUL"
        marker = generated_marker(text, language) if language and "generated_code" in self.dropped_reasons else None
        return (None, None) if marker is None else ("generated_code", marker)


def generated_marker(text: str, language: str) -> str | None:
    r"""Returns the words of a generator's mark in the first comments of a file, or None if there is none.

    Such a mark says that a program wrote the file. The second example returns None, because the mark is in a string and
    not in a comment.

    >>> generated_marker("// Code generated by protoc. DO NOT EDIT.\npackage a\n", "Go")
    'Code generated by protoc. DO NOT EDIT'
    >>> generated_marker('package a\nconst head = "// Code generated by a. DO NOT EDIT."\n', "Go")
    """
    pattern = tables().generated_markers
    for comment in head_comments(text, tables().comments[language]):
        head = text[comment.start : min(comment.end, comment.start + _MARKER_CHARS)]
        lower = head.lower()
        if not any(word in lower for word in _MARKER_WORDS):
            continue
        for match in pattern.finditer(head):
            if _is_statement(head, match.start()):
                return " ".join(match.group().split())[:200]
    return None


def _is_statement(head: str, at: int) -> bool:
    """Returns True if the generator's mark at ``at`` begins a sentence. Then it says that this file is generated.

    Other files only mention such a mark, in quotes or inside a sentence (for example the documentation of a generator).
    """
    line_start = head.rfind("\n", 0, at) + 1
    before = head[line_start:at]
    if _QUOTED.search(before) or _NESTED_COMMENT.match(before) or not _LEAD_IN.fullmatch(before.strip(_MARKS)):
        return False
    if before.strip(_MARKS):
        return True
    previous = head[:line_start].rstrip().rpartition("\n")[2] if head[:line_start].strip(" \t") else ""
    is_next = head[:line_start].endswith(previous + "\n")
    return not (is_next and _UNFINISHED.search(previous))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeHeader(Step):
    """Removes the licence header of files. Fills in ``_content_hash``, by which the exact dedup compares files.

    The hash is computed after the header is removed. So files that differ only in their headers count as duplicates.
    RedPajama computes the hash before the header is removed. Set ``is_hashed_before`` to do the same.
    """

    NAME: ClassVar[str] = "code_header"
    DATA_VERSION: ClassVar[int] = 3
    NEEDS: ClassVar[tuple[str, ...]] = ("programming_language",)
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"_content_hash": pa.string()}

    is_hashed_before: bool = False
    """True if the hash is computed before the header is removed, as in RedPajama v1."""

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Removes the licence headers. The column ``programming_language`` decides which comment syntax is used."""
        families = tables().comments
        before: list[str] = batch.column("text").to_pylist()
        after = [
            text if language is None else remove_header(text, families.get(language, "none"))
            for text, language in zip(before, batch.column("programming_language").to_pylist(), strict=True)
        ]
        hashed = before if self.is_hashed_before else after
        removed = [float(len(old) - len(new)) for old, new in zip(before, after, strict=True)]
        return Outcome(
            verdict=pa.nulls(batch.num_rows, pa.string()),
            columns={
                "text": pa.array(after, pa.string()),
                "_content_hash": pa.array([content_hash(text) for text in hashed], pa.string()),
            },
            signals={"num_header_chars": pa.array(removed, pa.float64())},
        )


def content_hash(text: str) -> str:
    """Returns a 128-bit BLAKE2b hash of the text, in hexadecimal."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeQuality(Step):
    """Drops files with long lines or few alphanumeric characters. LLaMA's paper names these criteria, but no limits."""

    NAME: ClassVar[str] = "code_quality"
    DATA_VERSION: ClassVar[int] = 1
    REASONS: ClassVar[tuple[str, ...]] = ("empty", "line_too_long", "mean_line_too_long", "too_few_alphanumeric")

    max_line_chars: int = 1_000  # RedPajama v1 github_run_filter.py; Codex (arXiv:2107.03374) 3.1
    max_mean_line_chars: float = 100.0  # from the same two sources; line ends count, as in RedPajama
    min_alphanumeric_share: float = 0.25  # RedPajama v1 github_run_filter.py

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limits as rules."""
        rp = "RedPajama v1 github_run_filter.py"
        return (
            Rule("empty", "num_stripped_chars", "==", 0, f"{rp}; ours: blanks alone are nothing"),
            Rule("line_too_long", "max_line_chars", ">", self.max_line_chars, rp),
            Rule("mean_line_too_long", "mean_line_chars", ">", self.max_mean_line_chars, rp),
            Rule("too_few_alphanumeric", "alphanumeric_share", "<", self.min_alphanumeric_share, rp),
        )

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Measures every file, and decides by :attr:`rules` which files are dropped."""
        rows = [code_signals(text) for text in batch.column("text").to_pylist()]
        names = ("num_stripped_chars", "max_line_chars", "mean_line_chars", "alphanumeric_share")
        signals = {name: pa.array([row[at] for row in rows], pa.float64()) for at, name in enumerate(names)}
        verdict, detail = first_broken(signals, self.rules)
        return Outcome(verdict=verdict, detail=detail, signals=signals)


Signals = tuple[float, float | None, float | None, float | None]


def code_signals(text: str) -> Signals:
    r"""Returns four numbers: the length of the text without white space at both ends, the length of the longest line,
    the mean length of a line, and the share of alphanumeric characters. Lengths are in characters.

    The mean includes line ends, as in RedPajama. For a blank text, the first number is 0 and the others are None.

    >>> code_signals("ab\n(1)\n")
    (6.0, 3.0, 3.5, 0.42857142857142855)
    """
    num_stripped_chars = len(text.strip())
    if not num_stripped_chars:
        return 0.0, None, None, None
    lines = text.splitlines()
    num_chars = len(text)
    return (
        float(num_stripped_chars),
        float(max(map(len, lines))),
        num_chars / len(lines),
        num_alphanumeric(text) / num_chars,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlphabeticPerToken(Step):
    """Drops files with few letters per token, if the user gives a tokenizer (the model with the key ``tokenizer``).

    Without a tokenizer, the step keeps all files. The tokenizer that the pipeline trains cannot be used here, because
    it is trained after the cleaning. The rule is from RedPajama, which uses the tokenizer of pythia-6.9b.
    """

    NAME: ClassVar[str] = "code_tokens"
    DATA_VERSION: ClassVar[int] = 1
    MODELS: ClassVar[tuple[str, ...]] = ("tokenizer",)
    REASONS: ClassVar[tuple[str, ...]] = ("too_few_alphabetic_per_token",)

    min_alphabetic_per_token: float = 1.5  # RedPajama v1 github_run_filter.py

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Returns the limit as a rule."""
        cite = "RedPajama v1; not in the paper"
        return (Rule(self.REASONS[0], "alphabetic_per_token", "<", self.min_alphabetic_per_token, cite),)

    def apply(self, batch: pa.RecordBatch, models: Models) -> Outcome:
        """Decides which files are dropped. The model ``tokenizer`` must have a method ``encode``."""
        tokenizer = models.get("tokenizer")
        if tokenizer is None:
            return Outcome(verdict=pa.nulls(batch.num_rows, pa.string()))
        encode: Callable[[str], list[int]] = tokenizer.encode
        ratios = [sum(map(str.isalpha, text)) / max(len(encode(text)), 1) for text in batch.column("text").to_pylist()]
        signals = {"alphabetic_per_token": pa.array(ratios, pa.float64())}
        verdict, detail = first_broken(signals, self.rules)
        return Outcome(verdict=verdict, detail=detail, signals=signals)
