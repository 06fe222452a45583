"""What librdkafka says of its settings, without a connection to anything."""

from confluent_kafka import KafkaException, Producer

from driftline.errors import ConfigError
from driftline.log.kafka_errors import client_logger, error_of
from driftline.log.kafka_settings import OWNED, Settings, checked

_BROKERS = ("bootstrap.servers", "metadata.broker.list")


def setting_faults(settings: Settings) -> list[str]:
    """Return a line for each setting that is not librdkafka's, has a wrong value, or is Driftline's own to set.

    Settings are tried one by one, and together if each is right by itself: files that are not there, and logins of
    which a part is missing, are found then.
    """
    faults = []
    for key in settings:
        try:
            checked({_BROKERS[0]: "-", key: settings[key]})
        except ConfigError as error:
            faults.append(str(error))
    own = {key: value for key, value in settings.items() if key not in (*_BROKERS, *OWNED)}
    alone = [fault for key, value in own.items() if (fault := _fault({key: value}, f"kafka.{key}"))]
    together = "" if alone else _fault(own, "kafka")
    return faults + (alone or [together] if alone or together else [])


def _fault(settings: Settings, name: str) -> str:
    try:
        Producer(dict(settings), logger=client_logger())
    except KafkaException as exception:
        # librdkafka may quote a value, and that may be a secret.
        said = error_of(exception).str().removeprefix("Failed to create producer: ")
        for value in settings.values():
            said = said.replace(f'"{value}"', "its value") if len(str(value)) > 1 else said
        return f"{name}: {said}. Correct the setting; librdkafka's CONFIGURATION.md lists all of them"
    return ""
