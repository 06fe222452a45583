"""Mutations of what people hear: each change, once, in order, and not more than they asked for."""

from driftline.router.desk import Desk
from driftline.router.patience import Held, Returns
from driftline.tasks.resolved import Resolved
from tests.mutations.places import Mutation

DESK = "tests/router/test_desk.py"
PATIENCE = "tests/router/test_patience.py"
RESOLVED = "tests/tasks/test_resolved.py"

MUTATIONS = (
    Mutation(
        "the router tells a change that it was told of before",
        Desk.take,
        "_place(alert) <= _place(held.latest)",
        "False",
        (DESK,),
    ),
    Mutation(
        "the router forgets what a sink has heard of",
        Desk.told,
        "group.members.update(sending.told)",
        "pass",
        (DESK,),
    ),
    Mutation(
        "what is over before it lasted long enough is told",
        Held.lasted,
        "(now if self.latest.firing else self.arrived) - self.since",
        "now",
        (PATIENCE,),
    ),
    Mutation(
        "what somebody acknowledged escalates",
        Desk._escalate,
        "self._attended(incident)",
        "False",
        (PATIENCE,),
    ),
    Mutation(
        "what came back too often is told all the same",
        Returns.too_often,
        "self._count(held, now) > self._limit.times",
        "False",
        (PATIENCE,),
    ),
    Mutation(
        "what a person resolved is told all the same",
        Resolved.seen,
        "None if ended.anew is None else _",
        "incident",
        (RESOLVED,),
    ),
    Mutation(
        "what a person resolved opens again before the cooldown is over",
        Resolved.wake,
        "ended.until <= time",
        "True",
        (RESOLVED,),
    ),
)
