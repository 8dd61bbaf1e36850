"""Tests kernels (compiled functions). Machine code is stored for one content of a file, and never used for another.
Kernels also work without stored code.
"""

from __future__ import annotations

import ast
import builtins
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = """
from filters.compiled import kernel

ADDED = {added}


@kernel
def plus(number):
    return number + ADDED
"""
CALL = "import mine; print(mine.plus(1))"


def run(folder: Path, code: str = CALL, **environment: str) -> str:
    """Runs ``code`` in a new process that can import the modules in ``folder``. Returns what it printed."""
    paths = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=os.environ | paths | environment, check=True, text=True, capture_output=True
    ).stdout.strip()


def write(folder: Path, added: int) -> None:
    """Writes the module. Its size and its modification time are always the same."""
    path = folder / "mine.py"
    path.write_text(FILE.format(added=added))
    os.utime(path, (1_000_000_000, 1_000_000_000))


def test_machine_code_of_another_content_is_not_taken(tmp_path: Path) -> None:
    """Two versions of an installed file can have the same size and the same modification time."""
    write(tmp_path, 1)
    assert run(tmp_path) == "2"
    stored = set((tmp_path / "__pycache__").iterdir())
    assert len(stored) == 2
    assert run(tmp_path) == "2"
    assert set((tmp_path / "__pycache__").iterdir()) == stored
    write(tmp_path, 2)
    assert run(tmp_path) == "3"


def test_a_kernel_calls_kernels_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, 2)
    path = tmp_path / "mine.py"
    path.write_text(path.read_text() + "\n\n@kernel\ndef twice(number):\n    return plus(plus(number))\n")
    for _ in range(2):  # the second process takes stored machine code
        code = "import mine; print(mine.twice(1), mine.twice.python(1), mine.plus(1), mine.twice.__name__)"
        assert run(tmp_path, code) == "5 5 3 twice"


def test_a_file_that_was_replaced_after_the_import_stores_nothing(tmp_path: Path) -> None:
    """If a process stored its machine code after the file was replaced, the code of the old content would get the hash
    of the new content.
    """
    write(tmp_path, 1)
    again = f"import pathlib; p = pathlib.Path('mine.py'); p.write_text({FILE.format(added=2)!r})"
    code = (
        f"import os, mine; os.chdir({str(tmp_path)!r}); {again}; os.utime(p, (10 ** 9, 10 ** 9)); print(mine.plus(1))"
    )
    assert run(tmp_path, code) == "2"
    assert not (tmp_path / "__pycache__").exists()
    assert run(tmp_path) == "3"


@pytest.mark.parametrize("content", [b"", b"damaged"])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_file_of_machine_code_is_not_used(tmp_path: Path, ending: str, content: bytes) -> None:
    write(tmp_path, 1)
    assert run(tmp_path) == "2"
    (stored,) = (tmp_path / "__pycache__").glob(f"*.{ending}")
    stored.write_bytes(content)
    assert run(tmp_path) == "2"


def test_each_type_of_argument_has_files_of_its_own(tmp_path: Path) -> None:
    """The machine code for each type of argument has its own file name. Otherwise two processes could overwrite each
    other's files.
    """
    write(tmp_path, 1)
    assert run(tmp_path) == "2"
    before = {path: path.read_bytes() for path in (tmp_path / "__pycache__").iterdir()}
    assert run(tmp_path, "import mine; print(mine.plus(1.5))") == "2.5"
    after = {path: path.read_bytes() for path in (tmp_path / "__pycache__").iterdir()}
    assert len(after) == len(before) + 2
    assert {path: after[path] for path in before} == before


def test_threads_that_call_a_kernel_first_leave_it_whole(tmp_path: Path) -> None:
    write(tmp_path, 1)
    code = (
        "import mine, pickle; from concurrent.futures import ThreadPoolExecutor as T; "
        "print(set(T(8).map(mine.plus, [1] * 8)), pickle.loads(pickle.dumps(mine.plus)) is mine.plus)"
    )
    assert run(tmp_path, code) == "{2} True"


def test_without_a_folder_for_machine_code(tmp_path: Path) -> None:
    """Root may write into any folder. So this test puts files where the folders would be."""
    write(tmp_path, 1)
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    assert run(tmp_path, HOME=str(tmp_path / "home"), XDG_CACHE_HOME=str(tmp_path / "home")) == "2"


def test_a_kernel_is_pickled_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, 1)
    assert run(tmp_path, "import mine, pickle; print(pickle.loads(pickle.dumps(mine.plus)) is mine.plus)") == "True"


def test_a_process_without_a_kernel_call_does_not_load_numba(tmp_path: Path) -> None:
    write(tmp_path, 1)
    assert run(tmp_path, "import mine, sys; print('numba' in sys.modules)") == "False"


def kernels(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "kernel" for d in node.decorator_list):
            yield node


def foreign_names(code: str) -> list[str]:
    """Returns the names that kernels use but that are imported from another file of this project."""
    tree = ast.parse(code)
    ours = {"filters", "pipeline", "mixtures", "tokenizer"}
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ours
        for alias in node.names
    } - set(dir(builtins))  # fmt: skip
    return [
        node.id
        for function in kernels(tree)
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and node.id in imported
    ]


def test_kernels_use_names_of_their_own_file_only() -> None:
    """Stored machine code is found by the hash of the kernel's file. So a kernel must not depend on other files."""
    files = [p for package in ("filters", "tokenizer", "mixtures", "pipeline") for p in (ROOT / package).rglob("*.py")]
    assert {str(p): foreign_names(p.read_text("utf-8")) for p in files if foreign_names(p.read_text("utf-8"))} == {}
    planted = (
        "from filters.words import BASE\nfrom filters.compiled import kernel\n@kernel\ndef f(a):\n    return a * BASE"
    )
    assert foreign_names(planted) == ["BASE"]
