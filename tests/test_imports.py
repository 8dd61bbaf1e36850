"""Tests the rules of imports: no cycles between files or packages, and each package imports only packages below it.

A *room* is a file, or a folder with everything in it, directly inside one of the four packages. A command
(``__main__.py``) may import everything, and nothing may import a command.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("filters", "tokenizer", "mixtures", "pipeline")
"""The packages from bottom to top. Each may import those before it in this list."""
PIPELINE_ROOMS = (
    "failures", "files", "output", "sources", "settings", "engine", "progress", "models", "clean", "run_job",
    "preflight", "tokenize", "mix", "graph", "scale", "estimate", "explain", "report", "phases", "job_service", "run",
    "schema", "cli",
)  # fmt: skip
"""The rooms of ``pipeline`` from bottom to top. Each may import those before it in this list. CONTRIBUTING.md explains
the order.
"""

Graph = Mapping[str, frozenset[str]]


def import_graph(root: Path) -> Graph:
    """Returns a dict from every module of the four packages to the modules that it imports, anywhere in its file."""
    files = {name: path for package in PACKAGES for name, path in _modules(root, package)}
    return {
        name: frozenset(_imported(path, files)) - {name}
        for name, path in files.items()
        if not name.endswith(".__main__")
    }


def _modules(root: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / package).rglob("*.py")):
        yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path


def _imported(path: Path, known: Iterable[str]) -> Iterator[str]:
    names = set(known)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner if inner in names else node.module,) if name in names)


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def rooms(graph: Graph) -> Graph:
    """Returns the graph of imports between rooms instead of modules. The ``__init__`` of a package counts as a room."""
    found: dict[str, set[str]] = {}
    for module, imports in graph.items():
        found.setdefault(room(module), set()).update(room(other) for other in imports)
    return {name: frozenset(others - {name}) for name, others in found.items()}


def cycle_of(graph: Graph) -> list[str]:
    """Returns one cycle of the graph; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def upward_imports(graph: Graph) -> list[str]:
    """Returns messages about imports from a higher room, and about rooms that are missing in the order."""
    levels = {package: (number, -1) for number, package in enumerate(PACKAGES)}
    wrong = []
    for name in sorted({room(module) for module in graph if module.startswith("pipeline.")}):
        if name.removeprefix("pipeline.") not in PIPELINE_ROOMS:
            wrong.append(f"{name} has no place in PIPELINE_ROOMS")

    def level(module: str) -> tuple[int, int]:
        package, _, rest = module.partition(".")
        inner = rest.split(".")[0]
        number = PIPELINE_ROOMS.index(inner) if package == "pipeline" and inner in PIPELINE_ROOMS else -1
        return levels[package][0], number

    for module, imports in sorted(graph.items()):
        wrong += [f"{module} imports {other}" for other in sorted(imports) if level(other) > level(module)]
    return wrong


def test_no_file_imports_itself_by_a_detour() -> None:
    graph = import_graph(ROOT)
    assert len(graph) > 200
    assert cycle_of(graph) == []


def test_no_room_imports_itself_by_a_detour() -> None:
    assert cycle_of(rooms(import_graph(ROOT))) == []


def test_packages_import_only_downwards() -> None:
    assert upward_imports(import_graph(ROOT)) == []


def test_nothing_imports_a_command() -> None:
    assert not [(m, o) for m, others in import_graph(ROOT).items() for o in others if o.endswith(".__main__")]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Writes a small tree of packages that follows all rules. Returns its folder."""
    for name, text in {
        "filters/step.py": "",
        "tokenizer/encode.py": "",
        "mixtures/plan/deal.py": "from mixtures.plan.shares import Plan\n",
        "mixtures/plan/shares.py": "Plan = int\n",
        "pipeline/files/files.py": "",
        "pipeline/clean/job.py": "def f():\n    from pipeline.files import files\n",
        "pipeline/clean/passes.py": "from pipeline.clean import job\n",
        "pipeline/run.py": "import pipeline.clean.passes\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_rules_hold_for_a_sound_tree(planted: Path) -> None:
    graph = import_graph(planted)
    assert graph["pipeline.run"] == {"pipeline.clean.passes"}
    assert graph["pipeline.clean.job"] == {"pipeline.files.files"}
    assert (cycle_of(graph), cycle_of(rooms(graph)), upward_imports(graph)) == ([], [], [])


def test_a_cycle_of_files_is_found(planted: Path) -> None:
    (planted / "pipeline/clean/job.py").write_text("def f():\n    from pipeline.clean.passes import x\n")
    graph = import_graph(planted)
    assert {"pipeline.clean.job", "pipeline.clean.passes"} <= set(cycle_of(graph))
    assert cycle_of(rooms(graph)) == []


def test_a_cycle_of_rooms_is_found(planted: Path) -> None:
    (planted / "pipeline/files/spill.py").write_text("from pipeline.clean import job\n")
    graph = import_graph(planted)
    assert cycle_of(graph) == []
    assert {"pipeline.files", "pipeline.clean"} <= set(cycle_of(rooms(graph)))


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("pipeline/files/spill.py", "import pipeline.clean.job\n", "pipeline.files.spill imports pipeline.clean.job"),
        ("filters/rules.py", "from mixtures.plan import deal\n", "filters.rules imports mixtures.plan.deal"),
        ("pipeline/cellar/a.py", "", "pipeline.cellar has no place in PIPELINE_ROOMS"),
    ],
)
def test_an_upward_import_is_found(planted: Path, path: str, text: str, said: str) -> None:
    (planted / path).parent.mkdir(exist_ok=True)
    (planted / path).write_text(text)
    assert upward_imports(import_graph(planted)) == [said]
