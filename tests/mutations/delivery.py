"""Mutations of what people hear: each change, once, in order, and not more than they asked for."""

from driftline.router.desk import Desk
from driftline.router.patience import Held, Returns
from driftline.router.sinks import _packaged, http
from driftline.router.sinks.apprise import AppriseSink
from driftline.tasks.resolved import Resolved
from tests.mutations.places import Mutation

CONFORMANCE = "tests/router/test_conformance.py"
DESK = "tests/router/test_desk.py"
PATIENCE = "tests/router/test_patience.py"
RESOLVED = "tests/tasks/test_resolved.py"

MUTATIONS = (
    Mutation(
        "a sink follows a redirect with its secret",
        http.Http.post,
        "self._session.post(url, data=BytesIO(body), headers=sent, allow_redirects=False)",
        "self._session.post(url, data=BytesIO(body), headers=sent)",
        (CONFORMANCE,),
    ),
    Mutation(
        "Apprise follows a redirect",
        AppriseSink._services,
        "apprise.AppriseAsset(http_redirects=False)",
        "apprise.AppriseAsset()",
        (CONFORMANCE,),
    ),
    Mutation(
        "a sink comes back sooner than it is asked to",
        http._judge,
        "Later(reason, seconds(retry_after))",
        "Later(reason)",
        (CONFORMANCE,),
    ),
    Mutation(
        "a packaged sink does not get its title and time-out",
        _packaged,
        "{**common, **settings.options}",
        "settings.options",
        (CONFORMANCE,),
    ),
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
