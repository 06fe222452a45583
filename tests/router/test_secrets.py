"""A secret may be in a file, and be replaced while the router runs: the next delivery uses the new one."""

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from driftline.config.sinks import AnySink
from driftline.router.sinks.api import Later
from driftline.router.sinks.receiver import Received
from driftline.router.sinks.webhook import signature
from tests.router.test_conformance import ROUTING_KEY, TRIALS
from tests.router.test_sinks import notification


def used(received: Received) -> str:
    """Return all that a request says, and whether either secret signed it."""
    stamp, signed = (received.headers.get(f"x-driftline-{name}", "") for name in ("timestamp", "signature"))
    signers = [each for each in ("first", "second") if signed == signature(each, stamp, received.body)]
    return f"{received.place} {dict(received.headers)} {received.body.decode()} signed by {signers}"


SECRETS = {
    ("webhook", "url"): ("/first", "/second"),
    ("webhook", "secret"): ("signed by ['first']", "signed by ['second']"),
    ("alertmanager", "url"): ("/first", "/second"),
    ("slack", "token"): ("Bearer first", "Bearer second"),
    ("teams", "url"): ("/first", "/second"),
    ("pagerduty", "routing_key"): (ROUTING_KEY, "S" * 32),
    ("opsgenie", "api_key"): ("GenieKey first", "GenieKey second"),
    ("apprise", "url"): ("/first", "/second"),
}
"""By sink and setting, what its receiver sees of the one and of the other. The mail server sees no password."""


def test_every_secret_of_every_sink_is_tried() -> None:
    kinds = get_args(get_args(AnySink)[0])
    fields = [
        (get_args(kind.model_fields["type"].annotation)[0], name)
        for kind in kinds
        for name, field in kind.model_fields.items()
        if "SecretStr" in str(field.annotation)
    ]
    assert set(fields) == {*SECRETS, ("email", "password")}


def value(field: str, seen: str, address: str) -> str:
    """Return what is in the file."""
    if field == "url":
        return address + seen
    return seen.removeprefix("Bearer ").removeprefix("GenieKey ").removeprefix("signed by ").strip("[']")


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in a plug-in of Apprise
@pytest.mark.parametrize(("sink", "field"), SECRETS)
def test_a_secret_that_is_replaced_is_used_from_the_next_delivery_on(sink: str, field: str, tmp_path: Path) -> None:
    trial, file = TRIALS[sink], tmp_path / "secret"

    async def play() -> None:
        async with trial.receiver() as receiver:
            address = receiver.url.replace("http://", "json://") if sink == "apprise" else receiver.url
            first, second = SECRETS[sink, field]
            file.write_text(f"{value(field, first, address)}\n")
            async with trial.sink(receiver, **{field: {"file": str(file)}}) as made:
                await made.deliver(notification())
                file.write_text(f"{value(field, second, address)}\n")
                await made.deliver(notification(firing=False))
            before, after = (used(each) for each in receiver.got)
            assert (first in before, second in before) == (True, False)
            assert (first in after, second in after) == (False, True)

    asyncio.run(play())


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the mail server, on this machine only
def test_a_password_that_is_replaced_is_used_from_the_next_mail_on(tmp_path: Path) -> None:
    trial, file = TRIALS["email"], tmp_path / "password"

    async def play() -> None:
        async with trial.receiver() as receiver:
            file.write_text("the old one")
            async with trial.sink(receiver, password={"file": str(file)}) as made:
                with pytest.raises(Later, match="Authentication"):
                    await made.deliver(notification())
                file.write_text(trial.secrets[0])
                await made.deliver(notification())
            assert len(receiver.got) == 1

    asyncio.run(play())


def test_a_file_that_is_gone_is_tried_again() -> None:
    async def play() -> None:
        trial = TRIALS["slack"]
        async with trial.receiver() as receiver, trial.sink(receiver, token={"file": "/nowhere"}) as made:
            with pytest.raises(OSError, match="nowhere"):
                await made.deliver(notification())

    asyncio.run(play())
