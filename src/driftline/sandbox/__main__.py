"""`python -m driftline.sandbox`: fetch what the servers need, start both once, and say where they come from."""

import sys

from driftline.sandbox.errors import SandboxError
from driftline.sandbox.find import find_kafka, find_redis
from driftline.sandbox.kafka_jars import KAFKA_VERSION, cache_directory, find_java, kafka_jars


def main() -> int:
    """Return 0 if the tests and the bench can have both servers."""
    try:
        find_java()
        if not cache_directory().is_dir():
            print(f"Fetching Kafka {KAFKA_VERSION} (about 55 MB) into {cache_directory()}", flush=True)
        kafka_jars()
        with find_redis() as redis:
            print(f"Redis: {redis.origin}")
        with find_kafka() as kafka:
            print(f"Kafka: {kafka.origin}")
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
