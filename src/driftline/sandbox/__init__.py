"""Real Kafka and Redis servers on loopback, for the tests and `driftline bench`. Never for production."""

from driftline.sandbox.errors import SandboxError
from driftline.sandbox.find import Kafka, Redis, find_kafka, find_redis
from driftline.sandbox.kafka import KafkaServer
from driftline.sandbox.kafka_cluster import KafkaBrokers
from driftline.sandbox.redis import RedisServer
from driftline.sandbox.redis_cluster import RedisNodes
from driftline.sandbox.redis_sentinels import RedisSentinels

__all__ = [
    "Kafka",
    "KafkaBrokers",
    "KafkaServer",
    "Redis",
    "RedisNodes",
    "RedisSentinels",
    "RedisServer",
    "SandboxError",
    "find_kafka",
    "find_redis",
]
