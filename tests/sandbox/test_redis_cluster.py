from pathlib import Path

from redis.cluster import RedisCluster

from driftline.sandbox import RedisNodes


def test_masters_share_the_keys_and_replicas_take_over() -> None:
    with RedisNodes() as running:
        with RedisCluster("127.0.0.1", running.servers[0].port) as client:
            for number in range(30):
                client.set(f"key {number}", number)
            assert {running.owner_of(f"key {number}") for number in range(30)} == set(running.servers[:3])
            old = running.owner_of("key 0")
            replica = running.replica_of(old)
            running.fail_over(old)
            assert running.owner_of("key 0") is replica
            assert client.get("key 0") == b"0"
        pids = [server.pid for server in running.servers]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
