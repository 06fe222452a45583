"""A real Kafka broker in KRaft mode on loopback, from Kafka's own jars."""

import base64
import json
import subprocess
import uuid
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from driftline.sandbox.errors import SandboxError
from driftline.sandbox.kafka_jars import KAFKA_FILES, find_java, kafka_jars
from driftline.sandbox.process import ServerProcess, accepts_connections, free_port
from driftline.sandbox.server import LoopbackServer

START_TIMEOUT_S = 120

_PROTOCOLS = {"CONTROLLER": "PLAINTEXT"}
"""Security protocols of the listeners that are not named after theirs."""


class KafkaServer(LoopbackServer):
    """One broker that is its own controller.

    `properties` are added to the broker's, and win; `controller_port` and `cluster_id` are for brokers that are to work
    together (see `KafkaBrokers`). `users` maps names to passwords: given any, `bootstrap` is a
    SASL_PLAINTEXT listener (mechanism PLAIN) with ACLs, on which the first user may do everything and the others
    nothing until ACLs say so; `client_settings` then logs in as the first.
    """

    name = "Kafka"

    def __init__(
        self,
        *,
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        heap: str = "1g",
        controller_port: int | None = None,
        cluster_id: str | None = None,
    ) -> None:
        super().__init__()
        self._cluster_id = cluster_id or new_cluster_id()
        self._controller_port = controller_port or free_port()
        self._users = dict(users or {})
        self._heap = heap
        self._java = find_java()
        self._classpath = f"{kafka_jars()}/*"
        self._port = free_port()
        self._settings_file = self._directory / "server.properties"
        settings = {**self._own_properties(), **(properties or {})}
        self._settings_file.write_text("".join(f"{name}={_escaped(value)}\n" for name, value in settings.items()))
        self._settings_file.chmod(0o600)

    @property
    def bootstrap(self) -> str:
        """Address for clients, the same over every restart."""
        return f"127.0.0.1:{self._port}"

    @property
    def client_settings(self) -> dict[str, str | int | float | bool]:
        """librdkafka settings with which a client may do everything."""
        settings: dict[str, str | int | float | bool] = {"bootstrap.servers": self.bootstrap}
        if self._users:
            name, password = next(iter(self._users.items()))
            settings |= self.login(name, password)
        return settings

    @property
    def origin(self) -> str:
        """Where this Kafka comes from, for people."""
        return "Kafka from Maven Central's jars"

    @staticmethod
    def login(name: str, password: str) -> dict[str, str]:
        """Return the librdkafka settings that log a user in."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": name,
            "sasl.password": password,
        }

    def _prepare(self) -> Sequence[str]:
        if not (self._directory / "data").is_dir():
            self._format()
        return [
            *(self._java, f"-Xmx{self._heap}", "-XX:+UseG1GC"),
            f"-Dlog4j2.configurationFile={KAFKA_FILES / 'log4j2.properties'}",
            *("-cp", self._classpath, "kafka.Kafka", str(self._settings_file)),
        ]

    def _wait_until_ready(self, process: ServerProcess) -> None:
        # The port first: a client that dials a closed one fills the terminal with its complaints.
        process.wait_until(lambda: accepts_connections(self._port), timeout_s=START_TIMEOUT_S)
        admin = AdminClient(self.client_settings)
        process.wait_until(lambda: _has_a_broker(admin), timeout_s=START_TIMEOUT_S)

    def _own_properties(self) -> dict[str, str]:
        inner_port, controller_port = free_port(), self._controller_port
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._directory / "data"),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            # Records are often stamped with the time of their events, which may be months old.
            "log.retention.ms": "-1",
            # A killed broker may only come back when its controller has given up on it: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        listeners = {"CONTROLLER": controller_port, "PLAINTEXT": self._port}
        if self._users:
            listeners |= {"PLAINTEXT": inner_port, "SASL_PLAINTEXT": self._port}
            accounts = " ".join(f"user_{name}={json.dumps(password)}" for name, password in self._users.items())
            settings |= {
                "listener.security.protocol.map": ",".join(
                    f"{name}:{_PROTOCOLS.get(name, name)}" for name in listeners
                ),
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
                    f"org.apache.kafka.common.security.plain.PlainLoginModule required {accounts};"
                ),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                # ANONYMOUS is the broker itself, on the two listeners without a login.
                "super.users": f"User:ANONYMOUS;User:{next(iter(self._users))}",
            }
        urls = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
        settings["listeners"] = ",".join(urls.values())
        settings["advertised.listeners"] = ",".join(url for name, url in urls.items() if name != "CONTROLLER")
        return settings

    def _format(self) -> None:
        command = [self._java, "-Xmx256m", "-cp", self._classpath, "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*command, "-t", self._cluster_id, "-c", str(self._settings_file)],
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise SandboxError(f"Kafka could not lay out its data directory:\n{(done.stdout + done.stderr)[-2000:]}")


def new_cluster_id() -> str:
    """Return an id as Kafka writes it: 16 bytes in URL-safe base64. A leading "A" keeps a "-" off the command line."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\")


def _has_a_broker(admin: AdminClient) -> bool:
    try:
        return len(admin.list_topics(timeout=2).brokers) > 0
    except KafkaException:
        return False
