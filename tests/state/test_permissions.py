"""The permissions that are printed are enough, and each of them is needed: users of real servers, with real ACLs."""

import re
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
from redis.cluster import RedisCluster

from driftline.errors import StateDenied
from driftline.sandbox import RedisNodes, RedisSentinels, RedisServer
from driftline.state import Commit, TaskId, Word
from driftline.state.permissions import CLUSTER, READER, SENTINEL, WORKER, rules
from driftline.state.redis import RedisStore

TASK = TaskId("g", "summarise", 0)
PASSWORD = "narrow"


def worker_life(store: RedisStore) -> None:
    """Do all that a worker and the commands for operators do, on a server that knows no script yet."""
    store.check()
    claim = store.claim(TASK, "w")
    store.commit(claim, Commit(0, {}, {"p": 1}, {"a": b"x", "b": b"y"}, [b"r"]))
    store.commit(claim, Commit(1, {"p": 1}, {"p": 2}, {"a": None, "c": b"z"}, [b"s"]))
    claim = store.claim(TASK, "w")
    assert store.ack(claim, 1).value == "ok"
    store.tell("g", "w", Word("w", "paused", 1, 1))
    store.tell("g", "w", None)
    store.note(TASK, "a fault")
    store.note(TASK, "")
    reader_life(store)
    store.forget(TASK)


def reader_life(store: RedisStore) -> None:
    store.check()
    assert store.time_ms() > 0
    store.tasks("g")
    store.told("g")
    store.faults()
    store.read(TASK, "")


LIVES = {"worker": (worker_life, WORKER), "reader": (reader_life, READER)}


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    if request.param == "valkey":
        yield request.getfixturevalue("valkey")
        return
    with RedisServer() as running:
        yield running


def allow(server: RedisServer, commands: Sequence[str]) -> None:
    """Have one user with these permissions and no others, one task, and no script."""
    with server.connect() as client:
        client.flushall()
        store = RedisStore(server.url, prefix="mine")
        store.claim(TASK, "w")
        store.close()
        client.script_flush()
        user = ("ACL", "SETUSER", "narrow", "reset", "on", f">{PASSWORD}", "~mine:*", *rules(*commands).split())
        client.execute_command(*user)


def as_narrow(url: str) -> RedisStore:
    return RedisStore(re.sub("//(.*@)?", f"//narrow:{PASSWORD}@", url), prefix="mine")


@pytest.mark.parametrize("role", LIVES)
def test_what_is_printed_is_enough(server: RedisServer, role: str) -> None:
    live, commands = LIVES[role]
    allow(server, commands)
    store = as_narrow(server.url)
    live(store)
    store.close()


@pytest.mark.parametrize(
    ("role", "missing"), [(role, command) for role, (_, commands) in LIVES.items() for command in commands]
)
def test_each_permission_is_needed_and_the_message_names_all(server: RedisServer, role: str, missing: str) -> None:
    live, commands = LIVES[role]
    allow(server, [command for command in commands if command != missing])
    store = as_narrow(server.url)
    with pytest.raises(StateDenied, match=r"NOPERM: the user in redis\.url may not do this: allow it \+del .*\+type"):
        live(store)
    store.close()
    whole = RedisStore(server.url, prefix="mine")
    whole.claim(TASK, "w")  # what was refused half-way left nothing behind
    whole.close()


def test_keys_of_others_are_closed(server: RedisServer) -> None:
    allow(server, WORKER)
    store = RedisStore(server.url.replace("//", f"//narrow:{PASSWORD}@"), prefix="theirs")
    with pytest.raises(StateDenied, match="NOPERM"):
        store.claim(TASK, "w")
    store.close()


class TestCluster:
    @pytest.fixture
    def allowed(self, nodes: RedisNodes) -> Callable[[Sequence[str]], RedisStore]:
        def allow_everywhere(commands: Sequence[str]) -> RedisStore:
            for node in nodes.servers:
                with node.connect() as client:
                    user = (
                        "ACL",
                        "SETUSER",
                        "narrow",
                        "reset",
                        "on",
                        f">{PASSWORD}",
                        "~mine:*",
                        *rules(*commands).split(),
                    )
                    client.execute_command(*user)
            with RedisCluster("127.0.0.1", nodes.servers[0].port) as everybody:
                everybody.script_flush()
            return as_narrow(nodes.url)

        return allow_everywhere

    def test_what_is_printed_is_enough(self, allowed: Callable[[Sequence[str]], RedisStore]) -> None:
        store = allowed((*WORKER, *CLUSTER))
        worker_life(store)
        store.close()

    @pytest.mark.parametrize("missing", [command for command in CLUSTER if command != "asking"])
    def test_each_permission_is_needed(self, allowed: Callable[[Sequence[str]], RedisStore], missing: str) -> None:
        store = allowed([command for command in (*WORKER, *CLUSTER) if command != missing])
        with pytest.raises(StateDenied, match=r"NOPERM.*in a cluster also .*\+cluster\|slots"):
            worker_life(store)
        store.close()


def test_sentinels_must_permit_one_command() -> None:
    with RedisSentinels(sentinel_password="all") as sentinels:
        for sentinel in sentinels.sentinels:
            with sentinel.connect() as client:
                user = ("ACL", "SETUSER", "asker", "on", ">q&a", *rules(*SENTINEL).split())
                client.execute_command(*user)
                client.execute_command("ACL", "SETUSER", "idler", "on", ">q&a", "+ping")
        address = sentinels.url.partition("?")[0]
        store = RedisStore(f"{address}?sentinel_username=asker&sentinel_password=q%26a", prefix="mine")
        worker_life(store)
        store.close()
        for end in ("?sentinel_username=idler&sentinel_password=q%26a", "?sentinel_password=wrong", ""):
            store = RedisStore(address + end)
            with pytest.raises(
                StateDenied, match=r"sentinel_password=\.\.\. of a user who may \+sentinel\|masters"
            ) as told:
                store.check()
            assert "q&a" not in str(told.value)
            store.close()
        assert isinstance(told.value.__cause__, redis.RedisError | None)
