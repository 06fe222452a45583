"""Whether a group works, from what `status` found: silence, rejection, a dead group and lag; what probes fail on."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from driftline.config.durations import format_duration, parse_duration
from driftline.errors import InputError
from driftline.incidents.incident import Kind

if TYPE_CHECKING:
    from driftline.cli.status_document import GroupVerdict, PartitionStatus, State, Wait
    from driftline.config import Settings
    from driftline.tasks.views import JudgeView

MANY = 100_000
"""Records that wait without a word said of it: between two checkpoints of a busy stream there are always some."""
SLACK_MS = 10_000
"""For a rebalance, and a slow commit."""
FAR_MS = 365 * 86_400_000
"""A watermark that is farther than this from the clock is worth a line."""
DAY_MS = 86_400_000

PLAIN = ("stopped", "silent", "rejecting", "set-aside")
FORMS = (
    f"write lag>10000 (records), behind>5m (time since a task's last commit), {', '.join(PLAIN[:-1])} or {PLAIN[-1]}"
)


def commits_within(settings: "Settings") -> int:
    """Return the milliseconds within which each task of a worker that lives commits, even where nothing comes.

    Twice the idle timeout: an end of a partition that holds control records is believed the second time.
    """
    return 2 * settings.idle_timeout + 10 * settings.checkpoint + SLACK_MS


def judge(
    partitions: "Sequence[PartitionStatus]",
    waits: "Sequence[Wait]",
    judged: "Sequence[JudgeView]",
    *,
    now_ms: int,
    within_ms: int,
) -> "GroupVerdict":
    """Return whether the group works, by what is known of its tasks, and the facts behind it."""
    from driftline.cli.status_document import GroupVerdict

    signs = [each.sign for each in partitions]
    given = [sign for sign in signs if sign is not None]
    lags = [each.lag for each in partitions]
    sources = [source for view in judged for source in view.sources.values()]
    told = any(wait.owner is not None for wait in waits)
    records = [each.records for each in partitions if each.records is not None]
    rejected = sum((Counter(each.rejected) for each in records), Counter[str]())
    facts = GroupVerdict(
        state="unknown",
        summary="unknown: Kafka does not say where its partitions end; the rest comes from the stored state",
        lag=None if None in lags or not lags else sum(lag or 0 for lag in lags),
        last_sign=max(given, default=None),
        commits_within_ms=within_ms,
        behind_ms=None if None in signs or not signs else now_ms - min(given),
        alive=told or any(now_ms - sign <= within_ms for sign in given),
        idle=not any(lags) and bool(sources) and all(source.idle for source in sources),
        consumed=sum(each.consumed for each in records),
        rejecting=[] if any(each.accepted for each in records) else [reason for reason, _ in rejected.most_common()],
        silent_models=[silence for view in judged for silence in view.silences],
        silent_labels=[each for view in judged for each in view.performance if each.kind == Kind.LABELS],
        set_aside=[each.name for each in partitions if each.fault],
        stuck=[each.name for each in partitions if each.lag and (each.sign is None or now_ms - each.sign > within_ms)],
    )
    if facts.lag is None:
        return facts
    state, line = _state(facts, facts.lag, now_ms, waits=told)
    return replace(facts, state=state, summary=line)


def _state(facts: "GroupVerdict", lag: int, now: int, *, waits: bool) -> "tuple[State, str]":
    from driftline.cli.terminal import age

    sign = facts.last_sign
    waiting = f"{lag:,} records wait" if lag else "nothing waits"
    ago = "" if sign is None else age(now - sign)
    if sign is None and not facts.alive:
        return "stopped", f"stopped: no worker has run for this group yet; {waiting}. Start one with `driftline run`"
    if not facts.alive:
        return (
            "stopped",
            f"stopped: no worker is alive. The last commit was {ago} ago, and a live worker commits at least every "
            f"{age(facts.commits_within_ms)}; {waiting}. Start one with `driftline run`; the last one's log says "
            "why it ended",
        )
    if lag and waits:
        return "lagging", f"lagging: {waiting}, and workers pause until what they wait for is back (see below)"
    if facts.set_aside:
        return (
            "set-aside",
            f"set-aside: workers are alive, but {_some(facts.set_aside)} cannot go on; other tasks do, and {waiting}. "
            "`driftline state check` says why, and what to do",
        )
    if facts.stuck:
        return (
            "lagging",
            f"lagging: {waiting}, and {_some(facts.stuck)} have not committed for long, though other tasks have: see "
            "the logs of their owners",
        )
    if lag > MANY:
        return (
            "lagging",
            f"lagging: {waiting}; workers commit, the last time {ago} ago. If fewer do not wait soon, add workers",
        )
    if facts.rejecting:
        return "rejecting", f"rejecting: workers are alive, but {_all_rejected(facts)}"
    if facts.silent_models:
        names = _some([silence.model for silence in facts.silent_models])
        return "silent", f"silent: workers are alive, but no events of {names} come: look at what publishes them"
    if facts.silent_labels and not facts.idle:
        names = _some([each.model for each in facts.silent_labels])
        return (
            "silent",
            f"silent: workers are alive and events come, but labels of {names} have stopped, or come late: look at "
            "what publishes them",
        )
    if facts.idle:
        which = (
            "no events come: look at what publishes them, if any should"
            if facts.consumed
            else "no record has ever come: check `topics.predictions`, and that services publish there"
        )
        return "silent", f"silent: workers are alive and have read every partition to its end, but {which}"
    return "working", f"working: the last commit was {ago} ago; {waiting}" if sign else "working"


def _all_rejected(facts: "GroupVerdict") -> str:
    why = _some(facts.rejecting)
    return f"all {facts.consumed:,} records that came so far were rejected ({why}): see `driftline dead-letters list`"


def _some(names: list[str]) -> str:
    from driftline.incidents.text import more

    return ", ".join(names[:5]) + more(len(names) - 5)


def far_off(partitions: "Sequence[PartitionStatus]") -> list[str]:
    """Say where event time is years from the clock: one line for those behind, one for those ahead."""
    lines = []
    for side, hint in (
        ("behind", "somebody is replaying the past, or event times are in the wrong unit or time zone"),
        ("ahead of", "events have times in the future, so events with the true time are late; see `max_ahead`"),
    ):
        sign = 1 if side == "behind" else -1
        off = [
            (sign * each.event_time_lag_ms, each.name)
            for each in partitions
            if each.event_time_lag_ms is not None and sign * each.event_time_lag_ms > FAR_MS
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
        if compact in PLAIN:
            return cls(compact)
        if number := re.fullmatch(r"lag>([0-9]{1,18})", compact):
            return cls("lag", int(number[1]))
        if compact.startswith("behind>"):
            try:
                return cls("behind", parse_duration(compact.removeprefix("behind>")))
            except ValueError as error:
                raise InputError(f"--fail-if {text}: {error}") from None
        raise InputError(f"--fail-if {text}: is not a condition; {FORMS}")

    def holds(self, verdict: "GroupVerdict") -> str:
        """Return how it holds, for people; "" where it does not."""
        from driftline.cli.terminal import age

        match self.name:
            case "lag":
                lag = verdict.lag or 0
                return f"lag>{self.limit}: {lag:,} records wait" if lag > self.limit else ""
            case "behind":
                behind = verdict.behind_ms
                if behind is not None and behind <= self.limit:
                    return ""
                since = "has no commit yet" if behind is None else f"did not commit for {age(behind)}"
                return f"behind>{format_duration(self.limit)}: a task {since}"
            case "stopped":
                return "" if verdict.alive else verdict.summary
            case "silent":
                told = [silence.summary for silence in (*verdict.silent_models, *verdict.silent_labels)]
                return f"silent: {'; '.join(told) or 'nothing comes'}" if told or verdict.idle else ""
            case "rejecting":
                return f"rejecting: {_all_rejected(verdict)}" if verdict.rejecting else ""
            case _:
                return f"set aside: {_some(verdict.set_aside)}" if verdict.set_aside else ""
