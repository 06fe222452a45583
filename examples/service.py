"""A FastAPI service that publishes what its model was asked and what it answered.

pip install driftline fastapi uvicorn
KAFKA=localhost:9094 uvicorn examples.service:app
curl localhost:8000/churn -H 'content-type: application/json' -d '{"age": 34, "city": "Oslo", "tenant": "acme"}'
"""

import logging
import math
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from pydantic import BaseModel

from driftline import DriftlineError, Publisher

log = logging.getLogger(__name__)

FLUSH_S = 10.0
"""How long the end of the process waits for Kafka: less than whoever stops it does."""


class Customer(BaseModel):
    """What the service is asked."""

    age: int
    city: str
    tenant: str


class Answer(BaseModel):
    """What it answers."""

    event_id: str
    churns: float


def probability(customer: Customer) -> float:
    """Stand in for your model."""
    return 1 / (1 + math.exp(0.1 * (customer.age - 40)))


def not_monitored(error: DriftlineError) -> None:
    """Go on serving while Kafka is away: events are lost, answers are not."""
    log.error("%s", error)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one publisher for as long as the process serves: made after a fork, and closed once all is delivered."""
    topic = os.environ.get("PREDICTIONS", "predictions")
    brokers = os.environ.get("KAFKA", "localhost:9092")
    with Publisher(brokers, predictions=topic, on_error=not_monitored, max_block_s=0, flush_s=FLUSH_S) as publisher:
        app.state.publisher = publisher
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/churn")
def churn(customer: Customer, request: Request) -> Answer:
    """Answer, and publish the answer: that takes microseconds, for it only goes into a queue of this process."""
    started = time.perf_counter()
    churns = probability(customer)
    publisher: Publisher = request.app.state.publisher
    event_id = publisher.publish(
        model="churn",
        model_version="3",
        features={"age": customer.age, "city": customer.city},
        prediction={"proba": {"yes": churns, "no": 1 - churns}, "label": "yes" if churns > 0.5 else "no"},
        segment={"tenant": customer.tenant},
        latency_ms=(time.perf_counter() - started) * 1_000,
    )
    return Answer(event_id=event_id, churns=churns)
