import json
import shlex

import jsonschema

from driftline.cli.acls_document import schema
from driftline.state.permissions import CLUSTER, READER, WORKER
from tests.cli.conftest import Driftline


def test_commands_are_printed_for_each_role(driftline: Driftline) -> None:
    done = driftline(
        "topics", "acls", "--principal", "User:monitor", DRIFTLINE_GROUP="blue", DRIFTLINE_REDIS__PREFIX="a*b"
    )
    assert done.status == 0
    commands = [line for line in done.out.splitlines() if line.startswith(("kafka-acls", "redis-cli"))]
    kafka = "kafka-acls --bootstrap-server localhost:9092 --add --allow-principal User:monitor"
    assert f"{kafka} --operation Read --operation Write --topic driftline.panes" in commands
    assert f"{kafka} --operation Read --group blue.summarise" in commands
    reader = next(shlex.split(line) for line in commands if line.startswith("redis-cli") and "+eval" not in line)
    assert reader[:6] == ["redis-cli", "ACL", "SETUSER", "monitor", "on", ">PASSWORD"]
    assert reader[6:] == [r"~a\*b:*", *(f"+{command}" for command in READER)]
    assert "worker" in done.out.splitlines()[1]


def test_what_the_address_of_redis_takes_is_added(driftline: Driftline) -> None:
    def asked(url: str, role: str = "worker") -> dict[str, str]:
        done = driftline("topics", "acls", "--role", role, "--json", DRIFTLINE_REDIS__URL=url)
        assert "hunter2" not in done.out
        jsonschema.validate(json.loads(done.out), schema())
        found: dict[str, str] = json.loads(done.out)["roles"][role]
        return found

    def allowed(rules: str) -> set[str]:
        return {word[1:] for word in rules.split() if word.startswith("+")}

    assert allowed(asked("redis://:hunter2@h")["redis"]) == set(WORKER)
    assert allowed(asked("redis://:hunter2@h/3")["redis"]) == {*WORKER, "select"}
    assert allowed(asked("redis+cluster://:hunter2@h")["redis"]) == {*WORKER, *CLUSTER}
    assert asked("redis://h")["sentinel"] is None
    watched = asked("redis+sentinel://h/main?sentinel_password=hunter2", "reader")
    assert (allowed(watched["redis"]), watched["sentinel"]) == (set(READER), "on >PASSWORD +sentinel|masters")
    assert asked("redis+sentinel://h/main", "publisher")["redis"] is None


def test_a_role_that_is_none_is_refused(driftline: Driftline) -> None:
    done = driftline("topics", "acls", "--role", "root")
    assert done.status == 2
    assert "choose one of worker, publisher, reader, operator" in done.err
