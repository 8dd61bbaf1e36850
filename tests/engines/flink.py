"""Starts a real Flink on this machine: a session cluster with two TaskManagers, and Beam's job server. Each TaskManager
has its own address.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    def __enter__(self) -> Flink:
        for name in ("conf", "tmp", "artifacts"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "log4j.properties").write_text(_LOG)
        (self.folder / "conf" / "config.yaml").write_text(self._config())
        try:
            main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
            self._java("jobmanager", ["-Xmx600m"], main, "--executionMode", "cluster")
            for name in _HOSTS:
                self.back(name)
            self.start("job_server", [
                "java", "-Xmx1g", "-jar", str(self.job_server), f"--flink-master=127.0.0.1:{self.ports[1]}",
                f"--flink-conf-dir={self.folder}/conf", f"--artifacts-dir={self.folder}/artifacts",
                f"--job-port={self.ports[2]}", "--artifact-port=0", "--expansion-port=0",
            ])  # fmt: skip
            self.until(lambda: answers(self.ports[2]), 60, "Beam's job server did not start")
            self.until(lambda: answers(self.ports[1]), 90, "Flink's JobManager did not start")
            self.until(lambda: self._asked("overview")["taskmanagers"] == 2, 90, "the TaskManagers did not register")
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

    def back(self, name: str) -> None:
        """Starts a TaskManager."""
        memory = ["-Xmx900m", "-XX:MaxMetaspaceSize=500m", "-XX:MaxDirectMemorySize=900m"]
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        settings = (f"taskmanager.host={_HOSTS[name]}", f"taskmanager.resource-id={name}")
        self._java(name, memory, main, *(word for setting in settings for word in ("-D", setting)))

    def num_ended(self) -> int:
        """Returns the number of finished tasks, summed over all jobs."""
        return self.log("jobmanager").count("switched from RUNNING to FINISHED")

    def hosts(self) -> set[str]:
        """Returns the addresses of the TaskManagers that have finished a task."""
        return {host for name, host in _HOSTS.items() if "switched from RUNNING to FINISHED" in self.log(name)}

    def _asked(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}/{what}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _java(self, name: str, memory: list[str], main: str, *arguments: str) -> None:
        log = f"-Dlog4j.configurationFile={self.folder}/log4j.properties"
        java = ["java", *memory, *JAVA_OPENS, log, "-cp", f"{self.home}/lib/*", main]
        self.start(name, [*java, "--configDir", f"{self.folder}/conf", *arguments])

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
            "restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": 100,
            "restart-strategy.fixed-delay.delay": "2 s",
            "io.tmp.dirs": self.folder / "tmp", "web.upload.dir": self.folder / "tmp",
        }  # fmt: skip
        return "".join(f"{name}: {value}\n" for name, value in settings.items())
