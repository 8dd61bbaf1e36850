"""Builds KenLM's ``lmplz`` and ``build_binary``, which the Python distributions of KenLM do not contain.

    python samples/build_lmplz.py DIR            # puts the programs into DIR, in about a minute
    python samples/build_lmplz.py DIR --system-boost

The script needs CPython with pip, a C++ compiler and the package index, from which it downloads about 90 MB. Nothing
else must be installed by hand: CMake and Boost are installed as wheels (``cmake``, ``cmeel-boost``) into a temporary
environment. The sources are those of the ``kenlm`` source distribution. A machine without a network can take all of
them from a folder; docs/models.md has the commands. Boost's libraries are copied into the folder of the programs. If
Boost has no wheel for the machine, ``--system-boost`` uses the Boost of the operating system (on Debian:
libboost-program-options-dev libboost-thread-dev). If the programs exist, building again does nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

KENLM_VERSION = "0.3.0"
CMAKE_VERSION = "4.4.4"
BOOST_VERSION = "1.90.0"
PROGRAMS = ("lmplz", "build_binary")
MAX_NGRAM_ORDER = 6
LIBRARY_FOLDER = "kenlm-libraries"
BOOST_LIBRARIES = ("program_options", "thread", "chrono", "atomic", "container", "date_time")


_PERCENT = re.compile(r"\[ *(\d+)%\]")
"""Matches the progress that CMake prints before a line of the build."""
_PERCENT_STEP = 10
_TAIL_LINES = 25
"""The number of last lines of a failed program that are shown."""


_NO_NETWORK = "without a network, take the files from a folder with PIP_FIND_LINKS (docs/models.md)"


class BuildError(Exception):
    """Raised if something outside of this script is missing or failed. The message says what to do."""


def build(folder: Path, *, system_boost: bool = False) -> list[Path]:
    """Builds the programs into ``folder`` and returns their paths. If the programs exist and can be started, nothing is
    built.

    Raises:
        BuildError: the compiler, pip or the package index is missing, or the compiler failed. The message contains the
            last lines that the compiler printed.
    """
    programs = [folder.resolve() / name for name in PROGRAMS]
    if all(_starts(program) for program in programs):
        return programs
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if not compiler:
        raise BuildError("no C++ compiler: install one (on Debian: apt-get install g++) or set CXX")
    say = _Clock()
    with tempfile.TemporaryDirectory(prefix="kenlm-") as scratch:
        what = "CMake" if system_boost else "CMake and Boost"
        say(f"downloading {what} from the package index into a temporary environment")
        env = _environment(Path(scratch, "env"), with_boost=not system_boost)
        say(f"downloading the sources of KenLM {KENLM_VERSION}")
        source = _source(Path(scratch), env)
        _mend(source / "CMakeLists.txt")
        build_dir = Path(scratch, "build")
        cmake = str(_script(env, "cmake"))
        prefix = None if system_boost else _boost_prefix(env)
        _run([cmake, *_settings(source, build_dir, compiler, prefix)], "CMake could not configure KenLM")
        num_jobs = os.cpu_count() or 1
        say(f"compiling {' and '.join(PROGRAMS)} with {num_jobs} processes")
        build_command = [cmake, "--build", str(build_dir), "--parallel", str(num_jobs), "--target", *PROGRAMS]
        _run(build_command, "the compiler failed on KenLM", say)
        folder.mkdir(parents=True, exist_ok=True)
        if prefix is not None:
            _copy_boost(prefix / "lib", folder / LIBRARY_FOLDER)
        for program in programs:
            shutil.copy2(build_dir / "bin" / program.name, program)
    for program in programs:
        if not _starts(program):
            raise BuildError(f"{program} was built but does not start")
    return programs


def _settings(source: Path, build_dir: Path, compiler: str, boost: Path | None) -> list[str]:
    """Returns CMake's arguments. They turn off the compression libraries, because the programs only read plain text."""
    settings = ["-S", str(source), "-B", str(build_dir), "-DCMAKE_BUILD_TYPE=Release"]
    settings += [f"-DCMAKE_CXX_COMPILER={compiler}", f"-DKENLM_MAX_ORDER={MAX_NGRAM_ORDER}", "-DENABLE_INTERPOLATE=OFF"]
    settings += [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("Eigen3", "ZLIB", "BZip2", "LibLZMA")]
    if boost is not None:
        # The programs find the libraries in the folder beside them, even if it is moved. Boost needs the old tags.
        settings += [f"-DCMAKE_PREFIX_PATH={boost}", "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON"]
        settings += [
            f"-DCMAKE_INSTALL_RPATH=$ORIGIN/{LIBRARY_FOLDER}",
            "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags",
        ]
    return settings


def _copy_boost(source: Path, target: Path) -> None:
    """Copies the Boost libraries that the programs link, directly or indirectly."""
    target.mkdir(parents=True, exist_ok=True)
    for name in BOOST_LIBRARIES:
        found = sorted(source.glob(f"libboost_{name}.so.*"))
        if not found:
            raise BuildError(
                f"{source} has no libboost_{name}: not the cmeel-boost this script knows ({BOOST_VERSION})"
            )
        for library in found:
            shutil.copy2(library, target / library.name)


def _environment(path: Path, *, with_boost: bool) -> Path:
    """Creates a virtual environment with CMake and, if requested, Boost. Returns its path."""
    if not _script(path, "python").exists():
        try:
            venv.create(path, with_pip=True, clear=True)
        except subprocess.CalledProcessError as error:
            raise BuildError(
                f"no virtual environment with pip could be made (Debian: python3-venv): {error}"
            ) from error
    wanted = [f"cmake=={CMAKE_VERSION}"] + ([f"cmeel-boost=={BOOST_VERSION}"] if with_boost else [])
    hint = f"pip could not get CMake and Boost as wheels; with Boost from the system, try --system-boost; {_NO_NETWORK}"
    _run([*_pip(path), "install", "--quiet", "--only-binary", "cmake,cmeel-boost", *wanted], hint)
    return path


def _source(folder: Path, env: Path) -> Path:
    """Downloads and unpacks KenLM's sources. Returns their folder.

    Only ``kenlm`` itself is downloaded as source. If pip were told to use source for all packages (``:all:``), it would
    also build CMake, which takes half an hour.
    """
    wanted = f"kenlm=={KENLM_VERSION}"
    download = [*_pip(env), "download", "--quiet", "--no-deps", "--no-binary", "kenlm", wanted, "-d", str(folder)]
    _run(download, f"pip could not download the sources of {wanted}; {_NO_NETWORK}")
    source = folder / f"kenlm-{KENLM_VERSION}"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(folder / f"kenlm-{KENLM_VERSION}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return source


def _mend(cmake_lists: Path) -> None:
    """Changes KenLM's CMake file so that it works with today's Boost.

    The file then requires C++ 14, as Boost does, and links only the needed libraries of Boost. Since version 1.89,
    Boost has no library ``system`` to link. The library ``unit_test_framework`` is only for KenLM's own tests.
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


def _starts(program: Path) -> bool:
    """True if the program exists and can be started. A program that starts prints its flag ``-o`` or ``-q`` if it is
    called with ``--help``.
    """
    if not program.exists():
        return False
    done = subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    told = done.stdout + done.stderr
    return b"error while loading" not in told and (b" -o " in told or b" -q " in told)


def _run(command: list[str], what_failed: str, say: Callable[[str], None] | None = None) -> None:
    """Runs a program. Calls ``say`` at each tenth of the progress that the program prints. Raises BuildError if it
    fails.
    """
    lines: list[str] = []
    told = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        assert program.stdout is not None
        for line in program.stdout:
            lines = [*lines[1 - _TAIL_LINES :], line.rstrip("\n")]
            found = _PERCENT.match(line)
            if say is not None and found and int(found[1]) >= told + _PERCENT_STEP:
                told = int(found[1]) // _PERCENT_STEP * _PERCENT_STEP
                say(f"{told} % compiled")
    if program.returncode:
        tail = "\n".join(lines)
        raise BuildError(f"{what_failed}:\n$ {' '.join(command)}\n{tail}")


class _Clock:
    """Prints lines with the seconds since its start. The lines go to stderr, because stdout gets only the paths of the
    programs.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        print(f"build_lmplz {time.monotonic() - self._started:4.0f} s  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the programs are put")
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
