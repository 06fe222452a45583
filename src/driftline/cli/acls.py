"""`driftline topics acls`: the least permissions, to copy into a shell."""

import shlex
from typing import Annotated

import typer
from rich.table import Table

from driftline.cli.acls_document import Acls, ResourceAcl, RoleAcls
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import out, print_json
from driftline.config import Settings, load
from driftline.errors import InputError
from driftline.pipeline.permissions import Role, kafka_acls, kafka_permissions, redis_rules, sentinel_rules
from driftline.state.address import SENTINEL_PORT

ROLES = {role.name.lower(): role for role in Role}


def acls(
    role: Annotated[str | None, typer.Option(help=f"{', '.join(ROLES)}; all by default.", show_default=False)] = None,
    principal: Annotated[str, typer.Option(help="The Kafka principal that gets the permissions.")] = "User:driftline",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Print the least permissions in Kafka and Redis, as a table and as the commands that grant them.

    Uses topics, group and redis.prefix from the settings; connects to nothing. Brokers before Kafka 3.0 also require
    `--operation IdempotentWrite --cluster` of everyone who writes. Optional, so not printed: DescribeConfigs on
    topics, with which `run` and `topics check` read their settings (without it they say what they could not see), and
    AlterConfigs, for `topics create --fix`.

    \b
    $ driftline topics acls --role worker --principal User:monitor
    $ driftline topics acls --json | jq '.roles.publisher.kafka'
    """
    if role is not None and role not in ROLES:
        raise InputError(f"--role {role}: is not a role; choose one of {', '.join(ROLES)}")
    settings = load(config)
    found = {name: permissions(settings, each, principal) for name, each in ROLES.items() if role in (None, name)}
    if json:
        print_json(Acls(principal=principal, roles=found))
        return
    table = Table("role", "resource", "name", "operations", box=None, pad_edge=False)
    for name, each in found.items():
        for allowed in each.kafka:
            table.add_row(name, allowed.resource, allowed.name, ", ".join(allowed.operations))
        if each.redis:
            table.add_row(name, "keys", f"{settings.redis.prefix}:*", "see its ACL below")
    out().print(table)
    typer.echo("\n# Redis does not copy users to replicas, nodes or sentinels: run its commands on each.")
    for name, each in found.items():
        typer.echo(f"\n# {name}: {each.runs}")
        for command in each.commands:
            typer.echo(command)


def permissions(settings: Settings, role: Role, principal: str) -> RoleAcls:
    """Return what a role needs, with the commands that permit it."""
    allowed = kafka_permissions(settings, role)
    bootstrap = str(settings.kafka.get("bootstrap.servers", "localhost:9092"))
    user = principal.partition(":")[2] or principal
    redis, sentinel = redis_rules(settings, role), sentinel_rules(settings, role)
    commands = kafka_acls(allowed, principal, bootstrap)
    if redis:
        commands.append(["redis-cli", "ACL", "SETUSER", user, *redis.split()])
    if sentinel:
        commands.append(["redis-cli", "-p", str(SENTINEL_PORT), "ACL", "SETUSER", user, *sentinel.split()])
    return RoleAcls(
        runs=role.value,
        kafka=[ResourceAcl(each.resource, each.name, list(each.operations)) for each in allowed],
        redis=redis or None,
        sentinel=sentinel or None,
        commands=[shlex.join(command) for command in commands],
    )
