"""The router's desk: which sink must still hear of what, and when. No I/O and no clock: times come as arguments.

    alerts topic ──take──► incidents ──by route──► groups ──due──► notifications ──► sinks
                                                     ▲                                 │
                                                     └───── told / refused / later ◄───┘

It goes by levels, not by messages. A group knows in which state each sink heard of an incident last; what differs from
the state in which the incident is now is told. So an alert that comes twice, or is read again after a restart, changes
nothing, and one that was missed is found by the next look at the topic.

A notification is written down before it goes out, and goes out unchanged until the sink has it: a repeated one has the
same key. The next one of the same group waits for that, so each incident's changes arrive in order.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import digest
from driftline.incidents.matching import Labels
from driftline.incidents.responses import Acknowledgement, Silence, silencing
from driftline.incidents.severity import urgency
from driftline.router.desk_state import DeskState
from driftline.router.grouping import Grouping
from driftline.router.groups import NEVER_TOLD, AlertGroup, Refused, Sending, name_of
from driftline.router.notification import MAX_ALERTS, Notification
from driftline.router.patience import Held, Returns, more_severe
from driftline.router.routes import Route, Routing


@dataclass(frozen=True, slots=True)
class SinkRules:
    """What the desk must know of a sink."""

    tells_resolved: bool = True
    pages: bool = False
    """It wakes people, and what it is told of by one key is one incident: it need not hear what is over by now."""
    acknowledges: bool = False
    """It is told who looks after what it heard of."""
    refresh: int | None = None
    """It forgets what fires unless it hears of it so often (milliseconds)."""
    was: str | None = None
    """What it was called before."""

    @property
    def most(self) -> int | None:
        """Alerts in a notification. One that forgets keeps a list of its own, so it gets all."""
        return None if self.refresh else MAX_ALERTS


class Desk:
    """See the module's head.

    Args:
        routing: where alerts go.
        sinks: what is known of each sink that a route names.
        remember: how long (milliseconds) an incident that is over is remembered, so that it is not told again.
    """

    def __init__(self, routing: Routing, sinks: Mapping[str, SinkRules], remember: int) -> None:
        self.lost: defaultdict[str, list[str]] = defaultdict(list)
        """Sinks that no route names any more, with the keys by which they know what is open."""
        self._routing = routing
        self._routes = {route.path: route for route in routing.root.walk()}
        self._sinks = sinks
        self._remember = remember
        self._state = DeskState()
        self._returns = Returns(routing.returns)
        self._grouping = Grouping(routing, sinks, self._state)

    # what comes in

    def begin(self, now: int) -> None:
        """Note when the router was first started: what was over by then is not told."""
        self._state.begin(now)

    def take(self, alert: Alert, published: int) -> bool:
        """Take in one change of an incident, and when it was published (epoch milliseconds).

        Returns False for one that is known.
        """
        held = self._state.incidents.get(alert.data.incident)
        if held is not None and _place(alert) <= _place(held.latest):
            return False
        if held is None:
            self._end_earlier(alert, published)
            held = Held([alert], published, published)
            self._state.hold(alert.data.incident, held)
            self._returns.note(alert, published)
            held.changes = [alert] = [self._returns.remarked(alert, held)]
        else:
            alert = more_severe(alert) if held.raised else alert
            held.changes.append(alert)
            held.arrived = published
            self._state.touch(incident=alert.data.incident)
        self._grouping.put(alert, published)
        return True

    def _end_earlier(self, alert: Alert, published: int) -> None:
        """End what is held as open of the same kind and subject: one is open at a time.

        The topic no longer holds how it ended, if it was compacted while no router read it.
        """
        for incident in self._returns.alike(alert):
            held = self._state.incidents[incident]
            if held.latest.firing and held.latest.opened < alert.opened:
                held.end_before(alert, published)
                self._state.touch(incident=incident)
                self._grouping.put(held.latest, published)

    def hear(self, alert: Alert, published: int, now: int) -> bool:
        """Take in one change as it comes. One that is older than what is remembered is left to the look at the topic.

        From it alone it cannot be told whether its incident is over since long. Returns whether it was new.
        """
        return published >= now - self._remember and self.take(alert, min(published, now))

    def take_all(self, wanted: Iterable[tuple[Alert, int]]) -> int:
        """Take in what `wanted` returned. Returns how many changes were new."""
        return sum(self.take(alert, published) for alert, published in wanted)

    def wanted(self, records: Iterable[tuple[Alert, int]], now: int) -> list[tuple[Alert, int]]:
        """Return, the oldest first, what counts of a topic: recent changes, and the last one before of what is open.

        It keeps no more than that: a topic may hold years of incidents that are over. It reads nothing of the desk, so
        it may run in a thread. What a clock that is ahead published counts as published now.
        """
        since, found = now - self._remember, dict[str, list[tuple[Alert, int]]]()
        for alert, published in records:
            changes = found.setdefault(alert.data.incident, [])
            if published < since:
                changes.clear()
            changes.append((alert, min(published, now)))
            if published < since and not alert.firing:
                del found[alert.data.incident]
        return sorted((each for changes in found.values() for each in changes), key=lambda each: each[1])

    def respond(self, word: Acknowledgement | Silence) -> None:
        """Take in what somebody said of incidents."""
        self._state.respond(word)

    # what goes out

    def due(self, now: int, ready: Callable[[str], bool]) -> list[Notification]:
        """Return what is to go out now, the most urgent first; for each sink that is `ready` at most one of a group.

        Notifications that are under way are returned again: who delivers knows which those are.
        """
        firing: list[Labels] = []
        if self._routing.inhibitions:
            firing = [
                self._routing.labels_of(held.latest) for held in self._state.incidents.values() if held.latest.firing
            ]
        inhibited, silenced = self._routing.holding_back(firing), silencing(self._state.responses.active(now))
        self._escalate(now, silenced)

        def held_back(labels: Labels) -> bool:
            return inhibited(labels) or silenced(labels)

        found = []
        for name, group in list(self._state.groups.items()):
            if not ready(group.sink):
                continue
            if group.mend(now):
                self._state.touch(group=name)
            if group.sending is not None and self._is_past(group, group.sending):
                group.members.update(group.sending.told)  # perhaps it heard of them, so it hears that they are over
                group.sending = None
            if group.sending is None:
                self._plan(name, group, now, held_back)
            if group.sending is not None:
                found.append(self._notification(group, group.sending))
        return sorted(found, key=lambda each: (urgency(each.severity), not each.firing, each.at, each.key))

    def _escalate(self, now: int, silenced: Callable[[Labels], bool]) -> None:
        """Raise the severity of what people heard of and nobody acknowledged for as long as a route of it says."""
        for incident, held in self._state.incidents.items():
            if held.told is None or held.raised or not held.latest.firing or self._attended(incident):
                continue
            routes = (self._routes[group.route] for group in self._state.groups_of(incident))
            after = min((each.escalate_after for each in routes if each.escalate_after is not None), default=None)
            if after is not None and now >= held.told + after and not silenced(self._routing.labels_of(held.latest)):
                held.escalate(after)
                self._state.touch(incident=incident)
                self._grouping.put(held.latest, now)

    def _plan(self, name: str, group: AlertGroup, now: int, held_back: Callable[[Labels], bool]) -> None:
        """Write down what is to go out next for a group, if it is time; let go of a group that is done."""
        route, rules = self._routes[group.route], self._sinks[group.sink]
        fresh = self._untold(name, group, now, held_back)
        if not fresh and not any(
            change != self._state.latest(member).id or self._state.latest(member).firing
            for member, change in group.members.items()
        ):
            self._state.drop(name)
            return
        told = [member for member, change in group.members.items() if change != NEVER_TOLD]
        open_now = [member for member in told if member not in fresh and self._state.latest(member).firing]
        if route.muted(now) or not (fresh or open_now):
            return
        reminder, attended = not fresh, all(self._attended(member) for member in open_now)
        changed_hands = reminder and rules.acknowledges and attended != group.attended
        if reminder and attended and not (rules.refresh or changed_hands):
            return
        if not changed_hands and now < self._time_of(group, route, rules, reminder=reminder):
            return
        chosen = sorted((*fresh, *open_now), key=self._rank)
        group.count += 1
        group.sending = Sending(
            key=digest(group.key, str(group.count)),
            told={member: self._state.latest(member).id for member in chosen},
            changed=fresh,
            more=0 if rules.most is None else max(len(chosen) - rules.most, 0),
            reminder=reminder,
            at=now,
            attended=attended if changed_hands else None,
            word=self._state.responses.in_words(open_now) if changed_hands else "",
        )
        self._state.sent(name)

    def _is_past(self, group: AlertGroup, sending: Sending) -> bool:
        """Tell whether a sink that pages could not be told of something that is over by now."""
        open_then = (self._change(incident, change).firing for incident, change in sending.told.items())
        open_now = any(self._state.latest(incident).firing for incident in sending.told)
        return self._sinks[group.sink].pages and any(open_then) and not open_now

    def _change(self, incident: str, change: str) -> Alert:
        return next(alert for alert in self._state.incidents[incident].changes if alert.id == change)

    def _attended(self, incident: str) -> bool:
        return self._state.responses.attending(incident) is not None

    def _untold(self, name: str, group: AlertGroup, now: int, held_back: Callable[[Labels], bool]) -> list[str]:
        """Return the incidents that the sink knows otherwise, or not at all; note those that it need not know of."""
        fresh, rules, pending = [], self._sinks[group.sink], self._routes[group.route].pending
        for member, change in list(group.members.items()):
            held = self._state.incidents[member]
            latest = held.latest
            if change == latest.id:
                continue
            back = held_back(self._routing.labels_of(latest)) or (
                change == NEVER_TOLD and (held.lasted(now) < pending or self._returns.too_often(held, now))
            )
            over = not latest.firing
            needless = over and (
                not rules.tells_resolved
                or (
                    change == NEVER_TOLD
                    and (back or (self._state.began is not None and held.arrived < self._state.began))
                )
            )
            if needless:
                group.members[member] = latest.id
                self._state.touch(group=name)
            elif over and change != NEVER_TOLD and not rules.refresh and self._returns.flaps(held, now):
                continue  # it is likely to come back, and its sink knows it as open
            elif over or not back:
                if over and self._returns.count(held):
                    self._state.touch(incident=member)
                fresh.append(member)
        return fresh

    def _time_of(self, group: AlertGroup, route: Route, rules: SinkRules, *, reminder: bool) -> int:
        """Return when the next notification of a group may go out."""
        if group.last is None:
            return group.since + route.group_wait
        if not reminder:
            return group.last + route.group_interval
        every = [each for each in (route.repeat_interval, rules.refresh) if each is not None]
        return group.last + min(every) if every else 1 << 62

    def _rank(self, incident: str) -> tuple[int, bool, int, str]:
        alert = self._state.latest(incident)
        return urgency(alert.severity), not alert.firing, alert.opened, incident

    def _notification(self, group: AlertGroup, sending: Sending) -> Notification:
        alerts, earlier = [], []
        for incident, change in list(sending.told.items())[: self._sinks[group.sink].most]:
            changes = self._state.incidents[incident].changes
            ids = [alert.id for alert in changes]
            before = group.members.get(incident, NEVER_TOLD)
            at = ids.index(change)
            alerts.append(changes[at])
            earlier += changes[ids.index(before) + 1 if before in ids else 0 : at]
        return Notification(
            key=sending.key,
            sink=group.sink,
            group_key=group.key,
            route=group.route,
            labels={
                name: value
                for name, value in group.labels.items()
                if all(self._routing.labels_of(alert).get(name, "") == value for alert in alerts)
            },
            alerts=tuple(alerts),
            changed=frozenset(sending.changed),
            earlier=tuple(earlier),
            more=sending.more,
            thread=group.thread,
            reminder=sending.reminder,
            at=sending.at,
            owned={alert.data.model: self._routing.owned(alert.data.model) for alert in alerts},
            attended=sending.attended,
            word=sending.word,
        )

    # what came of it

    def told(self, notification: Notification, thread: str, now: int) -> None:
        """The sink has it. `thread` is what later ones of the group answer to."""
        for name, group, sending in self._sent(notification):
            group.members.update(sending.told)
            group.last, group.sending = now, None
            if sending.attended is not None:
                group.attended = sending.attended
            elif not sending.reminder:
                group.attended = group.attended and all(map(self._attended, sending.changed))
            group.thread = group.thread or thread
            self._state.touch(group=name)
            escalates = self._routes[group.route].escalate_after is not None
            for incident in sending.told:
                held = self._state.incidents[incident]
                if escalates and held.told is None:
                    held.told = now
                    self._state.touch(incident=incident)
                self._state.trim(incident)

    def refuse(self, notification: Notification, title: str, reason: str, now: int) -> None:
        """The sink will never take it: note that, and go on as if it had."""
        self._state.refuse(Refused(notification.sink, notification.key, title, reason, now))
        self.told(notification, "", now)

    def _sent(self, notification: Notification) -> Iterator[tuple[str, AlertGroup, Sending]]:
        for name, group in self._state.groups.items():
            if group.sending is not None and group.sending.key == notification.key:
                yield name, group, group.sending
                return

    def forget(self, now: int) -> None:
        """Let go of incidents that were over so long ago that nobody will publish them again."""
        for incident, held in list(self._state.incidents.items()):
            told = self._state.names_of(incident)
            if not told and not held.latest.firing and held.arrived < now - self._remember:
                self._state.forget(incident)
                self._returns.forget(held.latest)
        self._state.forget_responses(now - self._remember)

    @property
    def refused(self) -> Sequence[Refused]:
        """The latest dead letters."""
        return self._state.refused

    @property
    def open(self) -> list[Alert]:
        """The incidents that fire, the most urgent first."""
        return [
            held.latest
            for _, held in sorted(self._state.incidents.items(), key=lambda each: self._rank(each[0]))
            if held.latest.firing
        ]

    @property
    def waiting(self) -> int:
        """How many notifications are written down and not delivered."""
        return sum(group.sending is not None for group in self._state.groups.values())

    # what is stored

    def writes(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last call; None deletes one."""
        return self._state.writes()

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up what was stored. Raises `StateCorrupt`.

        Groups of sinks that no route names are in `lost`. They stay stored, in case the sink is named again.
        """
        groups, renamed = self._state.restore(blobs), {rules.was: name for name, rules in self._sinks.items()}
        for held in self._state.incidents.values():
            self._returns.note(held.latest, held.since)
        for name in list(groups):
            group = groups.pop(name)
            group.members = {member: told for member, told in group.members.items() if member in self._state.incidents}
            before = group.route, group.sink
            if group.sink not in self._sinks:
                group.sink = renamed.get(group.sink, group.sink)
            route = self._route_of(group)
            told = [member for member, change in group.members.items() if change != NEVER_TOLD]
            if route is None and told:
                if any(self._state.latest(member).firing for member in told):
                    self.lost[group.sink].append(group.key)
                continue
            if route is None or not group.members:
                self._state.touch(group=name)
                continue
            if group.sending is not None and not self._has(group.sending):
                group.members.update(group.sending.told)
                group.sending = None
            there = name
            if (route.path, group.sink) != before:
                group.route, anew = route.path, name_of(route, group.labels)
                there = name if anew in groups or anew in self._state.groups else anew
                self._state.touch(group=name)
                self._state.touch(group=there)
            self._state.add(there, group)
        for held in sorted(self._state.incidents.values(), key=lambda each: each.since):
            if held.latest.firing:
                self._grouping.put(held.latest, held.arrived)

    def _has(self, sending: Sending) -> bool:
        """Tell whether all changes that a notification tells are still there."""
        told = sending.told.items()
        return all(
            incident in self._state.incidents and change in map(_id, self._state.incidents[incident].changes)
            for incident, change in told
        )

    def _route_of(self, group: AlertGroup) -> Route | None:
        """Return a group's route as routes are now: one to its sink that takes its incidents, or else any to it."""
        if group.sink not in self._sinks:
            return None
        taken = [
            route
            for member in group.members
            for route in self._routing.taken_by(self._routing.labels_of(self._state.latest(member)))
        ]
        there = [route for route in (*taken, *self._routes.values()) if route.sink == group.sink]
        same = (route for route in taken if route.sink == group.sink and route.path == group.route)
        return next(same, there[0] if there else None)


def _id(alert: Alert) -> str:
    return alert.id


def _place(alert: Alert) -> tuple[int, bool]:
    """Return the place of a change among those of its incident."""
    return alert.changed, not alert.firing
