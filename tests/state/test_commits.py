"""Commits of the same offsets are told apart by any of their parts, short or long."""

from dataclasses import replace

import pytest

from driftline.state.api import Commit
from driftline.state.commits import READ_WHOLE, fingerprint

LONG = bytes(range(256)) * (READ_WHOLE // 128)
COMMIT = Commit(7, {"t/0": 5}, {"t/0": 9}, {"task": b"short", "rows/1": LONG, "gone": None}, [b"record", LONG])
OTHERS = {
    "sequence": replace(COMMIT, expected_sequence=8),
    "offsets expected": replace(COMMIT, expected_offsets={"t/0": 6}),
    "offsets": replace(COMMIT, offsets={"t/0": 10}),
    "a short blob": replace(COMMIT, writes={**COMMIT.writes, "task": b"shorT"}),
    "the end of a long blob": replace(COMMIT, writes={**COMMIT.writes, "rows/1": LONG[:-1] + b"!"}),
    "a long blob's length": replace(COMMIT, writes={**COMMIT.writes, "rows/1": LONG + b"!"}),
    "a blob's name": replace(COMMIT, writes={"task": b"short", "rows/2": LONG, "gone": None}),
    "an empty blob, not none": replace(COMMIT, writes={**COMMIT.writes, "gone": b""}),
    "a record": replace(COMMIT, outbox=[b"recorD", LONG]),
    "a long record": replace(COMMIT, outbox=[b"record", b"!" + LONG[1:]]),
    "the order of records": replace(COMMIT, outbox=[LONG, b"record"]),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_fingerprint_depends_on_every_part(what: str) -> None:
    assert fingerprint(OTHERS[what]) != fingerprint(COMMIT)


def test_a_fingerprint_does_not_depend_on_the_order_in_which_blobs_and_offsets_are_named() -> None:
    turned = {name: COMMIT.writes[name] for name in reversed(list(COMMIT.writes))}
    assert fingerprint(replace(COMMIT, writes=turned)) == fingerprint(COMMIT)
