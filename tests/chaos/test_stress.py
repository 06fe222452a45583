"""Each outage for a few seconds; `make stress` makes them last."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.chaos.stress import OUTAGES, Seen, stress

LASTS_S = 12.0
"""Longer than a session, and than a producer is waited for at once."""


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Seen]]]:
    """Two outages at a time: each is mostly waiting, but starts a Kafka, a Redis and a worker of its own."""
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(stress, name, LASTS_S, tmp_path_factory.mktemp("outage")) for name in OUTAGES}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OUTAGES)
def test_a_worker_pauses_says_why_goes_on_and_loses_nothing(name: str, outages: Mapping[str, Future[Seen]]) -> None:
    seen = outages[name].result()

    assert seen.wrong == ()
    assert seen.went_on_after < 30
    assert seen.memory_most < seen.memory_before + 100
