"""Compares the documents with the code: links, settings, flags, rules, columns, reasons and tables."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from pipeline.clean import phase as clean_phase
from pipeline.clean.batches import DROPPED_SCHEMA
from pipeline.clean.segments import is_local
from pipeline.settings.flags import build_parser, parse_flags
from pipeline.settings.settings import parse
from pipeline.sources import SOURCES
from pipeline.tokenize import phase as token_phase

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("samples/**/*.md")]
)
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
each_page = pytest.mark.parametrize("page", PAGES, ids=IDS)

_FENCE = re.compile(r"^(`{3,})(\w*)([^\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")


def blocks(page: Path, language: str) -> list[str]:
    return [body for _, name, _, body in _FENCE.findall(page.read_text("utf-8")) if name == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def section(page: str, title: str) -> str:
    text = (ROOT / page).read_text("utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_bundled_recipes_are_named() -> None:
    from mixtures.config_files import bundled_recipes

    told = section("docs/formats.md", "Configuration").split("\n\n")[0].partition("Everything else")[0]
    assert {name for name in _CODE_SPAN.findall(told) if name in (*bundled_recipes(), "llama")} == {*bundled_recipes()}


def test_the_versions_to_download_are_those_that_are_built() -> None:
    told = section("docs/models.md", "Build lmplz without a network")
    script = (ROOT / "samples/build_lmplz.py").read_text("utf-8")
    versions = dict(re.findall(r'^(KENLM|CMAKE|BOOST)_VERSION = "([^"]+)"', script, re.MULTILINE))
    for name, key in (("kenlm", "KENLM"), ("cmake", "CMAKE"), ("cmeel-boost", "BOOST")):
        assert f"{name}=={versions[key]}" in told


def test_there_are_pages() -> None:
    expected = {"README", "CONTRIBUTING", "CHANGELOG"}
    expected |= {f"docs/{n}" for n in ("quickstart", "recipe", "formats", "decisions", "extending", "troubleshooting")}
    assert {f"{name}.md" for name in expected} <= set(IDS)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(there), f"{target}: no such heading, there are {sorted(anchors(there))}"


@each_page
def test_settings_are_read_by_the_real_reader(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("excluded.txt", "llama.model", "tokenizer.json", "own.tiktoken"):
        (tmp_path / name).write_text("")
    for body in blocks(page, "yaml"):
        if "rfc:" in body:
            continue  # the source does not exist here; tests/docs/test_extending.py runs it
        (tmp_path / "config.yaml").write_text(body)
        assert parse(["--config", "config.yaml"]).recipe.weights


def commands(page: Path) -> list[str]:
    """Returns the command lines of the page's shell blocks. Continued lines are joined and comments removed."""
    text = "\n".join(blocks(page, "sh") + ["\n".join(console(body)) for body in blocks(page, "console")])
    lines = (re.split(r"\s#\s", line)[0].strip() for line in text.replace("\\\n", " ").split("\n"))
    return [line for line in lines if line]


def console(body: str) -> list[str]:
    return [line[2:] for line in body.split("\n") if line.startswith("$ ")]


@cache
def help_of(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@each_page
def test_commands_and_their_flags_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands(page):
        if re.match(r"(?:[A-Z_]+=\S* )*make ", line):
            assert {w for w in line.split("make ", 1)[1].split() if "=" not in w} <= targets, line
        for module, rest in re.findall(r"python -m ([a-z_]+\.[a-z_]+)([^|;&]*)", line):
            if module == "pipeline.run":
                flags = [word.strip("'\"") for word in rest.split()]
                parse_flags([flag for flag in flags if flag not in (">", "2>&1")])
                continue
            shown = help_of(module)
            sub = rest.split()[0] if rest.split() else ""
            if module in ("pipeline.models", "pipeline.job_service") and re.fullmatch(r"[a-z-]+", sub) and sub in shown:
                command = [sys.executable, "-m", module, sub, "--help"]
                shown += subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60).stdout
            for flag in re.findall(r"(?<!\S)(--[a-z-]+)", rest):
                assert flag in shown, f"{line}: {flag} is not a flag of {module}"


def test_every_flag_of_the_run_is_in_a_document() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    flags = {o for a in build_parser()._actions for o in a.option_strings if o not in ("-h", "--help")}
    assert flags
    assert {flag for flag in flags if flag not in text} == set()


@pytest.mark.parametrize("name", SOURCES)
def test_the_recipe_has_every_step_setting_and_reason(name: str) -> None:
    """The table lists the steps in the order of the code. Each row names all settings and reasons of its step."""
    rows = [line for line in section("docs/recipe.md", name).split("\n") if line.startswith("|")]
    row_of = {cells[1].strip(): line for line in rows if len(cells := line.split("|")) > 2}
    steps = SOURCES[name].steps
    listed = [step.NAME for step in steps if f"`{step.NAME}`" in row_of]
    assert [step.NAME for step in steps if step.NAME not in listed] == [], "steps without a row"
    order = [key.strip("`") for key in row_of if key.strip("`") in listed]
    assert order == listed, "rows in another order than the steps"
    for step in steps:
        row = row_of[f"`{step.NAME}`"]
        reasons = getattr(step, "REASONS", None) or (getattr(step, "reason", None) or getattr(step, "REASON", None),)
        assert [r for r in reasons if r and f"`{r}`" not in row] == [], f"reasons of {step.NAME} that its row lacks"
        fields = [f.name for f in dataclasses.fields(cast(Any, step))] if is_local(step) else []
        lacking = [f for f in fields if f != "is_for_published" and f"`{f}`" not in row]
        assert lacking == [], f"settings of {step.NAME} that its row lacks"
    for kind, value in (("reader", SOURCES[name].reader), ("join", SOURCES[name].join)):
        for field in dataclasses.fields(cast(Any, value)) if value is not None else ():
            assert f"`{kind}.{field.name}`" in section("docs/recipe.md", name), f"{kind}.{field.name}"


@pytest.mark.parametrize("name", SOURCES)
def test_the_formats_have_every_column(name: str) -> None:
    columns = dict(SOURCES[name].reader.COLUMNS)
    for step in SOURCES[name].steps:
        columns |= getattr(step, "COLUMNS", {})
    wanted = [c for c in columns if not c.startswith("_") and c not in ("id", "text", "source", "language")]
    (row,) = [line for line in section("docs/formats.md", "clean").split("\n") if line.startswith(f"| {name} |")]
    assert wanted
    assert [c for c in wanted if f"`{c}`" not in row] == []


def record_reasons() -> set[str]:
    """Returns the reasons for which the code rejects records, as far as they are literals in the code."""
    found: set[str] = set()
    files = [*(ROOT / "pipeline/sources").rglob("*.py"), ROOT / "pipeline/clean/joins/licences.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            values = [k.value for k in node.keywords if k.arg == "reason"] if name == "Rejected" else []
            if name in ("BadPaperError", "HttpError", "BrokenPageError", "_BrokenRecordError"):
                values += node.args[:1]
            if name == "_rejected":
                values += node.args[1:2]
            for value in values:
                found |= {n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {reason for reason in found if re.fullmatch(r"[a-z][a-z0-9_]+", reason)}


def test_the_formats_have_every_reason_of_records() -> None:
    text = section("docs/formats.md", "dropped")
    reasons = record_reasons()
    assert len(reasons) > 60
    lacking = sorted(reason for reason in reasons if f"`{reason}`" not in text)
    assert lacking == [], "add them to BROKEN or NOT_BROKEN of their readers, then run `make docs`"


def test_no_reason_of_records_is_only_declared() -> None:
    """Every reason that a reader declares also occurs where the code rejects a record."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "pipeline").rglob("*.py"))
    declared = {reason for s in SOURCES.values() for reason in (*s.reader.BROKEN, *s.reader.NOT_BROKEN)}
    assert len(declared) > 60
    num_declared = {r: sum(r in (*s.reader.BROKEN, *s.reader.NOT_BROKEN) for s in SOURCES.values()) for r in declared}
    assert {r for r, number in num_declared.items() if len(re.findall(rf"[\"'`]{r}[\"'`]", code)) < 2} == set()


def make_tables() -> ModuleType:
    """Loads ``docs/make_tables.py``, which is a command outside of all packages."""
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_code() -> None:
    texts = make_tables().pages(ROOT)
    assert {path.name for path in texts} == {"README.md", "CHANGELOG.md", "recipe.md", "formats.md", "corpora.md"}
    changed = [
        line
        for path, text in texts.items()
        for line in difflib.unified_diff(path.read_text("utf-8").splitlines(), text.splitlines(), lineterm="", n=0)
    ]
    assert changed == [], "run `make docs`"


def test_a_table_that_is_missing_is_named() -> None:
    maker = make_tables()
    writers = {"a": lambda old: ["| a |"], "b": lambda old: ["| b |"]}
    table = "<!-- table: a -->\n| old |\n<!-- end of table -->\n"
    with pytest.raises(ValueError, match=r"page\.md: .* a, b; look at: b$"):
        maker.with_tables("page.md", table, writers)
    with pytest.raises(ValueError, match=r"look at: a$"):
        maker.with_tables("page.md", table + table, {"a": writers["a"]})


def test_the_columns_of_dropped_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("docs/formats.md", "dropped"), re.MULTILINE)
    kinds = {"list of `{name, value}`": "list<item: struct<name: string, value: double>>"}
    assert [(name, kinds.get(kind, kind)) for name, kind in rows] == [(f.name, str(f.type)) for f in DROPPED_SCHEMA]


def test_the_changelog_has_the_data_versions_of_the_phases() -> None:
    text = " ".join(section("CHANGELOG.md", "Data versions now").split())
    for path, version in (
        ("pipeline/clean/phase.py", clean_phase.DATA_VERSION),
        ("pipeline/tokenize/phase.py", token_phase.TOKENS_VERSION),
    ):
        assert f"(`{path}`, {version})" in text


def test_every_dependency_has_its_line() -> None:
    text = (ROOT / "docs/decisions.md").read_text("utf-8")
    setup = (ROOT / "setup.py").read_text("utf-8")
    listed = setup.split("REQUIRES = [", 1)[1].split("]", 1)[0]
    names = re.findall(r'"([A-Za-z0-9_-]+)', listed)
    assert len(names) > 15
    assert [name for name in names if f"`{name}" not in text] == []
    pinned = re.findall(r'"([A-Za-z0-9_-]+==[0-9.]+)"', listed)
    assert [pin for pin in pinned if f"`{pin}`" not in text] == []


def messages() -> list[str]:
    """Returns every string in the code. An ellipsis replaces each inserted value, and adjacent strings are joined."""

    def text(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else "…"
        if isinstance(node, ast.JoinedStr):
            return "".join(text(value) for value in node.values)
        if isinstance(node, ast.BinOp):
            return text(node.left) + text(node.right)
        return "…"

    found = []
    for folder in ("pipeline", "mixtures", "tokenizer", "filters"):
        for path in (ROOT / folder).rglob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            found += [text(n) for n in nodes if isinstance(n, ast.Constant | ast.JoinedStr | ast.BinOp)]
    found += [(ROOT / "Makefile").read_text("utf-8"), (ROOT / "setup.py").read_text("utf-8")]
    return [" ".join(message.split()) for message in found if message]


def test_troubleshooting_quotes_messages_that_exist() -> None:
    known = messages()
    rows = re.findall(r"^\| `([^`\n]+)` \|", (ROOT / "docs/troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 40
    for quoted in rows:
        pieces = [re.escape(piece.strip()) for piece in quoted.split("…") if piece.strip()]
        pattern = re.compile(".*".join(pieces))
        assert any(pattern.search(message) for message in known), f"no message reads: {quoted}"
