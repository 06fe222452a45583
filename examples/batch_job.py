"""A nightly job that scores a table and publishes each row as an event of its own time.

KAFKA=localhost:9094 python examples/batch_job.py customers.csv

The table has the columns id, at (RFC 3339), age and city.
"""

import csv
import math
import os
import sys
from pathlib import Path

from driftline import DriftlineError, Publisher


def probability(age: int) -> float:
    """Stand in for your model."""
    return 1 / (1 + math.exp(0.1 * (age - 40)))


def publish_all(table: Path, publisher: Publisher) -> int:
    """Score the rows, oldest first, and publish them. Returns their number."""
    with table.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["at"])
    for row in rows:
        age = int(row["age"])
        publisher.publish(
            model="churn-nightly",
            model_version="3",
            event_id=f"{table.stem}-{row['id']}",  # the same in a second run, so that repeats can be told
            event_time=row["at"],
            features={"age": age, "city": row["city"] or None},
            prediction=probability(age),
        )
    return len(rows)


def main() -> None:
    """Publish the table that the command line names; fail if an event was not delivered."""
    topic = os.environ.get("PREDICTIONS", "predictions")
    try:
        # The end of the context waits until Kafka has all of them.
        with Publisher(os.environ.get("KAFKA", "localhost:9092"), predictions=topic, flush_s=60) as publisher:
            published = publish_all(Path(sys.argv[1]), publisher)
    except DriftlineError as error:
        sys.exit(f"not all was published: {error}")
    print(f"published {published} events to {topic}")


if __name__ == "__main__":
    main()
