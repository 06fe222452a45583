"""Mutations of what people hear: each change, once, in order, and not more than they asked for."""

from driftline.router import across
from driftline.router.desk import Desk
from driftline.router.grouping import Grouping
from driftline.router.patience import Held, Returns
from driftline.router.sinks import _packaged, http, webhook
from driftline.router.sinks.apprise import AppriseSink
from driftline.tasks.resolved import Resolved
from tests.mutations.places import Mutation

ACROSS = "tests/router/test_across.py"
CONFORMANCE = "tests/router/test_conformance.py"
DESK = "tests/router/test_desk.py"
PATIENCE = "tests/router/test_patience.py"
RESOLVED = "tests/tasks/test_resolved.py"

MUTATIONS = (
    Mutation(
        "an incident whose end nobody read stays open for ever",
        Desk.take,
        "self._end_earlier(alert, published)",
        "pass",
        (DESK,),
    ),
    Mutation(
        "what several models report alike is told by each of them",
        Grouping._first,
        "name in self._state.names_of(other)",
        "False",
        (ACROSS,),
    ),
    Mutation(
        "who is told with whom depends on who came first",
        Grouping._is_first,
        "self._state.groups[name].count > 0 or order(self._state.latest(other)) < order(alert)",
        "True",
        (ACROSS,),
    ),
    Mutation(
        "models whose windows lie apart report the same",
        across.meet,
        "one[0] <= other[1] and other[0] <= one[1]",
        "True",
        (ACROSS,),
    ),
    Mutation(
        "a pager that was away wakes people for what is over",
        Desk._is_past,
        "self._sinks[group.sink].pages and any(open_then) and not open_now",
        "False",
        ("tests/router/test_deliveries.py",),
    ),
    Mutation(
        "a sink never hears the end of what it knows where a route was changed",
        Desk._route_of,
        "return next(same, there[0] if there else None)",
        "return next(same, None)",
        (DESK,),
    ),
    Mutation(
        "Alertmanager gets labels of a name that it refuses",
        webhook._alert,
        "_named(labels)",
        "labels",
        ("tests/router/test_limits.py", "tests/router/test_alertmanager.py"),
    ),
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
        http.judge,
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
        "len(self._came(held, now, held.since)) > self._limit.times",
        "False",
        (PATIENCE,),
    ),
    Mutation(
        "what keeps coming back closes each time",
        Returns.flaps,
        "len(self._came(held, now, now)) >= limit.times",
        "False",
        (PATIENCE,),
    ),
    Mutation(
        "a page is lost with the key that was revoked",
        http.judge,
        "status in REFUSED and not CLOSED.search(said)",
        "status in REFUSED",
        ("tests/router/test_sinks.py",),
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
