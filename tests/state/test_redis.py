"""What only a real Redis can do to a store: lose replies, lose keys, fill up, stand still, refuse."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from driftline.errors import ConfigError, StateCorrupt, StateDenied, StateUnavailable
from driftline.sandbox import RedisServer
from driftline.state import Claim, CommitOutcome, Committed, TaskId
from driftline.state.redis import RedisStore
from tests.state.backends import RedisBackend
from tests.state.lossy import LossyRelay
from tests.state.test_conformance import STEP, TASK, follow

META, BLOBS, OUTBOX = (f"driftline:{{driftline/summarise/3}}:{part}" for part in ("meta", "blobs", "outbox"))
SECRET = "pa/ss#wo?rd"


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis that the test may stop, fill and set up as it likes."""
    with RedisServer() as server:
        yield server


def claimed(store: RedisStore, owner: str = "worker-1") -> Claim:
    return store.claim(TASK, owner)


class TestLostReplies:
    @pytest.fixture
    def relay(self, redis_url: str) -> Iterator[LossyRelay]:
        with LossyRelay(redis_url) as relay:
            yield relay

    @pytest.fixture
    def store(self, relay: LossyRelay) -> Iterator[RedisStore]:
        store = RedisStore(relay.url)
        other = TaskId("driftline", "other", 0)
        store.commit(store.claim(other, "w"), STEP)  # the server knows the scripts: none is sent twice
        store.forget(other)
        yield store
        store.close()

    def test_a_commit_whose_reply_was_lost_is_stored_once(
        self, relay: LossyRelay, store: RedisStore, redis_backend: RedisBackend
    ) -> None:
        claim = claimed(store)
        relay.lose_next_reply()
        with pytest.raises(StateUnavailable):
            store.commit(claim, STEP)
        assert relay.lost.is_set()
        stored = redis_backend.content()
        assert stored[META.encode()][b"sequence"] == b"1"
        assert store.commit(claim, STEP) == Committed(CommitOutcome.ALREADY, last_outbox=2)
        assert redis_backend.content() == stored

    def test_an_acknowledgement_whose_reply_was_lost_can_be_repeated(
        self, relay: LossyRelay, store: RedisStore
    ) -> None:
        claim = claimed(store)
        store.commit(claim, STEP)
        relay.lose_next_reply()
        with pytest.raises(StateUnavailable):
            store.ack(claim, 1)
        assert store.ack(claim, 1) is CommitOutcome.OK
        assert claimed(store).outbox == ((2, b"second"),)

    def test_a_claim_whose_reply_was_lost_can_be_repeated(self, relay: LossyRelay, store: RedisStore) -> None:
        first = claimed(store)
        store.commit(first, STEP)
        relay.lose_next_reply()
        with pytest.raises(StateUnavailable):
            claimed(store)
        assert relay.lost.is_set()
        assert claimed(store).sequence == 1
        assert store.commit(first, follow(STEP)).outcome is CommitOutcome.FENCED


def test_scripts_that_the_server_forgot_are_sent_again(redis_backend: RedisBackend) -> None:
    claim = redis_backend.store.claim(TASK, "w")
    redis_backend.raw.script_flush()
    assert redis_backend.store.commit(claim, STEP).outcome is CommitOutcome.OK
    assert redis_backend.store.commit(claim, STEP).outcome is CommitOutcome.ALREADY


def test_the_keys_of_a_task_share_a_hash_slot_whatever_its_names(redis_backend: RedisBackend) -> None:
    task = TaskId("a}{b", "{}", 0)
    redis_backend.store.commit(redis_backend.store.claim(task, "w"), STEP)
    keys = [key for key in redis_backend.content() if b":tasks:" not in key]
    assert len(keys) == 3
    tags = {key.split(b"{", 1)[1].split(b"}", 1)[0] for key in keys}
    assert tags == {b"a%7D%7Bb/%7B%7D/0"}


def test_the_list_of_tasks_is_mended_by_the_next_claim(redis_backend: RedisBackend) -> None:
    redis_backend.store.claim(TASK, "w")
    redis_backend.raw.delete("driftline:tasks:driftline")
    assert redis_backend.store.tasks("driftline") == []
    redis_backend.store.claim(TASK, "w")
    assert [info.task for info in redis_backend.store.tasks("driftline")] == [TASK]


def test_a_claim_that_is_overtaken_while_it_reads_is_not_returned(
    redis_backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = redis_backend.store
    assert isinstance(store, RedisStore)
    read_blobs = store._read_blobs

    def read_blobs_slowly(keys: Any, prefix: str) -> dict[str, bytes]:
        monkeypatch.undo()
        claimed(store, "worker-2")
        return read_blobs(keys, prefix)

    monkeypatch.setattr(store, "_read_blobs", read_blobs_slowly)
    with pytest.raises(StateUnavailable, match="was claimed by another worker while worker-1 read it"):
        claimed(store, "worker-1")


Damage = Callable[["redis.Redis"], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "meta is a string": (lambda raw: (raw.delete(META), raw.set(META, "x")), "is a string and not a hash"),
    "blobs is a list": (lambda raw: (raw.delete(BLOBS), raw.rpush(BLOBS, "x")), "is a list and not a hash"),
    "outbox is a hash": (lambda raw: (raw.delete(OUTBOX), raw.hset(OUTBOX, "a", "x")), "is a hash and not a list"),
    "meta is gone": (lambda raw: raw.delete(META), "is missing, and 2 blobs and 2 outbox records are there"),
    "blobs are gone": (lambda raw: raw.delete(BLOBS), "has 0 blobs and should have 2"),
    "a blob is gone": (lambda raw: raw.hdel(BLOBS, "panes"), "has 1 blobs and should have 2"),
    "outbox is gone": (lambda raw: raw.delete(OUTBOX), "has 0 records and should have 0 to 2"),
    "a field is gone": (lambda raw: raw.hdel(META, "offsets"), "has no field offsets"),
    "the epoch is no number": (lambda raw: raw.hset(META, "epoch", "1.0"), "epoch is not a count: 1.0"),
    "the sequence is too large": (lambda raw: raw.hset(META, "sequence", "9" * 16), "sequence is not a count"),
    "the format is newer": (lambda raw: raw.hset(META, "format", "2"), "has format 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_state_is_refused_and_left_as_it_is(redis_backend: RedisBackend, damage: str) -> None:
    harm, says = DAMAGES[damage]
    store = redis_backend.store
    claim = store.claim(TASK, "w")
    store.commit(claim, STEP)
    harm(redis_backend.raw)
    before = redis_backend.content()
    answer = store.commit(claim, follow(STEP, writes={"panes": b"x"}, outbox=[b"third"]))
    assert answer.outcome is CommitOutcome.CORRUPT
    assert says in answer.detail
    assert store.ack(claim, 1) is CommitOutcome.CORRUPT
    with pytest.raises(StateCorrupt, match=r"Restore Redis from a backup, or delete driftline:\{") as refusal:
        store.claim(TASK, "w2")
    assert says in str(refusal.value)
    assert redis_backend.content() == before


@pytest.mark.parametrize("damage", ["meta is a string", "a field is gone", "the epoch is no number"])
def test_damaged_state_is_listed_with_its_fault_and_hides_no_other(redis_backend: RedisBackend, damage: str) -> None:
    store = redis_backend.store
    sound = TaskId("driftline", "judge", 0)
    for task in (TASK, sound):
        store.commit(store.claim(task, "w"), STEP)
    DAMAGES[damage][0](redis_backend.raw)
    damaged, whole = sorted(store.tasks("driftline"), key=lambda info: info.task == sound)
    assert (damaged.task, damaged.owner, damaged.offsets, bool(damaged.fault)) == (TASK, "", {}, True)
    assert (whole.task, whole.sequence, whole.fault) == (sound, 1, "")


def test_damaged_offsets_are_not_claimed(redis_backend: RedisBackend) -> None:
    redis_backend.store.commit(redis_backend.store.claim(TASK, "w"), STEP)
    for offsets in ('{"predictions":1.5}', '{"predictions":-1}', "{"):  # Kafka reads -1 as the end
        redis_backend.raw.hset(META, "offsets", offsets)
        with pytest.raises(StateCorrupt, match="offsets"):
            redis_backend.store.claim(TASK, "w")


class TestRefusals:
    def test_a_full_redis_is_unavailable_and_writes_nothing(self, own_server: RedisServer) -> None:
        backend = RedisBackend(own_server.url)
        claim = backend.store.claim(TASK, "w")
        backend.store.commit(claim, STEP)
        before = backend.content()
        backend.raw.config_set("maxmemory", "1mb")
        deletes_first = follow(STEP, writes={"panes": None, "big": bytes(100_000)}, outbox=[b"x"])
        (fault,) = backend.store.faults()
        assert re.match(r"Redis at \S+ is full: .* of 1,048,576 bytes", fault)
        with pytest.raises(StateUnavailable, match="OOM: its memory is full: raise its maxmemory"):
            backend.store.commit(claim, deletes_first)
        assert backend.content() == before
        backend.raw.config_set("maxmemory", "0")
        assert backend.store.commit(claim, deletes_first).outcome is CommitOutcome.OK
        backend.close()

    def test_a_redis_that_may_evict_is_denied(self, own_server: RedisServer) -> None:
        backend = RedisBackend(own_server.url)
        backend.store.check()
        backend.raw.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StateDenied, match=r"maxmemory-policy is allkeys-lru.*set it to noeviction"):
            backend.store.check()
        backend.close()

    def test_a_replica_is_waited_for_and_the_message_says_what_finds_the_master(self, own_server: RedisServer) -> None:
        backend = RedisBackend(own_server.url)
        claim = backend.store.claim(TASK, "w")
        backend.raw.replicaof("127.0.0.1", "1")
        before = backend.content()
        told = r"is a replica, which accepts no writes: wait for the failover; .*redis\+sentinel://"
        with pytest.raises(StateUnavailable, match=told):
            backend.store.check()
        with pytest.raises(StateUnavailable, match=f"READONLY: it {told}"):
            backend.store.commit(claim, STEP)
        assert backend.content() == before
        backend.raw.replicaof("NO", "ONE")
        assert backend.store.commit(claim, STEP).outcome is CommitOutcome.OK
        backend.close()

    def test_who_was_told_that_it_is_a_replica_connects_anew_to_where_its_name_leads_by_now(
        self, own_server: RedisServer, redis_backend: RedisBackend
    ) -> None:
        """As a DNS name or a proxy does after a failover, while connections to the old master last."""
        with LossyRelay(own_server.url) as relay:
            store = RedisStore(relay.url)
            claimed(store)
            with own_server.connect() as client:
                client.replicaof("127.0.0.1", "1")
            place = redis_backend.raw.connection_pool.connection_kwargs
            relay.lead_to(place["host"], place["port"])
            with pytest.raises(StateUnavailable, match="READONLY"):
                claimed(store)
            assert claimed(store).epoch == 1
            store.close()
        assert redis_backend.store.tasks("driftline") != []

    @pytest.mark.parametrize(
        ("login", "says"),
        [("", "NOAUTH: it requires a password"), (":wr%2Fong@", "WRONGPASS"), ("someone:wr%2Fong@", "WRONGPASS")],
    )
    def test_a_wrong_password_is_denied_and_never_printed(self, login: str, says: str) -> None:
        with RedisServer(password=SECRET) as server:
            RedisStore(server.url).check()
            host = server.url.rpartition("@")[2]
            store = RedisStore(f"redis://{login}{host}")
            with pytest.raises(StateDenied, match=says) as refusal:
                store.check()
            for shown in (str(refusal.value), repr(refusal.value.__cause__), repr(store), repr(RedisStore(server.url))):
                assert SECRET not in shown
                assert "wr/ong" not in shown
            assert host in str(refusal.value)

    def test_a_killed_server_is_unavailable_until_it_is_back(self, own_server: RedisServer) -> None:
        store = RedisStore(own_server.url)
        claim = claimed(store)
        own_server.kill()
        for call in (lambda: store.commit(claim, STEP), lambda: store.ack(claim, 1), store.check):
            with pytest.raises(StateUnavailable, match=r"127\.0\.0\.1:\d+/0 cannot be reached"):
                call()
        own_server.start()
        assert claimed(store).epoch in (1, 2)  # the AOF is synced once a second
        store.close()

    def test_a_server_that_stands_still_is_unavailable_in_time(self, own_server: RedisServer) -> None:
        store = RedisStore(own_server.url, command_timeout_s=0.3)
        claim = claimed(store)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(StateUnavailable, match="did not answer in time"):
                store.commit(claim, STEP)
            assert time.monotonic() - started < 2
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        # The server may run the commit that was waiting before this one or after it: both ways it is done once.
        assert store.commit(claim, STEP).outcome in (CommitOutcome.OK, CommitOutcome.ALREADY)
        assert store.tasks("driftline")[0].sequence == 1
        store.close()

    def test_an_address_where_nobody_listens_is_unavailable(self) -> None:
        with pytest.raises(StateUnavailable, match=r"Redis at 127\.0\.0\.1:1/0 cannot be reached"):
            RedisStore("redis://127.0.0.1:1/0").check()

    def test_a_database_that_is_not_there_is_denied(self, own_server: RedisServer) -> None:
        with pytest.raises(StateDenied, match="DB index is out of range"):
            RedisStore(own_server.url.removesuffix("/0") + "/99").check()

    def test_a_prefix_with_a_brace_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"redis\.prefix 'a\{b' has a brace"):
            RedisStore("redis://localhost/0", prefix="a{b")


def test_stores_with_other_prefixes_do_not_see_each_other(redis_url: str) -> None:
    one, other = RedisStore(redis_url, prefix="one"), RedisStore(redis_url, prefix="other")
    one.commit(claimed(one), STEP)
    assert claimed(other).sequence == 0
    assert len(one.tasks("driftline")) == 1
    one.close()
    other.close()


def test_a_unix_socket_works(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer(options={"unixsocket": str(path)}):
        store = RedisStore(f"unix://{path}?db=1")
        assert store.commit(claimed(store), STEP).outcome is CommitOutcome.OK
        store.close()
