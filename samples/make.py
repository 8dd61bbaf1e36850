"""Makes the sample: a small corpus of all seven sources, each in the form in which it is really distributed.

    python samples/make.py DIR

What is committed beside this script (``material/``) is the project's own writing. Real text that every machine has,
CPython's documentation and the installed packages' documentation and sources, is read when the sample is made and
plays the part of the web and of GitHub. Nothing is downloaded, nothing is random: on one machine, the same material
gives the same bytes. What is broken in the sample, and why, stands in ``material/FAULTS.md``.

The folder works from a checkout, from a wheel (as ``pipeline/sample``), and when this file is loaded by its path.
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
"""The small models that belong to the sample, under the names that ``pipeline.models`` looks for."""
SOURCES = ("common_crawl", "c4", "github", "wikipedia", "books", "arxiv", "stack_exchange")


def make_sample(directory: Path) -> dict[str, list[str]]:
    """Writes all seven sources below ``directory``, a folder each, in place of what stood in those folders.

    Returns:
        The globs by source, as ``--input SOURCE=GLOB`` takes them.
    """
    for source in SOURCES:
        shutil.rmtree(directory / source, ignore_errors=True)
        _part(source).make(directory / source)
    return sample_globs(directory)


def sample_globs(directory: Path) -> dict[str, list[str]]:
    """The globs of a sample that was made in ``directory``, by source."""
    return {source: [str(directory / source / glob) for glob in _part(source).GLOBS] for source in SOURCES}


def _part(source: str) -> ModuleType:
    """A module of ``parts/``, which is loaded by its path: this folder has another name in a checkout and a wheel."""
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
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="where to write; a folder a source")
    args = parser.parse_args()
    for source, globs in make_sample(args.directory).items():
        for glob in globs:
            print(f"--input {source}={glob}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
