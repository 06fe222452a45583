import os
import signal
import time
from pathlib import Path

from driftline.sandbox import RedisSentinels


def test_a_replica_takes_over_with_what_was_written_and_the_old_master_may_come_back() -> None:
    with RedisSentinels(replicas=1, password="p w") as running:
        old = running.master()
        with old.connect() as client:
            client.set("written", "yes")
            client.wait(1, 4_000)
        old.kill()
        running.wait_for_another(old)
        with running.master().connect() as client:
            assert client.get("written") == "yes"
        running.bring_back(old)
        roles = []
        for server in running.servers:
            with server.connect() as client:
                assert client.get("written") == "yes"
                roles.append(client.info("replication")["role"])
        # On a machine that stalls for a second, sentinels may have put the old master back into its place.
        assert sorted(roles) == ["master", "slave"]
        pids = [server.pid for server in (*running.servers, *running.sentinels)]
        directories = [server.log_file.parent for server in (*running.servers, *running.sentinels)]
    assert not any(directory.exists() for directory in directories)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_sentinels_that_stall_while_a_master_dies_promote_a_replica_all_the_same() -> None:
    with RedisSentinels(replicas=1) as running:
        old = running.master()
        for sentinel in running.sentinels:
            os.kill(sentinel.pid, signal.SIGSTOP)
        old.kill()
        time.sleep(3)  # longer than Redis takes for a sign that the clock is wrong
        for sentinel in running.sentinels:
            os.kill(sentinel.pid, signal.SIGCONT)
        running.wait_for_another(old)
        assert running.master() is not old
