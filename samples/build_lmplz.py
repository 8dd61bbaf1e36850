"""Builds KenLM's ``lmplz`` and ``build_binary``: the Python distributions of KenLM bring neither.

    python samples/build_lmplz.py DIR            # the programs end up in DIR/bin, in about a minute
    python samples/build_lmplz.py DIR --system-boost

Needs CPython with pip, a C++ compiler and the package index; nothing has to be installed by hand. CMake and
Boost come as wheels (``cmake``, ``cmeel-boost``) into an environment of their own, DIR/env; the sources are
those of the ``kenlm`` source distribution. Where Boost has no wheel for the machine, ``--system-boost`` takes
the operating system's (on Debian: libboost-program-options-dev libboost-thread-dev).

DIR must stay where it is: the programs find Boost's libraries by their path. Building again is a no-op.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

KENLM_VERSION = "0.3.0"
CMAKE_VERSION = "4.4.4"
BOOST_VERSION = "1.90.0"
PROGRAMS = ("lmplz", "build_binary")
MAX_NGRAM_ORDER = 6


class BuildError(Exception):
    """Something outside of this script is missing or failed; the message says what to do."""


def build(folder: Path, *, system_boost: bool = False) -> list[Path]:
    """Builds the programs into ``folder``/bin and returns their paths.

    Raises:
        BuildError: no compiler, no pip, no package index, or the compiler failed (its last lines are shown).
    """
    folder = folder.resolve()
    programs = [folder / "bin" / name for name in PROGRAMS]
    if all(_answers(program) for program in programs):
        return programs
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if not compiler:
        raise BuildError("no C++ compiler: install one (on Debian: apt-get install g++) or set CXX")
    folder.mkdir(parents=True, exist_ok=True)
    env = _environment(folder / "env", with_boost=not system_boost)
    source = _source(folder, env)
    _mend(source / "CMakeLists.txt")
    build_dir = folder / "build"
    shutil.rmtree(build_dir, ignore_errors=True)
    cmake = [str(_script(env, "cmake"))]
    configure = [*cmake, "-S", str(source), "-B", str(build_dir), "-DCMAKE_BUILD_TYPE=Release"]
    configure += [f"-DCMAKE_CXX_COMPILER={compiler}", f"-DKENLM_MAX_ORDER={MAX_NGRAM_ORDER}"]
    configure += ["-DENABLE_INTERPOLATE=OFF", "-DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON"]
    # Without compression libraries the programs read plain text only; that is all they are given here.
    configure += [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("ZLIB", "BZip2", "LibLZMA")]
    if not system_boost:
        configure.append(f"-DCMAKE_PREFIX_PATH={_boost_prefix(env)}")
    _run(configure, "CMake could not configure KenLM")
    jobs = str(os.cpu_count() or 1)
    _run([*cmake, "--build", str(build_dir), "--parallel", jobs, "--target", *PROGRAMS], "the compiler failed on KenLM")
    (folder / "bin").mkdir(exist_ok=True)
    for program in programs:
        shutil.copy2(build_dir / "bin" / program.name, program)
        if not _answers(program):
            raise BuildError(f"{program} was built but does not start")
    return programs


def _environment(path: Path, *, with_boost: bool) -> Path:
    """A virtual environment with CMake and, if wanted, Boost."""
    if not _script(path, "python").exists():
        try:
            venv.create(path, with_pip=True, clear=True)
        except subprocess.CalledProcessError as error:
            raise BuildError(
                f"no virtual environment with pip could be made (Debian: python3-venv): {error}"
            ) from error
    wanted = [f"cmake=={CMAKE_VERSION}"] + ([f"cmeel-boost=={BOOST_VERSION}"] if with_boost else [])
    hint = "pip could not get CMake and Boost as wheels; with Boost from the system, try --system-boost"
    _run([*_pip(path), "install", "--quiet", "--only-binary", "cmake,cmeel-boost", *wanted], hint)
    return path


def _source(folder: Path, env: Path) -> Path:
    """Downloads and unpacks KenLM's sources. Only ``kenlm`` itself is taken as source: ``:all:`` would make pip
    build CMake from source too, which takes half an hour."""
    wanted = f"kenlm=={KENLM_VERSION}"
    download = [*_pip(env), "download", "--quiet", "--no-deps", "--no-binary", "kenlm", wanted, "-d", str(folder)]
    _run(download, f"pip could not download the sources of {wanted}")
    source = folder / f"kenlm-{KENLM_VERSION}"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(folder / f"kenlm-{KENLM_VERSION}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return source


def _mend(cmake_lists: Path) -> None:
    """Asks for the Boost libraries the two programs link, and for the C++ that today's Boost is written in.

    Boost has had no ``system`` library to link since 1.89; ``unit_test_framework`` is for KenLM's own tests.
    """
    text = cmake_lists.read_text("utf-8")
    text, num_found = re.subn(
        r"(find_package\(Boost [\d.]+ REQUIRED COMPONENTS)[^)]*\)", r"\1 program_options thread)", text
    )
    text, num_standards = re.subn(r"set\(CMAKE_CXX_STANDARD \d+\)", "set(CMAKE_CXX_STANDARD 14)", text)
    if (num_found, num_standards) != (1, 1):
        raise BuildError(f"{cmake_lists} is not the one this script knows (KenLM {KENLM_VERSION})")
    cmake_lists.write_text(text, "utf-8")


def _boost_prefix(env: Path) -> Path:
    found = sorted(env.glob("lib*/python*/site-packages/cmeel.prefix"))
    if not found:
        raise BuildError(f"cmeel-boost left no cmeel.prefix below {env}")
    return found[0]


def _script(env: Path, name: str) -> Path:
    return env / "bin" / name


def _pip(env: Path) -> list[str]:
    return [str(_script(env, "python")), "-m", "pip", "--disable-pip-version-check"]


def _answers(program: Path) -> bool:
    """Whether the program is there and starts: asked for help, both tell of themselves and name ``-o`` or ``-q``."""
    if not program.exists():
        return False
    done = subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    told = done.stdout + done.stderr
    return b"error while loading" not in told and (b" -o " in told or b" -q " in told)


def _run(command: list[str], what_failed: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise BuildError(f"{what_failed}:\n$ {' '.join(command)}\n{tail}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to build; the programs end up in DIR/bin")
    parser.add_argument("--system-boost", action="store_true", help="take the operating system's Boost")
    args = parser.parse_args()
    try:
        for program in build(args.folder, system_boost=args.system_boost):
            print(program)
    except BuildError as error:
        print(f"build_lmplz: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
