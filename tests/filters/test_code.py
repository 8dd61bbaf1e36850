"""Tests the rules for source files."""

from __future__ import annotations

import itertools
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from filters.code.alphanumeric import num_alphanumeric
from filters.code.comments import head_comments, syntax
from filters.code.languages import language_of, path_fault, tables
from filters.code.licence_header import remove_header
from filters.code.steps import (
    AllowedLicence,
    AlphabeticPerToken,
    CodeFiles,
    CodeHeader,
    CodeQuality,
    code_signals,
)

LANGUAGES = yaml.safe_load((Path(__file__).parents[1] / "cases/code/languages.yaml").read_text(encoding="utf-8"))
HEADERS = yaml.safe_load((Path(__file__).parents[1] / "cases" / "code" / "headers.yaml").read_text(encoding="utf-8"))
LICENCES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "code" / "licences.yaml").read_text(encoding="utf-8"))
FAMILIES = sorted(set(tables().comments.values()))


def batch(texts, **columns):
    arrays = {"id": [str(row) for row in range(len(texts))], "text": texts, **columns}
    return pa.record_batch({name: pa.array(values, pa.string()) for name, values in arrays.items()})


@pytest.mark.parametrize("case", HEADERS, ids=[case["name"] for case in HEADERS])
def test_header(case):
    family = tables().comments[language_of(case["path"], case["before"])]
    after = remove_header(case["before"], family)
    assert after == case.get("after", case["before"])
    assert remove_header(after, family) == after


@pytest.mark.parametrize("marks", [("/*\n", " *", " */\n", "c"), ("", "#", "", "hash"), ("", "//", "", "c")])
@pytest.mark.parametrize("licence", LICENCES, ids=[licence["name"] for licence in LICENCES])
def test_a_licence_goes_whole_however_it_is_wrapped(licence, marks):
    opening, mark, closing, family = marks
    for width, gap in itertools.product(range(36, 121), [[""], []]):
        paragraphs = [
            [text] if text.startswith(" ") else textwrap.wrap(text, width, break_long_words=False)
            for text in licence["paragraphs"]
        ]
        lines = [line for paragraph in paragraphs for line in [*paragraph, *gap]]
        comment = opening + "".join(f"{mark} {line}".rstrip() + "\n" for line in lines) + closing
        assert remove_header(comment + "\nint a;\n", family) == "int a;\n", (width, gap)
        documented = comment.removesuffix(closing) + f"{mark}\n{mark} Counts the words.\n" + closing
        kept = f"{opening}{mark} Counts the words.\n{closing}\nint a;\n"
        assert remove_header(documented + "\nint a;\n", family) == kept, (width, gap)


@pytest.mark.parametrize(
    "piece",
    ["/*", "/**/", "//\n", "// \n\n", "#\n", "/* copyright */", "/** copyright\n\n", "# license\n", '"""', "(*", "{-",
     "<!--", " ", "\n", " \n", "\t\n \n", ".. \n ", "<!DOCTYPE", "<?php ", "{-#", "#ifndef A\n#define A\n", "see "],
)  # fmt: skip
@pytest.mark.parametrize("family", ["c", "c_nested", "python", "hash", "php", "xml", "rst", "ml", "haskell"])
def test_header_removal_is_linear_on_five_megabytes(piece, family):
    """One pass over the text takes much less than 4 seconds, even on a busy machine. A quadratic search would take much
    more.
    """
    text = ("/** copyright " if piece == "see " else "") + piece * (5_000_000 // len(piece))
    start = time.process_time()
    remove_header(text, family)
    assert time.process_time() - start < 4.0


@given(st.text(alphabet="/*#-;%!\"'(){}<>.=\n\t aclCopyright", max_size=80), st.sampled_from(FAMILIES))
def test_only_lines_that_were_there_are_left(text, family):
    after = remove_header(text, family)
    assert len(after) <= len(text)
    assert after == remove_header(after, family) or "opyright" in after
    comments = list(head_comments(text, family))
    assert all(a.end <= b.start for a, b in pairwise(comments))
    if not comments:
        assert after == text


@pytest.mark.parametrize("case", LANGUAGES, ids=[f"{case['path']} {case['language']}" for case in LANGUAGES])
def test_the_text_decides_between_languages_of_one_ending(case):
    assert language_of(case["path"], case["text"]) == case["language"]


def test_every_family_of_comments_is_in_use_and_known():
    for family in FAMILIES:
        assert syntax(family) is not None


@pytest.mark.parametrize(
    ("path", "text", "language"),
    [
        ("a/b.py", "", "Python"), ("a.PY", "", "Python"), ("a.c", "", "C"), ("a.C", "", "C++"), ("a.H", "", "C++"),
        ("a.r", "", "R"), ("a.R", "", "R"), ("a.S", "", "Assembly"), ("a.F90", "", "Fortran"), ("a.kt", "", "Kotlin"),
        ("Makefile", "", "Makefile"), ("a.d.ts", "", "TypeScript"), ("a.ts", "<?xml version='1.0'?><TS>", "XML"),
        ("CMakeLists.txt", "", "CMake"), ("README.MD", "", "Markdown"), ("a.h", "class A {\n", "C++"),
        ("a.h", "int a;", "C"), ("a.h", "@interface A : B", "Objective-C"), ("a.m", "function y = f(x)\n", "MATLAB"),
        ("a.m", "#import <B/B.h>\n", "Objective-C"), ("a.v", "module a;", "Verilog"), ("a.v", "Lemma b : c.\n", "Coq"),
        ("bin/a", "#!/usr/bin/env -S python3.11 -u\n", "Python"), ("bin/a", "#!/bin/bash\n", "Shell"),
        ("bin/a", "text", None), ("a.json", "", None), ("a.png", "", None), ("a.unheard", "#!/bin/sh\n", None),
        ("", "", None), ("a.", "", None), (".bashrc", "", "Shell"), ("x.tmpl.go", "", "Go"), ("a.rl", "", "Ragel"),
        ("a.nu", "", "Nushell"),
    ],
)  # fmt: skip
def test_language(path, text, language):
    assert language_of(path, text) == language


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("web/node_modules/a/index.js", "vendored_tree"), ("Vendor/a.go", "vendored_tree"), ("vendor.go", None),
        ("third_party/a.c", "vendored_tree"), ("js/jquery-3.1.1.js", "vendored_file"), ("js/jquery.mine.js", None),
        ("js/app.min.js", "minified_file"), ("css/a.MIN.css", "minified_file"), ("admin.js", None),
        ("a_pb2.py", "generated_file"), ("a.pb.go", "generated_file"), ("configure", "generated_file"),
        ("configure.ac", None), ("src/__generated__/a.ts", "generated_tree"), ("LICENSE", "licence_file"),
        ("LICENSE.md", "licence_file"), ("doc/Copying.rst", "licence_file"), ("license.js", None),
        ("logo.PNG", "binary_file"), ("a.tar.gz", "binary_file"), ("package.json", "data_file"),
        ("server.crt", "data_file"), ("a.xyzzy", "unknown_file_type"), ("AUTHORS", "unknown_file_type"),
    ],
)  # fmt: skip
def test_path(path, reason):
    fault = path_fault(path, language_of(path))
    assert (fault and fault[0]) == reason


@pytest.mark.parametrize(
    ("text", "is_generated"),
    [
        ("// Code generated by protoc-gen-go. DO NOT EDIT.\npackage a\n", True),
        ("/*\n * @generated SignedSource<<1>>\n */\npackage a\n", True),
        ("// This file was automatically generated by hand.\npackage a\n", True),
        ("// Package a generates code. Generated files are written to out.\npackage a\n", False),
        ('package a\n\nconst head = "// Code generated by a. DO NOT EDIT."\n', False),
        ("// a.go\n// Code generated by protoc. DO NOT EDIT.\npackage a\n", True),
        ("// NOTE: this file is generated, do not edit.\npackage a\n", True),
        ("// WARNING! DO NOT EDIT! This file is generated.\npackage a\n", True),
        ("// Source code generated by hand; do not edit.\npackage a\n", True),
        ("/* @flow @generated */\npackage a\n", True),
        ("// Package a writes Go. Its output begins with\n// Code generated by a. DO NOT EDIT.\npackage a\n", False),
        ('// Package a looks for\n// "Code generated by a. DO NOT EDIT." and skips it.\npackage a\n', False),
        ("// Package a writes:\n//\n//     // Code generated by a. DO NOT EDIT.\npackage a\n", False),
        ("// Package a adds `@generated` to the files that it writes.\npackage a\n", False),
        ("// If this file is generated, do not edit it.\npackage a\n", False),
        ("// Automatically generated when running make.\npackage a\n", True),
        ("/* src/config.h.  Generated by configure.  */\npackage a\n", True),
        ("/* a.h.  Generated from configure.in by autoheader.  */\npackage a\n", True),
        ("/* crc32.h -- tables for CRC\n * Generated automatically by crc32.c\n */\npackage a\n", True),
        ("/* jconfig.h.  Generated automatically by configure.  */\npackage a\n", True),
        ("// Names are automatically generated from the ids.\npackage a\n", False),
        ("// Package a reads what is generated automatically by b.\npackage a\n", False),
        ("// Builds a table. The report is generated when running make.\npackage a\n", False),
        ("// Package a parses what is marked as\n// generated by the protocol buffer compiler.\npackage a\n", False),
        ("// Package a checks that no generated file is such; do not edit the rest.\npackage a\n", False),
        ("// Do not edit the order of these.\npackage a\n", False),
    ],
)
def test_generated_code(text, is_generated):
    outcome = CodeFiles().apply(batch([text], path=["a.go"]), {})
    assert outcome.verdict.to_pylist() == ["generated_code" if is_generated else None]
    assert outcome.columns["programming_language"].to_pylist() == ["Go"]


def test_files_without_path_or_with_nul_bytes():
    outcome = CodeFiles().apply(batch(["a", "a\0b", "a"], path=[None, "a.py", "a.py"]), {})
    assert outcome.verdict.to_pylist() == ["no_path", "binary_content", None]


def test_a_reason_can_be_switched_off():
    kept = tuple(reason for reason in CodeFiles.REASONS if reason != "vendored_tree")
    outcome = CodeFiles(dropped_reasons=kept).apply(batch(["a = 1\n"], path=["vendor/a.py"]), {})
    assert outcome.verdict.to_pylist() == [None]
    with pytest.raises(ValueError, match="vendored"):
        CodeFiles(dropped_reasons=("vendored",))


def test_licence():
    licences = ["mit", "MIT", "bsd-3-clause", "apache-2.0", "agpl-3.0", "gpl-2.0", "isc", "unknown", "", None]
    outcome = AllowedLicence().apply(batch([""] * 10, license=licences), {})
    no, not_permitted = "no_licence", "licence_not_permitted"
    assert outcome.verdict.to_pylist() == [None] * 4 + [not_permitted] * 3 + [no] * 3
    assert outcome.detail.to_pylist()[4] == "agpl-3.0"
    wider = AllowedLicence(families=("mit", "isc")).apply(batch([""] * 10, license=licences), {})
    assert wider.verdict.to_pylist()[:7] == [None, None] + [not_permitted] * 4 + [None]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", "empty"),
        (" \n\t\n", "empty"),
        ("a" * 1000, "mean_line_too_long"),
        ("a" * 1000 + "\nb" * 20, None),
        ("a" * 1001 + "\nb" * 20, "line_too_long"),
        (("a" * 99 + "\n") * 5, None),
        (("a" * 100 + "\n") * 5, "mean_line_too_long"),
        ("a---", None),
        ("a----", "too_few_alphanumeric"),
        ("ü²字-------", None),
    ],
)
def test_quality(text, verdict):
    outcome = CodeQuality().apply(batch([text]), {})
    assert outcome.verdict.to_pylist() == [verdict]


@given(st.text())
def test_alphanumeric_characters_are_pythons(text):
    assert num_alphanumeric(text) == sum(map(str.isalnum, text))
    if text and not text.isspace():
        lines = text.splitlines()
        assert code_signals(text)[1:3] == (max(map(len, lines)), len(text) / len(lines))


def test_the_hash_is_of_what_is_left():
    texts = ["// Copyright 2019 A\nint a;\n", "// Copyright 2020 B\nint a;\n"]
    columns = {"programming_language": ["C", "C"]}
    after = CodeHeader().apply(batch(texts, **columns), {})
    assert after.columns["text"].to_pylist() == ["int a;\n"] * 2
    assert len(set(after.columns["_content_hash"].to_pylist())) == 1
    assert after.signals["num_header_chars"].to_pylist() == [20.0, 20.0]
    before = CodeHeader(is_hashed_before=True).apply(batch(texts, **columns), {})
    assert len(set(before.columns["_content_hash"].to_pylist())) == 2


class Bytes:
    """Plays a tokenizer whose tokens are bytes."""

    def encode(self, text):
        return list(text.encode())


def test_letters_a_token_only_with_a_tokenizer():
    texts = ["abc", "a1", ""]
    step = AlphabeticPerToken(min_alphabetic_per_token=0.9)
    assert step.apply(batch(texts), {}).verdict.to_pylist() == [None] * 3
    outcome = step.apply(batch(texts), {"tokenizer": Bytes()})
    assert outcome.verdict.to_pylist() == [None, *["too_few_alphabetic_per_token"] * 2]
    assert outcome.signals["alphabetic_per_token"].to_pylist() == [1.0, 0.5, 0.0]
