"""Producers that go far beyond every limit, beside a model as it should be."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from driftline.config import LimitSettings

PARTITIONS: Final = 4
"""Of each topic."""
BEYOND: Final = 2.5
"""Of each thing that is limited, so many times as many come."""

Event = dict[str, Any]
Producer = Callable[[random.Random, LimitSettings], Event | bytes]


def _numbers(chance: random.Random) -> Event:
    return {
        "x": chance.gauss(0.0, 1.0),
        "amount": round(chance.lognormvariate(3, 1), 2),
        "city": f"city {chance.randrange(40)}",
    }


def _below(chance: random.Random, limit: int) -> int:
    return chance.randrange(int(BEYOND * limit))


def steady(chance: random.Random, limits: LimitSettings) -> Event:
    """A model as it should be: two versions, some tenants."""
    version, tenant = str(chance.randrange(2)), f"tenant {chance.randrange(50)}"
    return {"model": "steady", "model_version": version, "segment": {"tenant": tenant}, "features": _numbers(chance)}


def models(chance: random.Random, limits: LimitSettings) -> Event:
    """More models than are watched. Their names come last in order, so those below are watched, too."""
    return {"model": f"wide {_below(chance, limits.models)}", "features": _numbers(chance)}


def versions(chance: random.Random, limits: LimitSettings) -> Event:
    """A model with more versions than are watched."""
    return {"model": "versions", "model_version": f"v{_below(chance, limits.versions)}", "features": _numbers(chance)}


def segments(chance: random.Random, limits: LimitSettings) -> Event:
    """A model with more segments than are watched."""
    tenant = f"tenant {_below(chance, limits.segments)}"
    return {"model": "segments", "segment": {"tenant": tenant}, "features": _numbers(chance)}


def groups(chance: random.Random, limits: LimitSettings) -> Event:
    """Every model with versions and segments beyond the limits, at once."""
    return {
        "model": f"wide {_below(chance, limits.models)}",
        "model_version": f"v{_below(chance, limits.versions)}",
        "segment": {"tenant": f"tenant {_below(chance, limits.segments)}"},
        "features": _numbers(chance),
    }


def places(chance: random.Random, limits: LimitSettings) -> Event:
    """Some tenants of every model, again and again, until no place is free."""
    tenants = _below(chance, -(-limits.groups * PARTITIONS // limits.models))
    model, tenant = f"wide {chance.randrange(limits.models)}", f"tenant {tenants}"
    return {"model": model, "segment": {"tenant": tenant}, "features": _numbers(chance)}


def signals(chance: random.Random, limits: LimitSettings) -> Event:
    """A model with more fields than are watched, some of them in each event."""
    names = (f"f{_below(chance, limits.signals)}" for _ in range(40))
    return {"model": "signals", "features": {name: chance.random() for name in names}}


def categories(chance: random.Random, limits: LimitSettings) -> Event:
    """Categories that never come again, short and of 10 kB, and ids that come twice."""
    text = f"{chance.getrandbits(64):x}"
    features = {"token": text, "long": text * (640 if chance.random() < 0.02 else 8)}
    return {"model": "categories", "event_id": chance.getrandbits(12), "features": features}


def names(chance: random.Random, limits: LimitSettings) -> Event:
    """Names as long as they may be and longer, of all that has one."""

    def long(most: int) -> str:
        return (f"{_below(chance, most)} " + "𝄞" * limits.name_length)[: limits.name_length + (chance.random() < 0.1)]

    return {
        "model": long(20), "model_version": long(limits.versions), "segment": {"tenant": long(limits.segments)},
        "features": {long(limits.signals): 1.0},
    }  # fmt: skip


def shapes(chance: random.Random, limits: LimitSettings) -> Event:
    """Another shape each time: nesting, lists, kinds and order."""

    def value(depth: int) -> Any:
        if depth and chance.random() < 0.5:
            return {f"k{chance.randrange(40)}": value(depth - 1) for _ in range(3)}
        return chance.choice([1, 2.5, "text", True, None, [1, "a"], [[]], {}])

    extra = {f"unknown {chance.getrandbits(20)}": value(2)}
    return {
        "model": f"shape {chance.randrange(20)}",
        "features": {"a": value(5), "b": value(5)},
        "tags": extra,
        **extra,
    }


def broken(chance: random.Random, limits: LimitSettings) -> bytes:
    """No events at all."""
    return chance.choice([b"", b"{", b"[" * 100, b"\xff", b'{"model":3}', b'{"model":"m","features":{"x":1e999}}'])


PRODUCERS: Final[Mapping[str, tuple[Producer, float]]] = {
    producer.__name__: (producer, weight)
    for producer, weight in (
        (steady, 3.0), (models, 3.0), (versions, 1.0), (segments, 2.0), (groups, 2.0), (places, 6.0),
        (signals, 0.5), (categories, 1.0), (names, 0.2), (shapes, 0.02), (broken, 0.3),
    )
}  # fmt: skip
"""Who publishes, and how much of the whole."""
