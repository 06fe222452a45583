from pathlib import Path

import numpy as np
import pytest

from driftline.codec import pack
from driftline.config import Settings
from driftline.errors import ConfigError, InputError, TopicError
from driftline.log.memory import MemoryLog
from driftline.pipeline.startup import check_before_work, clock_warnings
from driftline.state import MemoryStore


def settings(**more: object) -> Settings:
    return Settings.model_validate(more, context={"directory": Path("/nowhere")})


def log_with_topics() -> MemoryLog:
    log = MemoryLog()
    log.create_topics({topic: 4 for _, topic in settings().topics.named()}, {})
    return log


class LateStore(MemoryStore):
    """A store whose machine's clock is behind."""

    def time_ms(self) -> int:
        return 1_000_000


def test_all_is_well() -> None:
    store = MemoryStore()

    assert check_before_work(settings(), log_with_topics(), store, wall_ms=store.time_ms) == []


def test_a_producers_clock_that_vouches_for_itself_is_warned_of() -> None:
    store = MemoryStore()
    on_kafka = settings(kafka={"bootstrap.servers": "h:1"})

    warnings = check_before_work(on_kafka, log_with_topics(), store, wall_ms=store.time_ms)

    first, second = warnings
    assert second.startswith("alerts (alerts), driftline.panes (panes), driftline.dead-letters (dead_letters): ")
    assert "--topic EACH --add-config message.timestamp.type=LogAppendTime" in second
    assert first.endswith(
        "kafka-configs.sh --bootstrap-server h:1 --alter --topic predictions --add-config "
        "message.timestamp.type=LogAppendTime)"
    )


def test_every_missing_topic_is_named_with_the_command_that_makes_it() -> None:
    with pytest.raises(TopicError) as caught:
        check_before_work(settings(), MemoryLog(), MemoryStore(), wall_ms=lambda: 0)

    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(line.endswith("does not exist: create it with `driftline topics create`") for line in lines)


def test_profile_files_must_be_there_and_be_profiles(tmp_path: Path) -> None:
    (tmp_path / "broken.profile").write_bytes(b"?")
    (tmp_path / "outcomes.profile").write_bytes(pack("profile", 1, [], {"outcomes/": np.zeros(1, dtype=np.uint8)}))
    missing = settings(models={"a": {"reference": str(tmp_path / "gone.profile")}})
    broken = settings(models={"a": {"reference": str(tmp_path / "broken.profile")}})
    outcomes = settings(models={"a": {"reference": str(tmp_path / "outcomes.profile")}})

    with pytest.raises(ConfigError, match=r"gone\.profile does not exist; build it with `driftline profile build"):
        check_before_work(missing, log_with_topics(), MemoryStore(), wall_ms=lambda: 0)
    with pytest.raises(InputError, match=r"broken\.profile: is not a profile") as caught:
        check_before_work(broken, log_with_topics(), MemoryStore(), wall_ms=lambda: 0)
    assert "driftline state reset" not in str(caught.value), "a file is no stored state of a worker"
    with pytest.raises(InputError, match=r"outcomes\.profile: is not a profile"):
        check_before_work(outcomes, log_with_topics(), MemoryStore(), wall_ms=lambda: 0)


@pytest.mark.parametrize(
    ("now", "said"), [(1_005_000, ""), (1_007_000, "7s ahead of that of Redis"), (980_000, "20s behind that of Redis")]
)
def test_clocks_that_are_far_apart_are_warned_of(now: int, said: str) -> None:
    warnings = clock_warnings(LateStore(), now)

    assert bool(warnings) == bool(said)
    assert said in "".join(warnings)
