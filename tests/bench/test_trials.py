"""The contenders against a real Kafka and Redis: a few thousand events each."""

from collections.abc import Iterator

import pytest
import redis

from driftline.bench.servers import fill, topics
from driftline.bench.trials import TRIALS, Servers, Trial, run, runnable
from driftline.bench.workload import Workload
from driftline.errors import DriftlineError
from driftline.sandbox import Kafka, Redis

EVENTS = 4_000
RUNNABLE = {trial.contender: trial for trial in runnable()[0]}


@pytest.fixture(scope="module")
def topic(kafka: Kafka) -> Iterator[str]:
    with topics(kafka.bootstrap, "driftline-bench-test"):
        assert list(fill(kafka.bootstrap, "driftline-bench-test", Workload(EVENTS))) == [EVENTS]
        yield "driftline-bench-test"


@pytest.fixture
def servers(kafka: Kafka, redis_server: Redis) -> Servers:
    return Servers(kafka.bootstrap, redis_server.url)


@pytest.mark.parametrize("contender", sorted(RUNNABLE))
def test_a_contender_reads_every_event_and_says_what_it_cost(contender: str, servers: Servers, topic: str) -> None:
    measured = run(servers, Trial(contender, contender), topic, EVENTS)

    assert measured.events == EVENTS
    assert measured.cpu_s > 0
    assert measured.wall_s > 0


def test_the_path_leaves_nothing_behind(servers: Servers, topic: str) -> None:
    measured = run(servers, RUNNABLE["path"], topic, EVENTS)

    assert measured.details["panes"] > 0
    assert measured.details["written_mib"] > 0
    with redis.Redis.from_url(servers.redis_url, retry=None) as client:
        assert client.dbsize() == 0


def test_a_contender_that_fails_says_why(servers: Servers) -> None:
    with pytest.raises(DriftlineError, match=r"bench: nobody ended with status 1(.|\n)*KeyError: 'nobody'"):
        run(servers, Trial("nobody", "nobody"), "no-topic", EVENTS)


def test_trials_have_names_of_their_own() -> None:
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)
