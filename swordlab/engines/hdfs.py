"""HDFS: NameNode and DataNode, and the client configuration that Hive, Presto and Spark share with them."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

from swordlab import artifacts, files
from swordlab.engines.base import Engine, NotReady, site_xml
from swordlab.places import cache_folder

LIVE_DATANODES = "Hadoop:service=NameNode,name=FSNamesystemState"
NAMENODE = "Hadoop:service=NameNode,name=NameNodeInfo"


def client_jars() -> list[Path]:
    """Hadoop's client with its logging: what every engine that speaks to HDFS has on its classpath.

    hadoop-client-minicluster carries the real servers and their web pages; the plain hadoop-hdfs jars lack the pages.
    """
    return [
        *artifacts.spark_jars("hadoop-client-api-*", "hadoop-client-runtime-*"),
        *artifacts.jars("hdfs"),
        *artifacts.spark_jars("slf4j-api*", "log4j-*", "jcl-over*", "jul-to*"),
    ]


def page_jar() -> Path:
    """A jar with the NameNode's web pages: what the Maven artifact has of them, which is no .html, and one page."""
    page = (Path(__file__).parent / "namenode.html").read_bytes()
    target = cache_folder() / "patched" / f"namenode-page-{hashlib.sha256(page).hexdigest()[:12]}.jar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = files.unfinished(target)
        with (
            zipfile.ZipFile(artifacts.jar("hdfs", "hadoop-client-minicluster")) as given,
            zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as jar,
        ):
            for name in given.namelist():
                if name.startswith(("webapps/hdfs/", "webapps/static/")):
                    jar.writestr(name, given.read(name))
            jar.writestr("webapps/hdfs/index.html", page)
        scratch.rename(target)
    return target


class Hdfs(Engine):
    """What NameNode and DataNode have in common: one configuration, given as -D arguments."""

    def classpath(self) -> list[Path]:
        """Hadoop's client and server."""
        return client_jars()

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

    def classpath(self) -> list[Path]:
        """The page before the artifact that lacks it."""
        return [page_jar(), *super().classpath()]

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
