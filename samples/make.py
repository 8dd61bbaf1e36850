"""Makes the sample: a small corpus of all seven sources. Each source has the form in which it is published.

    python samples/make.py DIR

The texts in ``material/`` were written for this project. More text comes from the machine on which the sample is made:
CPython's documentation, and the documentation and source files of installed packages. It serves as web pages and as
GitHub files. Nothing is downloaded and nothing is random. On one machine, the same material gives the same bytes.
``material/FAULTS.md`` lists what is broken in the sample, and why.

The code works in a checkout and in a wheel, where this folder is ``pipeline/sample``. It also works if this file is
loaded by its path.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
MATERIAL = HERE / "material"
MODELS = HERE / "models"
"""The folder of the sample's small models, with the file names that ``pipeline.models`` looks for."""
SOURCES = ("common_crawl", "c4", "github", "wikipedia", "books", "arxiv", "stack_exchange")


def make_sample(directory: Path) -> dict[str, list[str]]:
    """Writes all seven sources into folders in ``directory``. If these folders exist, they are replaced.

    Returns:
        A dict with the globs of each source, for ``--input SOURCE=GLOB``.
    """
    for source in SOURCES:
        shutil.rmtree(directory / source, ignore_errors=True)
        _part(source).make(directory / source)
    return sample_globs(directory)


def sample_globs(directory: Path) -> dict[str, list[str]]:
    """Returns a dict with the globs of each source, for a sample in ``directory``."""
    return {source: [str(directory / source / glob) for glob in _part(source).GLOBS] for source in SOURCES}


def _part(source: str) -> ModuleType:
    """Loads a module of ``parts/`` by its path, because in a wheel this folder is in a different package."""
    package = "_sample_parts"
    if package not in sys.modules:
        folder = HERE / "parts"
        spec = importlib.util.spec_from_file_location(
            package, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[package] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{package}.{source}")


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to write; a folder a source")
    args = parser.parse_args()
    for source, globs in make_sample(args.directory).items():
        for glob in globs:
            print(f"--input {source}={glob}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
