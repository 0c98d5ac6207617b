"""Elasticsearch: one node in a JVM, assembled from its published jars.

It lacks what only the distribution has: scripts, reindexing, security, ingest. It has everything
that the adapter uses.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import ClassVar

from services.local_server import LocalServer, ServerFailed, apt_install, locked

_SOURCES = Path(__file__).parent / "elasticsearch_node"
_ANSWER_WITHIN = 5.0

_MODULES = "org.elasticsearch.server,jdk.net,jdk.management.agent"
_JVM_OPTIONS = (
    "-Xms512m",
    "-Xmx512m",
    "-Xss1m",
    # For tests, a fast start matters more than speed in the long run.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    # The options of the distribution's launcher.
    "-XX:-OmitStackTraceInFastThrow",
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
    "-Djava.locale.providers=SPI,COMPAT",
    "-Des.networkaddress.cache.ttl=60",
    "-Des.networkaddress.cache.negative.ttl=10",
    "-Des.distribution.type=tar",
    "-Djna.nosys=true",
    "-Dio.netty.noUnsafe=true",
    "-Dio.netty.noKeySetOptimization=true",
    "-Dio.netty.recycler.maxCapacityPerThread=0",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dlog4j2.disable.jmx=true",
)
_SETTINGS = (
    # Test machines often have nearly full disks, which is no reason to refuse writes.
    "cluster.routing.allocation.disk.threshold_enabled=false",
    "cluster.max_shards_per_node=5000",
)


class ElasticsearchServer(LocalServer):
    """One node. `port` serves HTTP; the port for other nodes is any free one on loopback.

    It takes about four seconds to start, and about thirty more the first time, for the jars.
    """

    name: ClassVar[str] = "Elasticsearch"

    @property
    def url(self) -> str:
        """The value for the setting ``database.urls``."""
        return f"http://127.0.0.1:{self.port}"

    def install(self) -> None:
        apt_install("java", "openjdk-17-jdk-headless")
        with locked(_home().with_suffix(".lock")):
            if not _home().exists():
                apt_install("javac", "openjdk-17-jdk-headless")
                apt_install("mvn", "maven")
                _build(_home())

    def command(self) -> list[str]:
        home, temporary = _home(), self.directory.resolve() / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        modules = ["-p", str(home / "lib"), "--add-modules", _MODULES]
        launcher = ["-cp", str(home / "classes"), "Launcher", str(home), str(self.port)]
        data = str(self.directory.resolve() / "data")
        options = [*_JVM_OPTIONS, f"-Djava.io.tmpdir={temporary}"]
        return ["java", *options, *modules, *launcher, data, *_SETTINGS]

    def is_ready(self) -> bool:
        url = f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s"
        try:
            with urllib.request.urlopen(url, timeout=_ANSWER_WITHIN) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def _version() -> str:
    found = re.search(
        r"<elasticsearch\.version>(.*)</elasticsearch\.version>", (_SOURCES / "pom.xml").read_text()
    )
    assert found is not None
    return found[1]


def _home() -> Path:
    """Return the folder for this version's jars; it changes when a source file changes."""
    digest = hashlib.sha256()
    for source in (Path(__file__), *sorted(_SOURCES.iterdir())):
        digest.update(source.read_bytes())
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"elasticsearch-{_version()}-{digest.hexdigest()[:12]}"
    return caches / "nexxus-services" / name


def _build(home: Path) -> None:
    """Download the jars and compile our two classes, in the distribution's layout."""
    part = home.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    lib, config, classes = part / "lib", part / "config", part / "classes"
    transport, root = part / "modules" / "transport-netty4", part / "modules" / "root"
    for folder in (lib, config, classes, transport, root, part / "plugins"):
        folder.mkdir(parents=True)
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={lib}")
    _run("mvn", "-B", "-q", "-f", str(_SOURCES / "pom.xml"), *goal)
    # The transport is a separate module with its own class loader.
    for pattern in ("netty-*.jar", "transport-netty4-*.jar", "elasticsearch-ssl-config-*.jar"):
        for jar in lib.glob(pattern):
            jar.rename(transport / jar.name)
    (jar,) = transport.glob("transport-netty4-*.jar")
    _run("jar", "xf", jar.name, "META-INF/es-plugins", cwd=transport)
    for file in (transport / "META-INF" / "es-plugins" / "transport-netty4").iterdir():
        file.rename(transport / file.name)
    shutil.rmtree(transport / "META-INF")
    shutil.copy(_SOURCES / "log4j2.properties", config)
    against = ("-p", str(lib), "--add-modules", "org.elasticsearch.server")
    _run("javac", *against, "-d", str(classes), str(_SOURCES / "Launcher.java"))
    _run("javac", *against, "-d", str(part / "root"), str(_SOURCES / "RootPlugin.java"))
    _run("jar", "cf", str(root / "root.jar"), "-C", str(part / "root"), ".")
    (root / "plugin-descriptor.properties").write_text(
        "name=root\ndescription=GET /\nclassname=root.RootPlugin\njava.version=17\n"
        f"version={_version()}\nelasticsearch.version={_version()}\n"
    )
    part.rename(home)


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = f"{' '.join(command)} said:\n{done.stdout}"
        raise ServerFailed(f"Elasticsearch could not be assembled; {said}")
