"""Tests that flags which a run on many machines needs, but which a user may forget, are reported before anything is
sent.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import run
from pipeline.clean.sizing import scale_of
from pipeline.engine.known_failures import explained
from pipeline.engine.runner import choose_engine, runner_name
from pipeline.models.load import ModelFiles
from pipeline.models.stored_files import StoredFile
from pipeline.preflight.cloud_options import check_machines, check_options
from pipeline.preflight.job_server import Faults, addresses, unanswered
from pipeline.preflight.memory import Need, check_local, foresee
from pipeline.settings.settings import Settings, parse
from pipeline.sources import SOURCES

WHOLE = {
    "--runner": "DataflowRunner", "--project": "my-project", "--region": "us-central1", "--temp_location": "gs://b-1/t",
    "--worker_machine_type": "n2-highmem-8", "--disk_size_gb": "50", "--sdk_container_image": "a.b/c/mixture:1-py3.11",
    "--input": "books=gs://b-1/books/*.txt", "--output": "gs://b-1/out", "--phase": "clean",
}  # fmt: skip


def settings(**changes: str | None) -> Settings:
    flags = {**WHOLE, **{f"--{name}": value for name, value in changes.items()}}
    return parse([f"{name}={value}" for name, value in flags.items() if value is not None])


def faults(**changes: str | None) -> list[str]:
    made = settings(**changes)
    try:
        check_options(made, choose_engine(made.beam_args))
    except Faults as error:
        return [f for f in error.faults if "Dataflow client is not installed" not in f]
    return []


def test_a_whole_request_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"project": None}, "--project is missing"),
        ({"project": "123456789012"}, "a project's number; give its id"),
        ({"project": "My_Project"}, "not a project's id"),
        ({"region": None}, "--region is missing"),
        ({"region": "us-cental1"}, "did you mean us-central1?"),
        ({"region": "us-central1-a"}, "is a zone; write its region, us-central1"),
        ({"region": "Frankfurt"}, "is not a region"),
        ({"temp_location": None}, "--temp_location is missing"),
        ({"temp_location": "/tmp/x"}, "--temp_location=/tmp/x is not a folder in a bucket"),
        ({"staging_location": "gs://UPPER/x"}, "--staging_location=gs://UPPER/x is not"),
        ({"worker_machine_type": None}, "--worker_machine_type is missing"),
        ({"worker_machine_type": "n2-hihgmem-8"}, "did you mean n2-highmem-8?"),
        ({"worker_machine_type": "large"}, "is not a machine type"),
        ({"disk_size_gb": "10"}, "--disk_size_gb=10: "),
        ({"sdk_container_image": None}, "would not have this package"),
        ({"sdk_container_image": None, "setup_file": "./no.py"}, "--setup_file=./no.py: there is no such file"),
        ({"sdk_container_image": "apache/beam_python3.11_sdk:2.77.0"}, "Beam's own image, without this package"),
        ({"sdk_container_image": "a.b/c/mixture:1-py3.9"}, "is of Python 3.9"),
        ({"output": "out"}, "--output out is this machine's own disk"),
        ({"input": "books=/data/*.txt"}, "--input books=/data/*.txt is this machine's own disk"),
        ({"job_name": "Not_A_Name"}, "--job_name=Not_A_Name"),
        ({"template_location": "gs://b-1/t"}, "--template_location: a run is several jobs"),
    ],
)  # fmt: skip
def test_each_slip_is_one_line(changes: dict[str, str | None], said: str) -> None:
    found = faults(**changes)
    assert len(found) == 1, found
    assert said in found[0]
    assert "\n" not in found[0]


def test_models_of_this_machine_need_an_image(tmp_path: Path) -> None:
    assert faults(models=str(tmp_path)) == []
    (found,) = faults(models=str(tmp_path), sdk_container_image=None, setup_file=__file__)
    assert "copy it to gs://" in found


def test_other_flags_of_beam_pass() -> None:
    more = ["--flexrs_goal=COST_OPTIMIZED", "--streaming", "--no_use_public_ips", "--max_num_workers=7", "--label=a=b"]
    made = parse([*(f"{n}={v}" for n, v in WHOLE.items()), *more, "--dataflow_service_options=x"])
    options = choose_engine(made.beam_args).options_of("clean").get_all_options()
    assert options["flexrs_goal"] == "COST_OPTIMIZED"
    assert options["streaming"] is True
    assert options["use_public_ips"] is False
    assert options["max_num_workers"] == 7
    assert options["job_name"].startswith("mixture-")
    assert options["job_name"].endswith("-clean")


def test_the_command_prints_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    status = run.main(["--runner=DataflowRunner", "--input=books=gs://b-1/x", "--output=gs://b-1/out"])
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert status == 2
    assert len(lines) >= 4
    assert all(line.startswith("error: DataflowRunner: ") for line in lines), lines


REFUSED = (
    "DaskRunner dask apache_beam.runners.dask.dask_runner.DaskRunner RayRunner PrismRunner InteractiveRunner "
    "beam_pyspark_runner.pyspark_runner.PySparkRunner"
)


@pytest.mark.parametrize("name", REFUSED.split())
def test_runners_that_lose_data_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([f"--runner={name}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: --runner={name} is refused: ")
    assert said.count("\n") == 1


def test_runner_names() -> None:
    assert [runner_name(n) for n in ("dataflow", "FLINKRUNNER", "DirectRunner")] == [
        "DataflowRunner", "FlinkRunner", "DirectRunner",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="did you mean DataflowRunner"):
        runner_name("DataflwRunner")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--runner=PortableRunner"], "--job_endpoint is missing"),
        (["--runner=PortableRunner", "--job_endpoint=x:1", "--environment_type=EXTERNAL"], "_config is missing"),
        (["--runner=FlinkRunner", "--job_endpoint=x:1"], "would not have this package"),
        (["--runner=SparkRunner", "--job_endpoint=x:1", "--environment_config=apache/beam_python3.11_sdk:1"], "own"),
    ],
)  # fmt: skip
def test_portable_runners(flags: list[str], said: str) -> None:
    made = parse([*flags, "--input=books=/x", "--phase=clean"])
    with pytest.raises(Faults, match=said):
        check_options(made, choose_engine(made.beam_args))


SERVER = ["--input=books=/x", "--phase=clean", "--environment_type=PROCESS", '--environment_config={"command": "/b"}']


def server_faults(*flags: str) -> list[str]:
    made = parse([*SERVER, *flags])
    try:
        check_options(made, choose_engine(made.beam_args))
    except Faults as error:
        return error.faults
    return []


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_is_told(listening: str, silent: str) -> None:
    assert server_faults("--runner=PortableRunner", f"--job_endpoint={listening}") == []
    (found,) = server_faults("--runner=PortableRunner", f"--job_endpoint={silent}")
    assert found.startswith(f"PortableRunner: --job_endpoint={silent}: nothing answers there (Connection refused)")
    assert "not an address" in server_faults("--runner=PortableRunner", "--job_endpoint=localhost")[0]
    assert server_faults("--runner=FlinkRunner", f"--job_endpoint={listening}", f"--flink_master={silent}") == []
    assert unanswered("localhost:0") == unanswered(":8099") == "not an address; write HOST:PORT"


@pytest.mark.skipif(shutil.which("java") is None, reason="needs java: Beam would start its job server")
def test_a_master_that_does_not_answer_is_told(listening: str, silent: str, tmp_path: Path) -> None:
    assert server_faults("--runner=FlinkRunner", f"--flink_master={listening}") == []
    assert server_faults("--runner=SparkRunner", f"--spark_master_url=spark://{listening},other:7077") == []
    (found,) = server_faults("--runner=FlinkRunner", f"--flink_master=http://{silent}")
    assert f"--flink_master={silent}: nothing answers there" in found
    (found,) = server_faults("--runner=SparkRunner", f"--spark_master_url=spark://{silent}")
    assert f"--spark_master_url={silent}: nothing answers there" in found
    jar = f"--flink_job_server_jar={tmp_path}/none.jar"
    assert "there is no such file" in server_faults("--runner=FlinkRunner", jar)[0]


def test_a_boot_program_is_named_in_json(listening: str) -> None:
    flags = ["--runner=PortableRunner", f"--job_endpoint={listening}"]
    for wrong in ("/path/boot.sh", "{}", "[1]", '{"command": ""}'):
        (found,) = server_faults(*flags, f"--environment_config={wrong}")
        assert "it is JSON that names the boot program" in found


def test_options_of_the_runners(listening: str) -> None:
    """Flink and Spark have options that only the job server knows. Beam's Python package would reject them as
    unknown.
    """
    flink = ["--execution_mode_for_batch=BATCH_FORCED", "--max_bundle_size", "100", "--object_reuse"]
    spark = ["--storage_level", "MEMORY_AND_DISK", "--bundle_size=0"]
    endpoint = f"--job_endpoint={listening}"
    assert server_faults("--runner=FlinkRunner", endpoint, *flink) == []
    assert server_faults("--runner=SparkRunner", endpoint, *spark) == []
    assert server_faults("--runner=PortableRunner", endpoint, *flink, *spark) == []
    (found,) = server_faults("--runner=FlinkRunner", endpoint, "--storage_level=x")
    assert found == "FlinkRunner: --storage_level is an option of SparkRunner, which this runner does not have"
    assert "--object_reuse is an option of FlinkRunner" in server_faults("--object_reuse")[0]
    with pytest.raises(ValueError, match="did you mean --execution_mode_for_batch"):
        parse([*SERVER, "--execution_mode_for_bach=BATCH_FORCED"])


def test_a_running_job_server_knows_its_master() -> None:
    flags = ["--runner=SparkRunner", "--spark_master_url=spark://one:7077"]
    assert addresses(choose_engine(flags)) == [("--spark_master_url", "one:7077")]
    assert addresses(choose_engine([*flags, "--job_endpoint=h:1"])) == [("--job_endpoint", "h:1")]


def need(**models: Any) -> Need:
    return foresee([(SOURCES["common_crawl"], models, scale_of(8 * 10**12), 8 * 10**12)])


def test_memory_is_compared_with_the_machine() -> None:
    big = StoredFile("gs://b/reference.bin", 4 * 10**9, "0" * 64)
    lm = ModelFiles((("en.arpa.bin", StoredFile("gs://b/en.arpa.bin", 4 * 10**9, "1" * 64)),))
    engine = choose_engine(settings(disk_size_gb="100").beam_args)
    check_machines(engine, need(perplexity=lm, reference=StoredFile("gs://b/r.ftz", 10**8, "2" * 64)))
    small = choose_engine(settings(worker_machine_type="n1-highcpu-8", disk_size_gb="100").beam_args)
    with pytest.raises(
        Faults, match=r"n1-highcpu-8 has 7.2 GB, its 8 processes need .* GB .*use --worker_machine_type="
    ):
        check_machines(small, need(perplexity=lm))
    with pytest.raises(Faults, match="n2-custom-8-"):
        check_machines(small, need(reference=StoredFile("gs://b/r.bin", 40 * 10**9, "3" * 64)))
    with pytest.raises(Faults, match=r"--disk_size_gb=25 \(the default\)"):
        check_machines(choose_engine(settings(disk_size_gb=None).beam_args), need(reference=big))


def test_local_memory_is_foreseen() -> None:
    wanted = need()
    check_local(wanted, 2, available=wanted.machine_bytes(2) + (1 << 30))
    with pytest.raises(
        ValueError, match=r"memory: 8 worker processes of .* need .* GB, .* free here; use --direct_num_workers=2"
    ):
        check_local(wanted, 8, available=wanted.machine_bytes(2) + (400 << 20))
    with pytest.raises(ValueError, match="a machine with more memory"):
        check_local(wanted, 1, available=100 << 20)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ModuleNotFoundError: No module named 'pipeline' [while running 'x']", "workers do not have this package"),
        ("AttributeError: Can't get attribute '_New' on <module 'pipeline.clean.passes' from '/x/passes.py'>",
         "do not run what was started here (their pipeline.clean.passes has no _New): give the workers the same"),
        ("ModuleNotFoundError: No module named 'pipeline.clean.new' [while running 'x']",
         "do not run what was started here (their package has no pipeline.clean.new): give"),
        ("pipeline.engine.same_code.StaleWorker: the workers do not run what was started here (numpy 1 in place "
         "of 2): build again [while running 'y']\n  File", "numpy 1 in place of 2"),
        ("ValueError: /opt/models/en.arpa.bin: no such file; get it with", "/opt/models/en.arpa.bin: no such file"),
        ("RuntimeError: Unable to fetch remote job server jar at https://h/a/job-server.jar: HTTP Error 404",
         "cannot be downloaded from https://h/a/job-server.jar: fetch it elsewhere"),
        ("Pipeline j failed in state FAILED: Error running pipeline.\n details = \"failed to connect to all addresses; "
         "last error: UNKNOWN: ipv4:127.0.0.2:52010: Failed to connect to remote host: Connection refused\"\n",
         "the job service at 127.0.0.2:52010 was lost"),
        ("RuntimeError: Service failed to start up with error 1", "job server ended as soon as it was started"),
        ("Pipeline j failed in state FAILED: java.lang.IllegalStateException: Process died with exit code 1",
         "a worker ended as soon as it was started, with status 1"),
        ("Pipeline j failed in state FAILED: java.lang.IllegalStateException: Process died with exit code 137",
         "a worker was killed, most likely because its host had no memory left"),
        ("Pipeline j failed in state FAILED: java.io.IOException: error=2, No such file or directory",
         "cannot start the command of --environment_config (No such file or directory)"),
        ('NullPointerException: the return value of "org.apache.spark.SparkContext.dagScheduler()" is null',
         "Spark's master does not answer"),
        ("state FAILED: java.io.IOException: Insufficient number of network buffers: required 512",
         "set taskmanager.network.sort-shuffle.min-buffers: 64"),
        ("state FAILED: java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id tm2 timed out.",
         "Flink lost the TaskManager tm2"),
        ("java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.", "master does not answer"),
        ("state FAILED: java.lang.IllegalArgumentException: Normalized-Key sorter requires at least 3 memory buffers.",
         "raise taskmanager.memory.managed.size"),
        ("state FAILED: java.util.concurrent.TimeoutException: Timeout has occurred: 15000 ms", "too few free slots"),
        ("java.lang.RuntimeException: No client connected within timeout", "a worker could not begin a step"),
        ("state FAILED: java.net.ConnectException: Connection refused", "JobManager does not answer the job server"),
        ("state FAILED: java.lang.OutOfMemoryError: Java heap space", "no memory left (Java heap space)"),
        ("OSError: [Errno 28] No space left on device", "in the temporary folder (TMPDIR) of each worker"),
        ("state FAILED: java.io.IOException: No space left on device", "io.tmp.dirs of Flink"),
        ("RuntimeError: Lost worker: its line was closed", "ended before its work was done"),
        ("message: ImagePullBackOff for a/b", "worker image cannot be pulled"),
    ],
)  # fmt: skip
def test_failures_of_workers_in_one_line(raised: str, said: str) -> None:
    found = explained(RuntimeError(raised))
    assert found is not None
    assert said in found
    assert "\n" not in found
    assert explained(RuntimeError("something else")) is None
