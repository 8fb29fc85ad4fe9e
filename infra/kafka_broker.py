"""An Apache Kafka broker of our own, from Maven artifacts, as one KRaft node on loopback."""

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from infra.children import StartError, claim, command_of, free_port, is_free, last_lines, spawn, stop
from infra.topics import MAX_BATCH_BYTES

RECIPES = Path(__file__).parent / "kafka"
CACHE = Path(__file__).parents[1] / ".cache" / "kafka"
OLDEST_JAVA = 17
PATIENCE_SECONDS = 90.0
PREDECESSOR_SECONDS = 20.0
JVM_OPTIONS = ("-Xmx256m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaUnavailable(Exception):
    """This machine lacks what the broker needs; the message says what to install. HTTP works without it."""


class KafkaBroker:
    """One broker over `data_dir/kafka`; `port` None: any free one. Usable as a context manager.

    Jars are fetched once into `cache` and need no network afterwards. Call `start` from a thread that lives as
    long as the broker should (see `children.spawn`).
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, cache: Path = CACHE) -> None:
        self.folder = data_dir.absolute() / "kafka"
        self.log = self.folder / "broker.log"
        self.port = port or free_port()
        self._cache = cache.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the broker; None when it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Fetch, format and start what is not there yet, and wait until it answers.

        Raises KafkaUnavailable without Java or Maven, StartError when something else is in the way.
        """
        if self.pid is not None:
            return
        java = find_java()
        libraries = fetch_jars(self._cache)
        self._wait_for_predecessor()
        claim(self.port, "KAFKA_PORT")
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self._write_properties()
        _format_once(java, libraries, self.folder, properties)
        arguments = [*JVM_OPTIONS, *self._logging(), "-cp", f"{libraries}/*", "kafka.Kafka", str(properties)]
        self._process = spawn([java, *arguments], log=self.folder / "output.log", environment=_small_environment())
        self._wait_until_ready()

    def stop(self) -> None:
        """Hand over, flush and end; harmless when nothing runs."""
        if self._process is not None:
            stop(self._process, [(signal.SIGTERM, 20.0)])
            self._process = None

    @property
    def _pid_file(self) -> Path:
        return self.folder / "broker.pid"

    def _wait_for_predecessor(self) -> None:
        """A broker whose supervisor was killed is on its way out; give it the time."""
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while self._pid_file.exists() and str(self.folder) in (command_of(int(self._pid_file.read_text())) or ""):
            if time.monotonic() > deadline:
                raise StartError(f"another broker serves {self.folder}; stop it or choose another DATA_DIR")
            time.sleep(0.1)

    def _logging(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile=file:{RECIPES}/log4j2.properties", f"-Dlog.file={self.log}"]

    def _write_properties(self) -> Path:
        text = Template((RECIPES / "server.properties").read_text()).substitute(
            port=self.port,
            controller_port=free_port(),
            logs=self.folder / "logs",
            message_bytes=MAX_BATCH_BYTES,
        )
        path = self.folder / "server.properties"
        path.write_text(text)
        return path

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            if self.pid is None or time.monotonic() > deadline:
                self.stop()
                said = last_lines(self.log) + last_lines(self.folder / "output.log")
                raise StartError(f"Kafka did not start; its log {self.log} ends:\n{said}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        if is_free(self.port):
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2000)
        except KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()


def find_java() -> str:
    """Path of a Java that is new enough; KafkaUnavailable where there is none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    advice = f"install Java {OLDEST_JAVA} or newer (Debian: apt-get install openjdk-17-jre-headless)"
    if java is None:
        raise KafkaUnavailable(f"Kafka needs Java, which is not there; {advice}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise KafkaUnavailable(f"Kafka needs a newer Java than {java}; {advice}")
    return java


def fetch_jars(cache: Path) -> Path:
    """The folder of the jars that the pom names, fetched by Maven at the first call for this pom."""
    recipe = RECIPES / "pom.xml"
    libraries = cache / f"jars-{hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]}"
    if libraries.exists():
        return libraries
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Kafka is fetched by Maven, which is not there (Debian: apt-get install maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as draft:
        _copy_dependencies(maven, recipe, Path(draft) / "jars")
        try:
            (Path(draft) / "jars").rename(libraries)
        except OSError:
            if not libraries.exists():  # otherwise another process was first, with the same jars
                raise
    return libraries


def _copy_dependencies(maven: str, recipe: Path, target: Path) -> None:
    arguments = ["-q", "-B", "-ntp", "--strict-checksums", "-f", str(recipe), "dependency:copy-dependencies"]
    done = subprocess.run(
        [maven, *arguments, "-DincludeScope=runtime", f"-DoutputDirectory={target}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[:5])
        raise StartError(f"Maven could not fetch Kafka; the first start needs a network:\n{said}")


def _format_once(java: str, libraries: Path, folder: Path, properties: Path) -> None:
    """Prepare the log folder. The mark comes last: a format cut short is done again, nothing was stored yet."""
    mark = folder / "formatted"
    if mark.exists():
        return
    shutil.rmtree(folder / "logs", ignore_errors=True)
    tool = ["-cp", f"{libraries}/*", "kafka.tools.StorageTool", "format", "--standalone"]
    done = subprocess.run(
        [java, *tool, "--cluster-id", _new_cluster_id(), "-c", str(properties)],
        capture_output=True,
        text=True,
        check=False,
        env=_small_environment(),
    )
    if done.returncode != 0:
        raise StartError(f"Kafka could not format {folder}:\n{done.stdout}{done.stderr}")
    mark.touch()


def _new_cluster_id() -> str:
    """22 characters as Kafka writes identifiers; never a leading dash, which would read as an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return text


def _small_environment() -> dict[str, str]:
    """What Java needs; our own settings, which hold secrets, stay with us."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
