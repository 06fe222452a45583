"""Three brokers that share topics: one may die, and nothing that was written is lost."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from driftline.sandbox.kafka import KafkaServer, new_cluster_id
from driftline.sandbox.process import free_port

BROKERS: Final = 3


class KafkaBrokers:
    """Three brokers, each a controller too. Topics have three copies, of which two must take a write.

    A context manager: entering starts them, leaving stops them. `properties` are added to each broker's, and win.
    """

    def __init__(self, *, properties: Mapping[str, str] | None = None, heap: str = "384m") -> None:
        ports = [free_port() for _ in range(BROKERS)]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(ports, 1))
        cluster = new_cluster_id()
        inner = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        self.servers = [
            KafkaServer(
                properties={
                    "node.id": str(number),
                    "controller.quorum.voters": voters,
                    "default.replication.factor": str(BROKERS),
                    "min.insync.replicas": str(BROKERS - 1),
                    **{f"{topic}.replication.factor": str(BROKERS) for topic in inner},
                    **{f"{topic}.min.isr": str(BROKERS - 1) for topic in inner[1:]},
                    **(properties or {}),
                },
                heap=heap,
                controller_port=port,
                cluster_id=cluster,
            )
            for number, port in enumerate(ports, 1)
        ]
        self._running = ExitStack()

    @property
    def bootstrap(self) -> str:
        """Addresses for clients, the same over every restart."""
        return ",".join(server.bootstrap for server in self.servers)

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return f"{BROKERS} brokers of {self.servers[0].origin}"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            # None answers before two of them see each other.
            with ThreadPoolExecutor(BROKERS) as pool:
                for server in self.servers:
                    starting.push(server)
                for started in [pool.submit(server.start) for server in self.servers]:
                    started.result()
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
