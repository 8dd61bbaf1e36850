"""Starts a real Flink on this machine: a session cluster with two TaskManagers, and Beam's job server. Each TaskManager
has its own address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemons import Daemons, answers, free_ports
from java_engines import JAVA_OPENS

_HOSTS = {"tm1": "127.0.0.2", "tm2": "127.0.0.3"}
_LOG = """rootLogger.level=INFO
rootLogger.appenderRef.console.ref=Console
appender.console.name=Console
appender.console.type=CONSOLE
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1} - %m%n
"""


@dataclass
class Flink(Daemons):
    """Starts and ends a cluster of two TaskManagers. Each has two slots, which is enough for a whole run."""

    home: Path
    job_server: Path
    ports: list[int] = field(default_factory=lambda: free_ports(3))
    _registrations: dict[str, int] = field(default_factory=dict)
    """For each TaskManager, how often it has registered since the first start, once it will have registered again. The
    JobManager counts a killed TaskManager as present for some time, so the present number of TaskManagers says little.
    """

    def __enter__(self) -> Flink:
        for name in ("conf", "tmp", "artifacts"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "log4j.properties").write_text(_LOG)
        (self.folder / "conf" / "config.yaml").write_text(self._config())
        try:
            self.start_jobmanager()
            for name in _HOSTS:
                self.back(name)
            self.start_job_server()
            self.until(lambda: answers(self.ports[1]), 90, "Flink's JobManager did not start")
            self.until_whole()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()

    @property
    def flags(self) -> list[str]:
        """The flags of a run on this engine."""
        return ["--runner=FlinkRunner", f"--job_endpoint=localhost:{self.ports[2]}", "--parallelism=2"]

    def start_jobmanager(self) -> None:
        """Starts the JobManager. TaskManagers that already run register with it."""
        self._registrations = {name: self._num_registered(name) + 1 for name in self._registrations}
        main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._java("jobmanager", ["-Xmx600m"], main, "--executionMode", "cluster")

    def start_job_server(self) -> None:
        """Starts Beam's job server, which sends each job to the JobManager."""
        self.start("job_server", [
            "java", "-Xmx1g", "-jar", str(self.job_server), f"--flink-master=127.0.0.1:{self.ports[1]}",
            f"--flink-conf-dir={self.folder}/conf", f"--artifacts-dir={self.folder}/artifacts",
            f"--job-port={self.ports[2]}", "--artifact-port=0", "--expansion-port=0",
        ])  # fmt: skip
        self.until(lambda: answers(self.ports[2]), 60, "Beam's job server did not start")

    def back(self, name: str, before: Sequence[str] = (), more: Mapping[str, object] | None = None) -> None:
        """Starts a TaskManager. Its command gets the prefix ``before``. ``more`` are settings of Flink."""
        self._registrations[name] = self._num_registered(name) + 1
        memory = ["-Xmx900m", "-XX:MaxMetaspaceSize=500m", "-XX:MaxDirectMemorySize=900m"]
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        settings = {"taskmanager.host": _HOSTS[name], "taskmanager.resource-id": name, **(more or {})}
        words = (word for key, value in settings.items() for word in ("-D", f"{key}={value}"))
        self._java(name, memory, main, *words, before=before)

    def until_whole(self) -> None:
        """Waits until both TaskManagers have registered since they, or the JobManager, were last started."""
        self.until(
            lambda: all(self._num_registered(name) >= number for name, number in self._registrations.items()),
            90, "the TaskManagers did not register",
        )  # fmt: skip

    def num_ended(self) -> int:
        """Returns the number of finished tasks, summed over all jobs."""
        return self.log("jobmanager").count("switched from RUNNING to FINISHED")

    def hosts(self) -> set[str]:
        """Returns the addresses of the TaskManagers that have finished a task."""
        return {host for name, host in _HOSTS.items() if "switched from RUNNING to FINISHED" in self.log(name)}

    def _num_registered(self, name: str) -> int:
        return self.log("jobmanager").count(f"Registering TaskManager with ResourceID {name} ")

    def _java(self, name: str, memory: list[str], main: str, *arguments: str, before: Sequence[str] = ()) -> None:
        log = f"-Dlog4j.configurationFile={self.folder}/log4j.properties"
        java = ["java", *memory, *JAVA_OPENS, log, "-cp", f"{self.home}/lib/*:{self.job_server}", main]
        self.start(name, [*before, *java, "--configDir", f"{self.folder}/conf", *arguments])

    def _config(self) -> str:
        settings = {
            "jobmanager.rpc.address": "127.0.0.1", "jobmanager.rpc.port": self.ports[0],
            "jobmanager.bind-host": "127.0.0.1", "jobmanager.memory.process.size": "1024m",
            "jobmanager.execution.failover-strategy": "region",
            "rest.address": "127.0.0.1", "rest.bind-address": "127.0.0.1", "rest.port": self.ports[1],
            "taskmanager.numberOfTaskSlots": 2, "taskmanager.cpu.cores": 1.0, "taskmanager.load-balance.mode": "SLOTS",
            "taskmanager.memory.framework.heap.size": "128m", "taskmanager.memory.framework.off-heap.size": "128m",
            "taskmanager.memory.task.heap.size": "700m", "taskmanager.memory.task.off-heap.size": "128m",
            "taskmanager.memory.network.min": "512m", "taskmanager.memory.network.max": "512m",
            "taskmanager.network.sort-shuffle.min-buffers": 64,  # per exchange; the first job has dozens
            "taskmanager.memory.managed.size": "300m", "taskmanager.memory.jvm-metaspace.size": "500m",
            "taskmanager.memory.jvm-overhead.min": "200m", "taskmanager.memory.jvm-overhead.max": "200m",
            "heartbeat.interval": 5000, "heartbeat.timeout": 50000,
            "restart-strategy.type": "exponential-delay",
            "restart-strategy.exponential-delay.attempts-before-reset-backoff": 4,
            "restart-strategy.exponential-delay.initial-backoff": "2 s",
            "restart-strategy.exponential-delay.max-backoff": "10 s", "slot.request.timeout": 15_000,
            "classloader.resolve-order": "parent-first",
            "io.tmp.dirs": self.folder / "tmp", "web.upload.dir": self.folder / "tmp",
        }  # fmt: skip
        return "".join(f"{name}: {value}\n" for name, value in settings.items())
