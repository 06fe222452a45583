"""Partitioned logs: Kafka, librdkafka's mock of it inside this process, and one in memory.

`api` is the contract; `kafka.KafkaLog`, `embedded.EmbeddedLog` and `memory.MemoryLog` keep it. Import them from their
modules: the first two load librdkafka.
"""
