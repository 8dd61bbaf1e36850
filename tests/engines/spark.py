"""Starts a real Spark on this machine: a standalone master, two workers, and Beam's job server. Each worker has its own
address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemons import Daemons, answers, free_ports
from java_engines import JAVA_OPENS

_HOSTS = {"w1": "127.0.0.2", "w2": "127.0.0.3"}


@dataclass
class Spark(Daemons):
    """Starts and ends a cluster of two workers with one core each."""

    home: Path
    job_server: Path
    ports: list[int] = field(default_factory=lambda: free_ports(3))
    _registrations: dict[str, int] = field(default_factory=dict)
    """For each worker, how often it has registered since the first start, once it will have registered again."""

    def __enter__(self) -> Spark:
        try:
            self._java("master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1",
                       "--port", str(self.ports[0]), "--webui-port", str(self.ports[1]))  # fmt: skip
            self.until(lambda: answers(self.ports[1]), 60, "Spark's master did not start")
            for name in _HOSTS:
                self.back(name)
            self.start_job_server()
            self.until_whole()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "SPARK_HOME": str(self.home), "SPARK_SCALA_VERSION": "2.12"}

    @property
    def flags(self) -> list[str]:
        """The flags of a run on this engine."""
        return ["--runner=SparkRunner", f"--job_endpoint=localhost:{self.ports[2]}"]

    def start_job_server(self) -> None:
        """Starts Beam's job server, which runs the driver of each Spark application."""
        settings = {
            "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.executor.memory": "1200m",
            "spark.ui.enabled": "false",
        }  # fmt: skip
        self.start("job_server", [
            "java", "-Xmx1g", *(f"-D{name}={value}" for name, value in settings.items()), "-jar", str(self.job_server),
            f"--spark-master-url=spark://127.0.0.1:{self.ports[0]}", f"--artifacts-dir={self.folder}/artifacts",
            f"--job-port={self.ports[2]}", "--artifact-port=0", "--expansion-port=0",
        ])  # fmt: skip
        self.until(lambda: answers(self.ports[2]), 60, "Beam's job server did not start")

    def back(self, name: str, before: Sequence[str] = ()) -> None:
        """Starts a worker. Its command gets the prefix ``before``."""
        self._registrations[name] = self._num_registered(name) + 1
        self._java(
            name, "org.apache.spark.deploy.worker.Worker", "--host", _HOSTS[name], "--cores", "1", "--memory", "3000m",
            "--work-dir", f"{self.folder}/work-{name}", "--webui-port", "0", f"spark://127.0.0.1:{self.ports[0]}",
            before=before, SPARK_LOCAL_IP=_HOSTS[name], SPARK_LOCAL_DIRS=str(self.local_folder(name)),
        )  # fmt: skip

    def local_folder(self, name: str) -> Path:
        """Returns the folder in which the executors of a worker keep shuffled data."""
        return self.folder / f"local-{name}"

    def until_whole(self) -> None:
        """Waits until both workers have registered since they were last started."""
        self.until(
            lambda: all(self._num_registered(name) >= number for name, number in self._registrations.items()),
            90, "Spark's workers did not register",
        )  # fmt: skip

    def num_ended(self) -> int:
        """Returns the number of finished tasks, summed over all jobs."""
        return self.log("job_server").count(": Finished task ")

    def hosts(self) -> set[str]:
        """Returns the addresses of the workers that have finished a task."""
        return set(re.findall(r"Finished task \S+ in stage \S+ \(TID \d+\) in \d+ ms on (\S+)", self.log("job_server")))

    def _num_registered(self, name: str) -> int:
        return self.log("master").count(f"Registering worker {_HOSTS[name]}:")

    def _java(self, name: str, main: str, *arguments: str, before: Sequence[str] = (), **env: str) -> None:
        java = ["java", "-Xmx256m", *JAVA_OPENS, "-cp", f"{self.home}/jars/*", main]
        self.start(name, [*before, *java, *arguments], **env)
