"""Whether a group works, from what `status` found: silence, a dead group and lag told apart; probes' conditions."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from driftline.config.durations import format_duration, parse_duration
from driftline.errors import InputError

if TYPE_CHECKING:
    from driftline.config import Settings

State = Literal["working", "lagging", "stopped", "silent", "unknown"]

MANY = 100_000
"""Records that wait without a word said of it: between two checkpoints of a busy stream there are always some."""
SLACK_MS = 10_000
"""For a rebalance, and a slow commit."""
FAR_MS = 365 * 86_400_000
"""A watermark that is farther than this from the clock is worth a line."""
DAY_MS = 86_400_000

FORMS = "write lag>10000 (records), behind>5m (time since a task's last commit), stopped, silent or set-aside"


def commits_within(settings: "Settings") -> int:
    """Return the milliseconds within which each task of a worker that lives commits, even where nothing comes.

    Twice the idle timeout: an end of a partition that holds control records is believed the second time.
    """
    return 2 * settings.idle_timeout + 10 * settings.checkpoint + SLACK_MS


def judge(found: dict[str, Any], within_ms: int) -> dict[str, Any]:
    """Return the state of what `collect` found, the line that says it, and the facts behind it."""
    partitions, now = found["partitions"], found["at"]
    signs = [sign for each in partitions if (sign := _sign(each)) is not None]
    told = [wait for wait in found["waits"] if wait["owner"] is not None]
    lags = [each["lag"] for each in partitions]
    facts: dict[str, Any] = {
        "lag": None if None in lags or not lags else sum(lags),
        "last_sign": max(signs, default=None),
        "commits_within_ms": within_ms,
        "behind_ms": _behind(found),
        "alive": bool(told) or any(now - sign <= within_ms for sign in signs),
        "idle": not any(lags) and bool(found["sources"]) and all(source["idle"] for source in found["sources"]),
        "silent_models": found["silences"],
        "set_aside": [f"{each['stage']} {each['partition']}" for each in partitions if each["fault"]],
        "stuck": [
            f"{each['stage']} {each['partition']}"
            for each in partitions
            if each["lag"] and ((sign := _sign(each)) is None or now - sign > within_ms)
        ],
    }
    state, line = _state(facts, now, waits=bool(told))
    return {"state": state, "summary": line, **facts}


def _state(facts: dict[str, Any], now: int, *, waits: bool) -> tuple[State, str]:
    from driftline.cli.terminal import age

    lag, sign = facts["lag"], facts["last_sign"]
    if lag is None:
        return (
            "unknown",
            "unknown: Kafka does not say where the partitions end; what follows comes from the stored state",
        )
    waiting = f"{lag:,} records wait" if lag else "nothing waits"
    if sign is None and not facts["alive"]:
        return "stopped", f"stopped: no worker has run for this group yet; {waiting}"
    if not facts["alive"]:
        bound = age(facts["commits_within_ms"])
        return (
            "stopped",
            f"stopped: no worker is alive. The last commit was {age(now - sign)} ago, and a live worker commits "
            f"at least every {bound}; {waiting}",
        )
    if lag and waits:
        return "lagging", f"lagging: {waiting}, and workers pause (see below)"
    if facts["stuck"]:
        return "lagging", f"lagging: {waiting}, and {_some(facts['stuck'])} did not commit for long; other tasks do"
    if lag > MANY:
        return "lagging", f"lagging: {waiting}; workers commit, the last time {age(now - sign)} ago"
    if facts["silent_models"]:
        names = _some([silence.get("model", "?") for silence in facts["silent_models"]])
        return "silent", f"silent: workers are alive, and no events of {names} come"
    if facts["idle"]:
        return "silent", "silent: workers are alive and have read every partition to its end, and nothing comes"
    return "working", f"working: the last commit was {age(now - sign)} ago; {waiting}" if sign else "working"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _sign(partition: dict[str, Any]) -> int | None:
    """Return when a worker last showed that it works on a task, in epoch milliseconds."""
    return max(partition["claimed_at"] or 0, partition["committed_at"] or 0) or None


def _behind(found: dict[str, Any]) -> int | None:
    """Return the longest time since a task's last commit; None where a task never had a worker."""
    signs = [_sign(each) for each in found["partitions"]]
    return None if None in signs or not signs else max(found["at"] - (sign or 0) for sign in signs)


def far_off(found: dict[str, Any]) -> list[str]:
    """Say where event time is years from the clock: one line for those behind, one for those ahead."""
    lines = []
    for side, hint in (
        ("behind", "somebody replays the past, or event times are in the wrong unit or zone"),
        ("ahead of", "events claim future times, so those with the true time are late; see `max_ahead`"),
    ):
        sign = 1 if side == "behind" else -1
        off = [
            (sign * each["event_time_lag_ms"], f"{each['stage']} {each['partition']}")
            for each in found["partitions"]
            if each["event_time_lag_ms"] is not None and sign * each["event_time_lag_ms"] > FAR_MS
        ]
        if off:
            days = max(off)[0] // DAY_MS
            lines.append(f"event time is {days:,} days {side} the clock: {hint} ({_some([name for _, name in off])})")
    return lines


@dataclass(frozen=True, slots=True)
class Condition:
    """What a probe fails on: `lag` and `behind` with a limit, the others without."""

    name: str
    limit: int = 0

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read one as a person writes it. Raises InputError, which shows the forms."""
        compact = "".join(text.split())
        if compact in ("stopped", "silent", "set-aside"):
            return cls(compact)
        if number := re.fullmatch(r"lag>([0-9]{1,18})", compact):
            return cls("lag", int(number[1]))
        if compact.startswith("behind>"):
            try:
                return cls("behind", parse_duration(compact.removeprefix("behind>")))
            except ValueError as error:
                raise InputError(f"--fail-if {text}: {error}") from None
        raise InputError(f"--fail-if {text}: is not a condition; {FORMS}")

    def holds(self, verdict: dict[str, Any]) -> str:
        """Return how it holds, for people; "" where it does not."""
        from driftline.cli.terminal import age

        match self.name:
            case "lag":
                lag = verdict["lag"]
                return f"lag>{self.limit}: {lag:,} records wait" if lag > self.limit else ""
            case "behind":
                behind = verdict["behind_ms"]
                if behind is not None and behind <= self.limit:
                    return ""
                since = "has no commit yet" if behind is None else f"did not commit for {age(behind)}"
                return f"behind>{format_duration(self.limit)}: a task {since}"
            case "stopped":
                return "" if verdict["alive"] else verdict["summary"]
            case "silent":
                models = [silence["summary"] for silence in verdict["silent_models"]]
                return f"silent: {'; '.join(models) or 'nothing comes'}" if models or verdict["idle"] else ""
            case _:
                return f"set aside: {_some(verdict['set_aside'])}" if verdict["set_aside"] else ""
