"""What a person resolved is over for everybody, and a new incident if it goes on after the cooldown."""

from collections.abc import Iterable

import msgspec

from driftline.incidents.alerts import alert_of
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.panes.records import Resolve, decode_command
from driftline.tasks.resolved import Resolved
from tests.alerts import alert_validator
from tests.tasks.changes import Stream, panes_of, shift_x, watching
from tests.tasks.test_reference_choice import after, judging, run

HOUR = 3_600_000
SIGNAL = Signal("features.x", 9.0, {"mean_before": 1.0, "mean_after": 2.0})


def incident(model: str = "churn", end: int = HOUR, *, opened: int = HOUR) -> Incident:
    window = Window(end - HOUR, end, 100)
    return Incident(Subject(model, "", ""), Kind.DATA_DRIFT, Status.FIRING, opened, window, [SIGNAL], "", "x moved.")


def ended(held: Incident, end: int) -> Incident:
    return msgspec.structs.replace(
        held, status=Status.RESOLVED, resolved=end, window=Window(end - HOUR, end, 100), summary="back."
    )


def command(held: Incident, cooldown: int = 5 * HOUR) -> Resolve:
    return Resolve(held.id, "ada", "new prices", cooldown, 0)


class World:
    """Those who judge, as far as they are seen from here."""

    def __init__(self, *incidents: Incident) -> None:
        self.open = {each.id: each for each in incidents}
        self.resolved = Resolved(self.open.values)
        self.blobs: dict[str, bytes | None] = {}

    def changed(self, *incidents: Incident) -> list[Incident]:
        for each in incidents:
            self.open[each.id] = each
        told = self.resolved.tell(incidents)
        for each in incidents:
            if each.status is Status.RESOLVED:
                del self.open[each.id]
        return told

    def restart(self) -> None:
        self.blobs |= self.resolved.checkpoint()
        self.resolved = Resolved(self.open.values)
        self.resolved.restore({name: blob for name, blob in self.blobs.items() if blob is not None})

    @property
    def seen(self) -> list[Incident]:
        return [each for each in map(self.resolved.seen, self.open.values()) if each is not None]


def valid(told: Iterable[Incident]) -> list[Incident]:
    found = list(told)
    for each in found:
        alert_validator().validate(msgspec.json.decode(alert_of(each, group="g").encode()))
    return found


def test_a_command_is_read_back() -> None:
    assert decode_command(command(incident()).encode()) == command(incident())


def test_what_a_person_resolves_is_over_and_nothing_more_is_told_of_it() -> None:
    held, other = incident(), incident("fraud")
    world = World(held, other)

    (over,) = valid(world.resolved.obey(command(held), 3 * HOUR))

    assert (over.id, over.status, over.resolved) == (held.id, Status.RESOLVED, 3 * HOUR)
    assert "resolved by ada: new prices. If it continues, a new incident opens after 5 hours." in over.summary
    assert world.seen == [other]
    world.restart()
    assert world.changed(incident(end=4 * HOUR)) == [], "it goes on"
    assert world.resolved.obey(command(held), 4 * HOUR) == [], "it is over already"
    assert world.changed(ended(held, 5 * HOUR)) == [], "that was told"
    assert (world.resolved.deadline, world.resolved.wake(9 * HOUR)) == (None, [])
    world.restart()
    assert world.blobs == {"resolved": None}, "nothing is kept of it"


def test_what_goes_on_after_the_cooldown_is_a_new_incident_to_its_end() -> None:
    held = incident()
    world = World(held)
    world.resolved.obey(command(held), 3 * HOUR)
    assert world.resolved.deadline == 8 * HOUR
    assert world.resolved.wake(8 * HOUR - 1) == []

    (anew,) = valid(world.resolved.wake(8 * HOUR))
    world.restart()

    assert (anew.status, anew.opened, anew.fingerprint) == (Status.FIRING, 8 * HOUR, held.fingerprint)
    assert anew.id != held.id
    assert "ada resolved it 5 hours ago, but it continues." in anew.summary
    assert [each.id for each in world.seen] == [anew.id]
    assert world.resolved.wake(20 * HOUR) == [], "once"
    (update,) = valid(world.changed(incident(end=9 * HOUR)))
    (over,) = valid(world.changed(ended(held, 10 * HOUR)))
    assert (update.id, over.id, over.status) == (anew.id, anew.id, Status.RESOLVED)


def test_what_comes_back_by_itself_is_another_incident_and_may_be_resolved_again() -> None:
    held = incident()
    world = World(held)
    world.resolved.obey(command(held), 3 * HOUR)
    world.changed(ended(held, 4 * HOUR))
    back = incident(end=5 * HOUR, opened=5 * HOUR)
    assert world.changed(back) == [back]
    (over,) = world.resolved.obey(command(back), 5 * HOUR)
    (anew,) = world.resolved.wake(10 * HOUR)
    assert over.id == back.id
    (again,) = world.resolved.obey(command(anew), 11 * HOUR)
    assert (again.id, again.status) == (anew.id, Status.RESOLVED)
    assert world.seen == []


def test_judge_obeys_wherever_it_is_restarted_and_says_so_in_its_view() -> None:
    """x moves in the seventh hour for five hours; a person resolves it in the eighth, with a cooldown of two hours."""
    how = watching()
    (sent,) = panes_of(Stream(shift_x, begin=7, end=12, hours=13), 1, how)
    _, before, _ = run(judging(how), sent)
    held = next(each.incident for each in before if each.incident.kind is Kind.DATA_DRIFT)
    values = after(sent, 8, command(held, 2 * HOUR))

    _, alerts, _ = run(judging(how), values)
    _, restarted, _ = run(judging(how), values, cuts=range(0, len(values), 7))

    assert [each.alert.id for each in restarted] == [each.alert.id for each in alerts]
    told = [each.incident for each in alerts if each.incident.fingerprint == held.fingerprint]
    opened, over, anew, end = (each for each in told if each.update is None)
    assert (opened.id, over.id, anew.id, end.id) == (held.id, held.id, anew.id, anew.id)
    assert [each.status for each in (over, anew, end)] == [Status.RESOLVED, Status.FIRING, Status.RESOLVED]
    assert "resolved by ada" in over.summary
    assert anew.opened - (over.resolved or 0) == 2 * HOUR
    assert all(each.window.end >= anew.opened for each in told[told.index(anew) :])
    resting, _, _ = run(judging(how), values[: values.index(command(held, 2 * HOUR).encode()) + 1])
    assert not any(each.kind == held.kind for subject in resting.view().subjects for each in subject.incidents)
    assert resting.open_incidents()["m", held.kind] == 0


def test_each_rests_for_its_own_cooldown() -> None:
    soon, late = incident(), incident("fraud")
    world = World(soon, late)
    world.resolved.obey(command(soon, HOUR), 3 * HOUR)
    world.resolved.obey(command(late, 2 * HOUR), 3 * HOUR)
    assert [each.subject.model for each in world.resolved.wake(4 * HOUR)] == ["churn"]
    assert [each.subject.model for each in world.resolved.wake(5 * HOUR)] == ["fraud"]
