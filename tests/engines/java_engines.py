"""Gets Spark and Flink from their packages on PyPI, and builds Beam's job servers for them with Maven.

The results are stored in the cache of the engines' tests, so each is made only once. As a program
(``python tests/engines/java_engines.py FOLDER``) it fills the cache. What it cannot get it reports, and the tests that
need it are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daemons import Unavailable

ROOT = Path(__file__).resolve().parents[2]
POM = ROOT / "cluster" / "job_server.xml"
CACHE = Path(os.environ.get("ENGINES_CACHE", ROOT / ".cache" / "engines"))
"""The folder in which downloaded and built engines are kept for later runs of the tests."""
SPARK = "pyspark==3.5.9"
FLINK = {"1.20": "apache-flink-libraries==1.20.5", "1.19": "apache-flink-libraries==1.19.3"}
"""The packages of Flink by its minor version."""
FLINK_VERSION = os.environ.get("FLINK_VERSION", "1.20")
"""The minor version of Flink that the tests start. Set the variable to test another one."""
BEAM = "2.62.0"
"""The version of Beam for the job servers. It is the newest version that could be built for both engines. Its newest
library for Flink is that for 1.19, which also runs on 1.20."""
JAVA_OPENS = tuple(
    f"--add-opens=java.base/{name}=ALL-UNNAMED"
    for name in (
        "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text",
        "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
        "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar",
    )
)  # fmt: skip
"""Flags that let Spark and Flink use internal packages of Java 17. Usually the start scripts of Spark and Flink set
these flags, but the packages on PyPI have no start scripts.
"""
_SECONDS = 900


def engine_home(cache: Path, requirement: str) -> Path:
    """Downloads Spark's or Flink's sdist from PyPI. Returns a folder with its jars: in ``jars`` (Spark) or ``lib``
    (Flink).
    """
    home = cache / requirement.replace("==", "-")
    if home.exists():
        return home
    with tempfile.TemporaryDirectory(dir=_made(cache)) as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--dest", folder]
        _run([*pip, requirement], f"the package index does not serve {requirement}")
        (sdist,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(sdist) as tar:
            tar.extractall(folder, filter="data")
        (deps,) = Path(folder).glob("*/deps")
        shutil.move(deps, home)
    return home


def job_server(cache: Path, requirement: str) -> Path:
    """Builds Beam's job server with Maven, for an engine's package and version. Returns its jar."""
    package, version = requirement.split("==")
    kind = "spark" if package == "pyspark" else "flink"
    jar = cache / f"beam-{kind}-job-server-{package}-{version}-{BEAM}.jar"
    if jar.exists():
        return jar
    if shutil.which("mvn") is None or shutil.which("java") is None:
        raise Unavailable("mvn and java are needed to build Beam's job server")
    with tempfile.TemporaryDirectory(dir=_made(cache)) as folder:
        maven = ["mvn", "--quiet", "--batch-mode", "-f", str(POM), "-P", kind, f"-Dbeam.version={BEAM}"]
        _run([*maven, f"-D{kind}.version={version}", f"-Dout={folder}", "package"],
             f"Maven could not build the job server of Beam {BEAM} for {kind} {version}")  # fmt: skip
        shutil.move(Path(folder) / f"beam-{kind}-job-server.jar", jar)
    return jar


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: Sequence[str], complaint: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{complaint} within {_SECONDS} s") from None
    if done.returncode:
        raise Unavailable(f"{complaint}: {(done.stderr + done.stdout).strip()[:300]}")


if __name__ == "__main__":
    for wanted in (SPARK, FLINK[FLINK_VERSION]):
        try:
            print(engine_home(Path(sys.argv[1]), wanted), job_server(Path(sys.argv[1]), wanted))
        except Unavailable as error:
            print(f"{wanted}: {error}", file=sys.stderr)
