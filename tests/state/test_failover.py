"""Redis fails over: the store says "away" until there is a master, then finds it by itself and goes on."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Thread

import pytest

from driftline.errors import StateDenied, StateUnavailable
from driftline.sandbox import RedisNodes, RedisSentinels, RedisServer
from driftline.state import Claim, Commit, CommitOutcome, Committed, TaskId
from driftline.state.redis import RedisStore
from tests.state.lossy import LossyRelay
from tests.state.test_conformance import STEP, TASK, follow

META = "driftline:{driftline/summarise/3}:meta"
PATIENCE_S = 60
OWN_LOOK_S = 5
"""Sooner than the sentinels tell the old master, which cuts its clients then."""


@pytest.fixture(scope="module")
def sentinels() -> Iterator[RedisSentinels]:
    """Sentinels that soon take a master for dead. A test that fails it over waits until all is whole again."""
    with RedisSentinels() as running:
        yield running


@pytest.fixture
def own_nodes() -> Iterator[RedisNodes]:
    """A cluster that the test may do harm to."""
    with RedisNodes() as running:
        yield running


def patiently(call: Callable[[], Committed]) -> tuple[Committed, list[str]]:
    """Repeat a call that is refused as a worker does, until it is answered. Returns what was said until then, too."""
    deadline, said = time.monotonic() + PATIENCE_S, list[str]()
    while True:
        try:
            return call(), said
        except StateUnavailable as error:
            said.append(str(error))
            assert time.monotonic() < deadline, said


def claimed(store: RedisStore) -> Claim:
    return store.claim(TASK, "worker-1")


class Caller:
    """Commits one step after the other as a worker does: what is refused is claimed again, and done from there."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.claim = claimed(store)
        self.said: list[str] = []

    def step(self) -> None:
        """Move one step forward, by one commit that is stored once."""
        while True:
            sequence = self.claim.sequence
            commit = Commit(sequence, self.claim.offsets, {"p": sequence + 1}, {"at": b"%d" % sequence})
            answer, said = patiently(lambda: self.store.commit(self.claim, commit))  # noqa: B023
            self.said += said
            if answer.outcome in (CommitOutcome.OK, CommitOutcome.ALREADY):
                self.claim = replace(self.claim, sequence=sequence + 1, offsets=commit.offsets)
                return
            self.claim = claimed(self.store)


class TestSentinels:
    def test_a_planned_failover_is_ridden_out(self, sentinels: RedisSentinels) -> None:
        """What the old master takes after the new one was promoted is lost: so the steps are taken again from there."""
        store = RedisStore(sentinels.url)
        store.forget(TASK)
        caller, old = Caller(store), sentinels.master()
        sentinels.wait_until_whole()
        failing = Thread(target=sentinels.fail_over)
        failing.start()
        while failing.is_alive():
            caller.step()
        failing.join()
        new = sentinels.master()
        assert new is not old
        with new.connect() as client:
            deadline = time.monotonic() + OWN_LOOK_S
            while client.hget(META, "sequence") != str(caller.claim.sequence):
                caller.step()
                assert time.monotonic() < deadline, f"it stays with the old master: {caller.said}"
        store.check()
        store.close()
        sentinels.wait_until_whole()

    def test_a_master_that_dies_is_waited_for_and_replaced(self, sentinels: RedisSentinels) -> None:
        store = RedisStore(sentinels.url, command_timeout_s=1.0)
        store.forget(TASK)
        caller, old = Caller(store), sentinels.master()
        with old.connect() as client:
            client.wait(1, 4_000)
        old.kill()
        caller.step()
        assert caller.said
        assert all(line.startswith("Redis service driftline/0 of the sentinels at 127.0.0.1:") for line in caller.said)
        assert any("has no master now" in line for line in caller.said)
        assert caller.claim.epoch == 1
        assert sentinels.master() is not old
        sentinels.bring_back(old)
        caller.step()
        assert (caller.claim.epoch, caller.claim.sequence) == (1, 2)
        store.close()

    def test_a_master_that_was_degraded_is_left(self, sentinels: RedisSentinels) -> None:
        """The sentinels may still name it: then the answer is "away", not an error."""
        store = RedisStore(sentinels.url)
        store.forget(TASK)
        claim, master = claimed(store), sentinels.master()
        with master.connect() as client:
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(StateUnavailable):
                store.commit(claim, STEP)
            client.replicaof("NO", "ONE")
        assert patiently(lambda: store.commit(claim, STEP))[0].outcome is CommitOutcome.OK
        store.close()
        sentinels.wait_until_whole()

    def test_a_service_that_no_sentinel_knows_is_refused_at_the_start(self, sentinels: RedisSentinels) -> None:
        store = RedisStore(sentinels.url.replace("/driftline", "/unknown"))
        with pytest.raises(
            StateDenied, match=r"knows no service 'unknown': write the one of its `sentinel monitor` to"
        ):
            store.check()
        store.close()

    def test_one_sentinel_that_answers_is_enough(self, sentinels: RedisSentinels) -> None:
        host = f"127.0.0.1:{sentinels.sentinels[2].port}"
        store = RedisStore(f"redis+sentinel://127.0.0.1:1,127.0.0.1:2,{host}/driftline")
        store.check()
        store.close()

    def test_where_no_sentinel_answers_is_away(self) -> None:
        store = RedisStore("redis+sentinel://127.0.0.1:1,127.0.0.1:2/driftline")
        with pytest.raises(StateUnavailable, match=r"cannot be reached \(Error 111 connecting to 127\.0\.0\.1:1\."):
            store.check()
        with pytest.raises(StateUnavailable, match=r"has no master now, or none answers: wait for it") as away:
            claimed(store)
        assert "socket_timeout" not in str(away.value)
        store.close()

    def test_passwords_are_never_shown(self) -> None:
        with RedisSentinels(password="p/1 @", sentinel_password="s:2&") as guarded:
            store = RedisStore(guarded.url)
            store.check()
            assert claimed(store).epoch == 1
            wrong = RedisStore(guarded.url.replace("p%2F1", "wrong"))
            with pytest.raises(StateDenied, match="WRONGPASS") as refusal:
                wrong.check()
            shown = f"{store!r} {wrong!r} {refusal.value} {refusal.value.__cause__!r}"
            for secret in ("p/1", "p%2F1", "s:2", "s%3A2", "wrong%20", "wrong @"):
                assert secret not in shown
            store.close()
            wrong.close()


class TestCluster:
    def test_tasks_of_all_nodes_are_listed_and_forgotten(self, nodes: RedisNodes) -> None:
        store = RedisStore(nodes.url, prefix="spread")
        tasks = [TaskId("spread", "summarise", number) for number in range(30)]
        for task in tasks:
            store.commit(store.claim(task, "w"), STEP)
        assert {nodes.owner_of(f"spread:{{spread/summarise/{number}}}:meta").port for number in range(30)} == {
            server.port for server in nodes.servers[:3]
        }
        assert [(info.task, info.sequence) for info in store.tasks("spread")] == [(task, 1) for task in tasks]
        for task in tasks:
            store.forget(task)
        assert store.tasks("spread") == []
        store.close()

    def test_failovers_are_ridden_out(self, own_nodes: RedisNodes) -> None:
        store = RedisStore(own_nodes.url, command_timeout_s=1.0)
        claim = claimed(store)
        own_nodes.fail_over(own_nodes.owner_of(META))
        answer, _ = patiently(lambda: store.commit(claim, STEP))
        assert answer.outcome is CommitOutcome.OK
        master = own_nodes.owner_of(META)
        replica = own_nodes.replica_of(master)
        with master.connect() as client:
            client.wait(1, 5_000)
        master.kill()
        answer, said = patiently(lambda: store.commit(claim, follow(STEP)))
        assert answer.outcome is CommitOutcome.OK
        assert said
        own_nodes.wait_for(replica)
        replica.kill()  # nobody is left who has these keys
        last = follow(follow(STEP))
        with pytest.raises(StateUnavailable, match="cannot be reached"):
            store.commit(claim, last)
        elsewhere = next(
            f"g{number}" for number in range(99) if own_nodes.owner_of(f"driftline:words:g{number}").running
        )
        answers = [""]
        while "CLUSTERDOWN: its cluster is down: see CLUSTER INFO" not in answers[-1]:
            try:
                store.told(elsewhere)
            except StateUnavailable as away:
                answers.append(str(away))
        replica.start()
        assert patiently(lambda: store.commit(claim, last))[0].outcome is CommitOutcome.OK
        store.close()

    def test_keys_that_move_are_followed(self, nodes: RedisNodes) -> None:
        """From the first key on its way to the last, and when all is said and done."""
        store = RedisStore(nodes.url)
        store.forget(TASK)
        claim = claimed(store)
        assert store.commit(claim, STEP).outcome is CommitOutcome.OK
        source = nodes.owner_of(META)
        target = next(server for server in nodes.servers[:3] if server is not source)
        with nodes.moving(META, source, target) as (move, settle):
            move(META)
            with pytest.raises(StateUnavailable, match="are moving"):
                store.commit(claim, follow(STEP))
            for part in ("blobs", "outbox"):
                move(META.replace("meta", part))
            assert store.commit(claim, follow(STEP)).outcome is CommitOutcome.OK
            assert [info.sequence for info in store.tasks("driftline")] == [2]
            settle()
        assert nodes.owner_of(META) is target
        assert store.commit(claim, follow(follow(STEP))).outcome is CommitOutcome.OK
        store.forget(TASK)
        store.close()

    def test_the_nodes_of_the_address_may_be_gone_if_others_are_there(self, own_nodes: RedisNodes) -> None:
        first, *others = own_nodes.servers[:3]
        store = RedisStore(f"redis+cluster://127.0.0.1:{first.port}", command_timeout_s=1.0)
        claim = claimed(store)
        replica = own_nodes.replica_of(first)
        first.kill()
        own_nodes.wait_for(replica)
        assert patiently(lambda: store.commit(claim, STEP))[0].outcome in (
            CommitOutcome.OK,
            CommitOutcome.FENCED,
        )
        assert others[0].running
        store.close()

    def test_where_all_nodes_are_gone_the_address_may_lead_to_others(self, nodes: RedisNodes) -> None:
        """As a name does whose cluster was built anew."""
        with RedisServer(options={"cluster-enabled": "yes"}) as only, only.connect() as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)
            with LossyRelay(only.url) as relay:
                store = RedisStore(relay.url.replace("redis://", "redis+cluster://"))
                while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                    time.sleep(0.05)
                claimed(store)
                only.kill()
                relay.lead_to("127.0.0.1", nodes.servers[0].port)
                with pytest.raises(StateUnavailable, match="cannot be reached"):
                    claimed(store)
                claimed(store)
                store.close()
        there = RedisStore(nodes.url)
        assert [info.owner for info in there.tasks(TASK.group)] == ["worker-1"]
        there.forget(TASK)
        there.close()

    def test_a_plain_address_of_a_node_is_refused_at_the_start_and_waits_later(self, nodes: RedisNodes) -> None:
        owners = {nodes.owner_of(key) for key in (META, "driftline:tasks:driftline")}
        elsewhere = next(server for server in nodes.servers[:3] if server not in owners)
        store = RedisStore(elsewhere.url)
        with pytest.raises(StateDenied, match=r"is one node of a Redis Cluster: write redis.url as redis\+cluster://"):
            store.check()
        with pytest.raises(StateUnavailable, match=r"MOVED: it is one node .* redis\+cluster://"):
            claimed(store)
        store.close()

    def test_an_address_of_a_cluster_that_leads_to_none_is_refused(self, redis_url: str) -> None:
        store = RedisStore(redis_url.replace("redis://", "redis+cluster://"))
        with pytest.raises(StateDenied, match=r"is not a cluster: write redis.url as redis://host:6379/0"):
            store.check()
        store.close()

    def test_where_no_node_answers_is_away(self) -> None:
        store = RedisStore("redis+cluster://127.0.0.1:1,127.0.0.1:2")
        with pytest.raises(
            StateUnavailable, match=r"Redis Cluster at 127\.0\.0\.1:1, 127\.0\.0\.1:2 cannot be reached"
        ):
            store.check()
        store.close()

    def test_a_wrong_password_is_denied_and_never_shown(self) -> None:
        with RedisServer(options={"cluster-enabled": "yes"}, password="right") as node:
            store = RedisStore(f"redis+cluster://:wr0ng@127.0.0.1:{node.port}")
            with pytest.raises(StateDenied, match="WRONGPASS") as refusal:
                store.check()
            assert "wr0ng" not in f"{refusal.value} {refusal.value.__cause__!r} {store!r}"
            store.close()
            anonymous = RedisStore(f"redis+cluster://127.0.0.1:{node.port}")
            with pytest.raises(StateDenied, match="NOAUTH"):
                anonymous.check()
            anonymous.close()
