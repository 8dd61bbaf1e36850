"""Plays Dataflow's workers: runs a posted job, and uses only the files that were staged (uploaded) for it.

    python run_staged.py REQUEST.json WORKER_PYTHON FOLDER NUM_WORKERS [--modes=die,split,late]

The request contains the addresses of the pipeline and of every dependency in the store. The script fetches them, and
compares each dependency with its checksum. It installs the sdist (our code) into the workers' environment, like Beam's
boot program. Then Beam's local runner distributes the work to processes of this environment. This tests our code and
the staging, but not Google's service.

With ``--modes``, workers are lost, late, or asked to give work away (:mod:`unkind_runner`). The last line printed has
the numbers of these events. ``--path=FOLDER`` puts a folder before the packages of all workers, and
``--joining_path=FOLDER`` before those of the workers that are started later, as if their image were another one.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_provision_api_pb2, beam_runner_api_pb2
from apache_beam.runners.portability import portable_runner
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from lent_workers import Forks, Plan
from unkind_runner import UnkindRunner


def pipeline_of(request: dict[str, Any]) -> beam_runner_api_pb2.Pipeline:
    """Returns the pipeline whose address is in the request."""
    url = request["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    return beam_runner_api_pb2.Pipeline.FromString(read(url))


def read(url: str) -> bytes:
    with FileSystems.open(url, compression_type="uncompressed") as file:
        return file.read()


def fetch_dependencies(pipeline: beam_runner_api_pb2.Pipeline, folder: Path) -> list[str]:
    """Fetches every dependency of the pipeline's environments once, and compares it with its checksum. Returns the file
    names.
    """
    names = []
    for environment in pipeline.components.environments.values():
        for dependency in environment.dependencies:
            artifact = beam_runner_api_pb2.ArtifactUrlPayload.FromString(dependency.type_payload)
            name = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(dependency.role_payload).staged_name
            if name in names:
                continue
            data = read(artifact.url)
            assert hashlib.sha256(data).hexdigest() == artifact.sha256, name
            (folder / name).write_bytes(data)
            names.append(name)
    return names


def install(names: list[str], folder: Path, worker_python: str) -> None:
    """Installs the sdist into the workers' environment. Does nothing if another job already installed the same sdist.

    Usually the environment already has the dependencies, in the versions that the sdist requires. If CLOUD_FULL_INSTALL
    is set, the environment is empty, and pip downloads them.
    """
    sdist = folder / "workflow.tar.gz"
    assert sdist.name in names, f"nothing to install among {names}"
    mark = folder.parent / f"installed-{hashlib.sha256(sdist.read_bytes()).hexdigest()[:16]}"
    if mark.exists():
        return
    pip = [worker_python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if os.environ.get("CLOUD_FULL_INSTALL"):
        commands = [[*pip, "apache-beam[gcp]==2.77.0"], [*pip, str(sdist)]]  # the first is what Beam's image has
    else:
        commands = [[*pip, "--force-reinstall", "--no-deps", "--no-build-isolation", str(sdist)]]
    for command in commands:
        subprocess.run(command, check=True, cwd=folder, env=without_our_path())
    mark.touch()


def without_our_path() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def run(request: dict[str, Any], given: argparse.Namespace) -> str:
    folder = Path(given.folder)
    staged = folder / "staged"
    staged.mkdir(parents=True, exist_ok=True)
    pipeline = pipeline_of(request)
    names = fetch_dependencies(pipeline, staged)
    install(names, staged, given.worker_python)
    program = f"{shlex.quote(given.worker_python)} -m pipeline.engine.worker"
    command = f"cd {shlex.quote(str(folder))} && exec env -u PYTHONPATH {program}"
    for environment in pipeline.components.environments.values():
        assert environment.urn == "beam:env:docker:v1"
        environment.urn = python_urns.SUBPROCESS_SDK
        environment.payload = command.encode()
        del environment.dependencies[:]
    said = request["environment"]["sdkPipelineOptions"]["options"]
    options = {k: int(v) if isinstance(v, float) and v == int(v) else v for k, v in said.items()}
    provision = beam_provision_api_pb2.ProvisionInfo(
        pipeline_options=portable_runner.JobServiceHandle.encode_pipeline_options(options)
    )
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    info = fn_runner.ExtendedProvisionInfo(provision)
    local = PipelineOptions([])
    local.view_as(DirectOptions).direct_num_workers = given.num_workers
    if given.modes is None:
        runner = fn_runner.FnApiRunner(provision_info=info)
        runner._num_workers = given.num_workers
        return str(runner.run_via_runner_api(pipeline, local).wait_until_finish())
    with unkind_plan(given) as plan:
        state = str(UnkindRunner(info, plan).run_via_runner_api(pipeline, local).wait_until_finish())
        print(json.dumps(plan.counts))
    return state


@contextlib.contextmanager
def unkind_plan(given: argparse.Namespace) -> Iterator[Plan]:
    """Yields the plan of a job whose workers are lost, late or asked to give work away."""
    with tempfile.TemporaryDirectory() as orders, contextlib.ExitStack() as stack:
        forks = []
        for path in dict.fromkeys((given.path, given.joining_path or given.path)):
            forks.append(Forks(given.worker_python, Path(orders), Path(given.folder), path))
            stack.callback(forks[-1].close)
        yield Plan([m for m in given.modes.split(",") if m], forks[0], forks[-1], given.num_workers, Path(orders))


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("request", "worker_python", "folder"):
        parser.add_argument(name)
    parser.add_argument("num_workers", type=int)
    parser.add_argument("--modes")
    parser.add_argument("--path", default="")
    parser.add_argument("--joining_path", default="")
    given = parser.parse_args()
    FileSystems.set_options(PipelineOptions([]))
    state = run(json.loads(Path(given.request).read_text()), given)
    print(state)
    return 0 if state == "DONE" else 1


if __name__ == "__main__":
    sys.exit(main())
