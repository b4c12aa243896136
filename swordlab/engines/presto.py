"""Presto: SQL over the tables of the Hive metastore and their files in HDFS."""

from pathlib import Path

from swordlab import artifacts
from swordlab.engines.base import Engine, NotReady, properties, site_xml
from swordlab.engines.hdfs import NameNode

PLUGIN = "hive-hadoop2"


class Presto(Engine):
    """One Presto server, coordinator and worker in one, with the catalog hive."""

    name = "presto"
    main = "com.facebook.presto.server.PrestoServer"
    heap = 640
    ports = ("PRESTO_PORT",)
    opens = (
        "java.lang",
        "java.util",
        "java.lang.reflect",
        "java.lang.invoke",
        "java.net",
        "java.io",
        "java.nio",
        "sun.nio.ch",
    )

    def classpath(self) -> list[Path]:
        """The server; the plugin has its own class loader."""
        return artifacts.jars("presto")

    def options(self) -> list[str]:
        """Where the configuration is and what Presto expects of its JVM."""
        return [
            # SIGTERM ends it at once: its own way to stop sleeps 15 s when a query runs, longer than Docker waits, and
            # Presto keeps nothing on disk that it would have to write
            "-Xrs",
            "--add-modules=java.rmi",  # a class-data archive leaves it out, and the management agent needs it
            "-Djdk.attach.allowAttachSelf=true",
            f"-Dconfig={self.state.conf / 'presto' / 'config.properties'}",
            f"-Dlog.levels-file={self.state.conf / 'presto' / 'log.properties'}",
            "-Dnode.environment=lab",
            "-Dnode.id=presto",
            f"-Dnode.data-dir={self.state.data / 'presto'}",
            f"-Dnode.bind-ip={self.bind}",
            "-Dnode.internal-address=presto",
        ]

    def configure(self) -> list[str]:
        """config.properties, the catalog and the plugin folder."""
        folder = self.state.folder("conf/presto")
        port = self.port("PRESTO_PORT")
        properties(
            folder / "log.properties",
            {
                "Bootstrap": "WARN",  # a table of all settings
                "com.facebook.presto": "WARN",
                "com.facebook.airlift": "WARN",
                "com.facebook.airlift.discovery": "OFF",  # it looks for a discovery server all the time
                "org.glassfish": "ERROR",
                "org.apache.hadoop": "ERROR",
            },
        )
        properties(
            folder / "config.properties",
            {
                "coordinator": "true",
                "node-scheduler.include-coordinator": "true",
                "http-server.http.port": port,
                # one node needs no discovery: its start would wait twice for a second for its own server, and for up to
                # five after it "NO_NODES_AVAILABLE" would be the answer to a query
                "discovery-server.enabled": "false",
                "datasources": ",".join(connectors("hive") + connectors("system")),
                "query.max-memory": "200MB",
                "query.max-memory-per-node": "100MB",
                "query.max-total-memory-per-node": "150MB",
                "memory.heap-headroom-per-node": "64MB",
                "plugin.dir": self._plugins(),
                "catalog.config-dir": self._catalog(),
            },
        )
        return []

    def _catalog(self) -> Path:
        folder = self.state.folder("conf/presto/catalog")
        hadoop = site_xml(folder.parent / "core-site.xml", NameNode(self.state, self.environ).settings())
        metastore = self.environ.get("HIVE_THRIFTSERVER") or self.endpoint("METASTORE_URI").removeprefix("thrift://")
        properties(
            folder / "hive.properties",
            {
                "connector.name": PLUGIN,
                "hive.metastore.uri": f"thrift://{metastore}",
                "hive.config.resources": hadoop,
                # a table or file made a moment ago is seen at once
                "hive.metastore-cache-ttl": "0s",
                "hive.metastore-refresh-interval": "0s",
                "hive.allow-drop-table": "true",
            },
        )
        return folder

    def _plugins(self) -> Path:
        """The plugin folder, made of links to the cache."""
        folder = self.state.folder(f"conf/presto/plugin/{PLUGIN}")
        wanted = {jar.name: jar for jar in artifacts.jars("presto-hive")}
        for link in folder.iterdir():
            if wanted.get(link.name) != (link.readlink() if link.is_symlink() else None):
                link.unlink()
        for name, jar in wanted.items():
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(jar)
        return folder.parent

    def probe(self) -> None:
        """The server has loaded its catalogs, and knows a worker that may run a query: itself."""
        if self.get_json(self.port("PRESTO_PORT"), "/v1/info")["starting"]:
            raise NotReady("loading its catalogs")
        if not self.get_json(self.port("PRESTO_PORT"), "/v1/cluster")["activeWorkers"]:
            raise NotReady("its worker has not announced itself yet")


def connectors(catalog: str) -> list[str]:
    """A catalog's connector and the two that Presto adds to it (ConnectorId.java)."""
    return [catalog, f"$info_schema@{catalog}", f"$system@{catalog}"]
