"""Makes web pages from documentation that every machine has: CPython's documentation and that of installed packages.

No package is imported: docstrings are read from source files with ``ast``. The amount of text is limited, so the
size of the sample does not depend on what is installed.
"""

from __future__ import annotations

import ast
import email
import gc
import importlib.metadata
import importlib.util
import re
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import material

STDLIB_MODULES = tuple(material.text("web", "stdlib_modules.txt").split())
"""The modules of the standard library that get a page."""

_WRAPPED = re.compile(r"(?<=[\w,.;:()'\"`*-])\n(?=[\w(\"'`*])")
_CODE = re.compile(r"^( {2,}|\t|>>>|\.\.\. |\.\. |[-=~^*+#|]{3,})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """Holds a web page as text, in lines as a browser would show them."""

    url: str
    title: str
    text: str


def unwrap(text: str) -> str:
    """Joins wrapped paragraphs into one line each, as on a web page. Code and tables stay as they are."""
    blocks = re.split(r"\n[ \t]*\n", text)
    return "\n".join(block if _CODE.search(block) else _WRAPPED.sub(" ", block) for block in blocks if block.strip())


def topics() -> Iterator[Page]:
    """Yields CPython's language reference, as in ``help("TOPICS")``: about 80 pages, 0.4 MB."""
    from pydoc_data.topics import topics as texts

    for name in sorted(texts):
        title = texts[name].strip().partition("\n")[0]
        yield Page(f"https://docs.python.example/reference/{name}.html", title, unwrap(texts[name].strip()))


def module_pages(names: Sequence[str], site: str, *, max_page_chars: int = 30_000) -> Iterator[Page]:
    """Yields one page for each module that has more than 1,000 characters of docstrings."""
    for name in names:
        source = _source_of(name)
        if source is None:
            continue
        try:
            with _no_garbage_collection():
                tree = ast.parse(source.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        parts = [f"{name} — {site} documentation", *_documented(tree, name)]
        text = "\n".join(parts)[:max_page_chars]
        if len(text) > 1_000:
            yield Page(f"https://{site}.example/library/{name}.html", parts[0], text)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Switches the garbage collector off. A syntax tree has no cycles, and the collector would search it for them many
    times while it grows.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def package_modules(package: str, *, max_source_bytes: int = 1_500_000) -> list[str]:
    """Returns the names of the modules of an installed package, except tests and generated code.

    Returns an empty list if the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    root = Path(next(iter(spec.submodule_search_locations)))
    names, total_bytes = [], 0
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        skipped = {"tests", "test", "testing", "_vendor", "_pytest", "internal"} & set(inside.parts)
        if skipped or path.stem.endswith(("_pb2", "_test", "_pb2_grpc", "_messages")) or path.stem.startswith("test_"):
            continue
        total_bytes += path.stat().st_size
        if total_bytes > max_source_bytes:
            break
        names.append(".".join([package, *inside.with_suffix("").parts]).removesuffix(".__init__"))
    return names


def descriptions() -> Iterator[Page]:
    """Yields the long descriptions of installed packages, as the package index shows them."""
    seen = set()
    found = sorted(importlib.metadata.distributions(), key=lambda each: str(each.metadata["Name"]).lower())
    for distribution in found:
        name = str(distribution.metadata["Name"]).lower()
        message = distribution.read_text("METADATA") or ""
        parsed = email.message_from_string(message)
        text = str(parsed.get_payload() or parsed.get("Description") or "").strip()
        if name not in seen and len(text) > 400:
            seen.add(name)
            summary = str(parsed.get("Summary") or "")
            yield Page(f"https://packages.example/project/{name}/", name, f"{name}\n{summary}\n{unwrap(text)}")


def bounded(pages: Iterator[Page], max_chars: int) -> list[Page]:
    """Returns the first pages, up to ``max_chars`` characters in total. Later pages are not read."""
    taken: list[Page] = []
    num_chars = 0
    for page in pages:
        num_chars += len(page.text)
        if num_chars > max_chars:
            break
        taken.append(page)
    return taken


def _source_of(module: str) -> Path | None:
    """Returns the file of a module; None if there is no file. The packages that contain the module are not imported."""
    relative = Path(*module.split("."))
    spec = importlib.util.find_spec(relative.parts[0])
    if spec is None:
        return None
    roots = [Path(sysconfig.get_paths()["stdlib"])]
    if spec.submodule_search_locations:
        roots.insert(0, Path(next(iter(spec.submodule_search_locations))).parent)
    for root in roots:
        for candidate in (root / relative.with_suffix(".py"), root / relative / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _documented(tree: ast.Module, module: str) -> Iterator[str]:
    """Yields the docstrings of a module in order. Each docstring comes after the signature that it describes."""
    own = ast.get_docstring(tree)
    if own:
        yield unwrap(own)
    for node in tree.body:
        yield from _documented_node(node, module)


def _documented_node(node: ast.AST, prefix: str) -> Iterator[str]:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("__"):
        return
    text = ast.get_docstring(node)
    name = f"{prefix}.{node.name}"
    if text and len(text) > 60:
        if isinstance(node, ast.ClassDef):
            yield f"class {name}"
        else:
            yield f"{name}({ast.unparse(node.args)})"
        yield unwrap(text)
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from _documented_node(child, name)
