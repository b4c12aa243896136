"""HDFS: NameNode and DataNode, and the client configuration that Hive, Presto and Spark share with them."""

import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any

from swordlab import artifacts
from swordlab.engines.base import Engine, NotReady, site_xml

LIVE_DATANODES = "Hadoop:service=NameNode,name=FSNamesystemState"
NAMENODE = "Hadoop:service=NameNode,name=NameNodeInfo"
SCANNED = ("org/apache/hadoop/hdfs/web/resources/", "org/apache/hadoop/hdfs/server/namenode/web/resources/")
"""The packages of WebHDFS. The NameNode inflates, from end to end, every jar that lists one of these folders."""
UNPACKED = ("webapps/hdfs/", "webapps/static/", "webapps/datanode/")
"""The pages of NameNode and DataNode: each inflates the jar that has them from end to end, to unpack them."""
LISTING = ("hadoop-client-api-", "hadoop-client-minicluster-")
"""The large jars that list them."""
PAGE = Path(__file__).parent / "namenode.html"
"""The one page that the Maven artifact lacks, as it has no .html."""


def client_jars() -> list[Path]:
    """Hadoop's client with its logging: what every engine that speaks to HDFS has on its classpath.

    hadoop-client-minicluster carries the real servers and their web pages; the plain hadoop-hdfs jars lack the pages.
    """
    return [
        *artifacts.spark_jars("hadoop-client-api-*", "hadoop-client-runtime-*"),
        *artifacts.jars("hdfs"),
        *artifacts.spark_jars("slf4j-api*", "log4j-*", "jcl-over*", "jul-to*"),
    ]


def server_jars() -> list[Path]:
    """The same for NameNode and DataNode, with what they search for in a small jar and hidden in the large ones.

    Measured: the search took half of the CPU time of the NameNode's start and a quarter of the DataNode's.
    """
    return [searched_jar(), *(unlisted(jar) if jar.name.startswith(LISTING) else jar for jar in client_jars())]


def searched_jar() -> Path:
    """A jar with what the servers search for: WebHDFS's packages, and the pages."""
    servers = artifacts.jar("hdfs", "hadoop-client-minicluster")

    def write(scratch: Path) -> None:
        with zipfile.ZipFile(servers) as given, zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as jar:
            for name in given.namelist():
                if name.startswith((*SCANNED, *UNPACKED)):
                    jar.writestr(name, given.read(name))
            jar.write(PAGE, "webapps/hdfs/index.html")

    return artifacts.patched(f"searched-{version()}-{servers.name}", write)


def unlisted(given: Path) -> Path:
    """A copy of a jar that does not list the folders which the servers search for; their classes are still there."""

    def write(scratch: Path) -> None:
        shutil.copyfile(given, scratch)
        with zipfile.ZipFile(scratch, "a") as jar:  # writes the list anew, and only that
            jar.filelist = [entry for entry in jar.filelist if entry.filename not in (*SCANNED, *UNPACKED)]
            jar.writestr("META-INF/swordlab.txt", f"{given.name} without the folders {', '.join(SCANNED)}\n")

    return artifacts.patched(f"unlisted-{version()}-{given.name}", write)


def version() -> str:
    """Changes with what the two kinds of jars are made from beside the fetched ones."""
    return hashlib.sha256(repr((SCANNED, UNPACKED, PAGE.read_bytes())).encode()).hexdigest()[:12]


class Hdfs(Engine):
    """What NameNode and DataNode have in common: one configuration, given as -D arguments."""

    def classpath(self) -> list[Path]:
        """Hadoop's client and server."""
        return server_jars()

    def settings(self) -> dict[str, object]:
        """hdfs-site and core-site in one."""
        return {
            "fs.defaultFS": self.endpoint("HDFS_URL"),
            "hadoop.tmp.dir": self.state.tmp / "hadoop",
            "dfs.namenode.name.dir": (self.state.data / "namenode").as_uri(),
            "dfs.datanode.data.dir": (self.state.data / "datanode").as_uri(),
            "dfs.replication": 1,
            "dfs.permissions.enabled": "false",
            "dfs.namenode.rpc-bind-host": self.bind,
            "dfs.namenode.http-address": f"{self.bind}:{self.port('NAMENODE_HTTP_PORT')}",
            "dfs.datanode.address": f"{self.bind}:{self.port('DATANODE_PORT')}",
            "dfs.datanode.http.address": f"{self.bind}:{self.port('DATANODE_HTTP_PORT')}",
            "dfs.datanode.ipc.address": f"{self.bind}:{self.port('DATANODE_IPC_PORT')}",
            "dfs.datanode.hostname": "cloudera",
            "dfs.client.use.datanode.hostname": "true",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.safemode.extension": 0,
            "dfs.heartbeat.interval": 1,
            "dfs.datanode.du.reserved": 0,
            "hadoop.http.staticuser.user": "root",
        }

    def configure(self) -> list[str]:
        """The settings as arguments, and as a file for the engines and tools that want one."""
        settings = self.settings()
        site_xml(self.state.conf / "core-site.xml", settings)
        return [argument for key, value in settings.items() for argument in ("-D", f"{key}={value}")]

    def bean(self, query: str) -> Any:
        """One JMX bean of the NameNode."""
        beans = self.get_json(self.port("NAMENODE_HTTP_PORT"), f"/jmx?qry={query}")["beans"]
        if not beans:
            raise NotReady("the NameNode is loading its image")
        return beans[0]


class NameNode(Hdfs):
    """The NameNode: which files there are and of which blocks."""

    name = "namenode"
    main = "org.apache.hadoop.hdfs.server.namenode.NameNode"
    heap = 256
    ports = ("HDFS_PORT", "NAMENODE_HTTP_PORT")

    def prepare(self) -> tuple[str, list[str]] | None:
        """Format the file system once."""
        if (self.state.data / "namenode" / "current" / "VERSION").exists():
            return None
        return self.main, [*self.configure(), "-format", "-force", "-nonInteractive"]

    def probe(self) -> None:
        """Out of safe mode."""
        if reason := self.bean(NAMENODE)["Safemode"]:
            raise NotReady(f"in safe mode: {reason.splitlines()[0]}")


class DataNode(Hdfs):
    """The DataNode: the blocks themselves."""

    name = "datanode"
    main = "org.apache.hadoop.hdfs.server.datanode.DataNode"
    heap = 192
    ports = ("DATANODE_PORT", "DATANODE_HTTP_PORT", "DATANODE_IPC_PORT")

    def probe(self) -> None:
        """It answers itself, and the NameNode counts it as alive."""
        self.get_json(self.port("DATANODE_HTTP_PORT"), "/jmx?qry=java.lang:type=Runtime")
        if not self.bean(LIVE_DATANODES)["NumLiveDataNodes"]:
            raise NotReady("not registered with the NameNode yet")
