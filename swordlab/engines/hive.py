"""Hive: the metastore, which knows the tables, and HiveServer2, which runs HiveQL."""

import struct
import zipfile
from pathlib import Path

from swordlab import artifacts
from swordlab.engines.base import Engine, NotReady, site_xml
from swordlab.engines.hdfs import client_jars

HIVE_EXEC = "hive-exec"
PATCHED_CLASS = "org/apache/hadoop/hive/ql/exec/SerializationUtilities$ArrayListSubListSerializer.class"

SYSTEM_CLASSES = (
    "-org.apache.hadoop.hive.,-org.apache.hadoop.fs.ProxyFileSystem,-org.apache.hadoop.fs.ProxyLocalFileSystem,"
    "java.,javax.accessibility.,-javax.el.,-javax.jdo.,-javax.servlet.,-javax.transaction.,javax.,"
    "org.xml.sax.,org.w3c.dom.,org.apache.hadoop.,org.slf4j.,org.apache.logging.log4j.,org.apache.commons.logging."
)
"""What Hadoop's class loader takes from Hadoop, and (with a minus) what from Hive's own jars."""


def flat_jars() -> list[Path]:
    """Hadoop's client and Hive on one classpath; Hadoop's logging wins over Hive's older one."""
    own = artifacts.jars("hive", without=("log4j-slf4j", "slf4j-api", "log4j:log4j", "logging.log4j"))
    return [*client_jars(), *own, *artifacts.spark_jars("commons-lang3-*")]


class Hive(Engine):
    """What both have in common: hive-site.xml and the packages that Hive reaches into."""

    opens = (
        "java.lang",
        "java.util",
        "java.util.concurrent",
        "java.util.concurrent.atomic",
        "java.net",
        "java.nio",
        "java.io",
        "java.lang.reflect",
        "java.util.regex",
        "java.time",
    )

    def settings(self) -> dict[str, object]:
        """hive-site."""
        local = self.state.tmp / "hive"
        return {
            "fs.defaultFS": self.endpoint("HDFS_URL"),
            "dfs.client.use.datanode.hostname": "true",
            "dfs.replication": 1,
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.state.data / 'metastore'};create=true",
            "javax.jdo.option.ConnectionDriverName": "org.apache.derby.jdbc.EmbeddedDriver",
            "datanucleus.schema.autoCreateAll": "true",
            "hive.metastore.schema.verification": "false",
            "hive.metastore.uris": self.endpoint("METASTORE_URI"),
            "hive.metastore.warehouse.dir": "/user/hive/warehouse",
            "hive.metastore.event.db.notification.api.auth": "false",
            "metastore.task.threads.always": "org.apache.hadoop.hive.metastore.events.EventCleanerTask",
            # with the cache on, HiveServer2 waits a minute for a folder that is not there
            "hive.query.results.cache.enabled": "false",
            "hive.execution.engine": "mr",
            "mapreduce.framework.name": "local",
            "hive.exec.scratchdir": "/user/hive/scratch",
            "hive.exec.local.scratchdir": local,
            "hive.downloaded.resources.dir": local / "resources",
            "hive.server2.enable.doAs": "false",
            "hive.server2.thrift.bind.host": self.bind,
            "hive.server2.thrift.port": self.port("HIVE_PORT"),
            "hive.server2.webui.host": self.bind,
            "hive.server2.webui.port": self.port("HIVE_HTTP_PORT"),
            "hive.server2.logging.operation.enabled": "false",
            "hive.server2.thrift.min.worker.threads": 1,
        }

    def write_site(self) -> None:
        """hive-site.xml in its folder, which HIVE_CONF_DIR names."""
        site_xml(self.state.folder("conf/hive") / "hive-site.xml", self.settings())

    def environment(self) -> dict[str, str]:
        """Where hive-site.xml is."""
        folder = str(self.state.folder("conf/hive"))
        return {"HIVE_CONF_DIR": folder, "METASTORE_CONF_DIR": folder}


class Metastore(Hive):
    """The metastore on Derby."""

    name = "metastore"
    main = "org.apache.hadoop.hive.metastore.HiveMetaStore"
    heap = 256
    ports = ("METASTORE_PORT",)

    def classpath(self) -> list[Path]:
        """A flat classpath."""
        return flat_jars()

    def options(self) -> list[str]:
        """Derby writes its own log into the logs folder."""
        return [f"-Dderby.stream.error.file={self.state.logs / 'derby.log'}"]

    def configure(self) -> list[str]:
        """Port and file system."""
        self.write_site()
        return ["-p", str(self.port("METASTORE_PORT"))]

    def probe(self) -> None:
        """Call getStatus, which every Thrift fb303 service has."""
        call = struct.pack(">I", 0x80010001) + struct.pack(">i", 9) + b"getStatus" + struct.pack(">ib", 1, 0)
        with self.connection(self.port("METASTORE_PORT")) as metastore:
            metastore.sendall(call)
            answer = metastore.recv(64)
        if b"getStatus" not in answer:
            raise NotReady("the port does not speak the metastore's protocol")


class HiveServer2(Hive):
    """HiveServer2 through Hadoop's own class loader, which keeps Hive's old libraries apart from Hadoop's."""

    name = "hiveserver2"
    main = "org.apache.hadoop.util.RunJar"
    heap = 320
    niceness = 10  # a start is over when Presto answers, which needs every other engine but this one and Kafka
    ports = ("HIVE_PORT", "HIVE_HTTP_PORT")
    needs = ("namenode", "datanode", "metastore")

    def classpath(self) -> list[Path]:
        """Hadoop's side; Hive's side is HADOOP_CLASSPATH."""
        return [
            *client_jars(),
            artifacts.jar("hive", "disruptor"),
            *artifacts.spark_jars("commons-cli-*", "commons-lang3-*"),
        ]

    def configure(self) -> list[str]:
        """The jar and class that RunJar runs."""
        self.write_site()
        return [str(artifacts.jar("hive", "hive-service")), "org.apache.hive.service.server.HiveServer2"]

    def environment(self) -> dict[str, str]:
        """RunJar's class loader: Hive's jars behind the patched class."""
        web_page = artifacts.spark_jars("commons-math3-*")  # what its page needs and its own jars lack
        classpath = [patched_class_jar(), self.state.folder("conf/hive"), *artifacts.jars("hive"), *web_page]
        return super().environment() | {
            "HADOOP_USE_CLIENT_CLASSLOADER": "true",
            "HADOOP_CLASSPATH": ":".join(map(str, classpath)),
            "HADOOP_CLIENT_CLASSLOADER_SYSTEM_CLASSES": SYSTEM_CLASSES,
        }

    def probe(self) -> None:
        """Begin the SASL handshake with which every session starts."""
        mechanism = b"PLAIN"
        with self.connection(self.port("HIVE_PORT")) as server:
            server.sendall(struct.pack(">bi", 1, len(mechanism)) + mechanism)
            credentials = b"\0lab\0lab"
            server.sendall(struct.pack(">bi", 2, len(credentials)) + credentials)
            answer = server.recv(5)
        if answer[:1] != b"\x05":  # COMPLETE
            raise NotReady("the port does not speak HiveServer2's protocol")


def patched_class_jar() -> Path:
    """A jar with the one class of Hive 3.1.3 that fails on Java 9 and later, mended.

    It reads a private field of java.util.ArrayList$SubList by its old name parentOffset; the field is called offset
    now (HIVE-22097, fixed in Hive 4). Without it every query that starts a job fails.
    """

    def write(scratch: Path) -> None:
        with zipfile.ZipFile(artifacts.jar("hive", HIVE_EXEC)) as jar:
            code = jar.read(PATCHED_CLASS)
        old, new = (struct.pack(">H", len(name)) + name for name in (b"parentOffset", b"offset"))
        if code.count(old) != 1:
            raise ValueError("hive-exec is not the version that this patch is for")
        with zipfile.ZipFile(scratch, "w") as jar:
            jar.writestr(PATCHED_CLASS, code.replace(old, new))

    return artifacts.patched(f"{artifacts.jar('hive', HIVE_EXEC).stem}-java17.jar", write)
