"""Why a record is not counted: the one enumeration that dead letters, counters and documentation share."""

from enum import IntEnum


class Reason(IntEnum):
    """A record's fate. ACCEPTED is 0, so a whole batch is tested at once. Numbers are stored: never reuse one."""

    ACCEPTED = 0
    EMPTY = 1
    NOT_UTF8 = 2
    NOT_JSON = 3
    TOO_DEEP = 4
    NOT_AN_OBJECT = 5
    NUMBER_OUT_OF_RANGE = 6
    MISSING_MODEL = 7
    BAD_NAME = 8
    WRONG_TYPE = 9
    NOTHING_TO_WATCH = 10
    BAD_EVENT_TIME = 11
    EVENT_TIME_AHEAD = 12
    EVENT_TIME_BEHIND = 13
    LATE = 14
    # 15 is taken: it stood for a check that was never made.
    TOO_MANY_MODELS = 16
    TOO_MANY_VERSIONS = 17
    EVENT_TIME_UNIT = 18
    MISSING_EVENT_ID = 40
    MISSING_LABEL = 41
    BAD_LABEL_TIME = 42

    @property
    def label(self) -> str:
        """The name in dead letters, counters and commands, such as `not-json`."""
        return self.name.lower().replace("_", "-")


EXPLANATIONS: dict[Reason, str] = {
    Reason.EMPTY: "the record has no value (a tombstone, or zero bytes)",
    Reason.NOT_UTF8: "the value is not valid UTF-8",
    Reason.NOT_JSON: "the value is not JSON; NaN and Infinity are not JSON either: publish null",
    Reason.TOO_DEEP: "objects or arrays are nested too deeply for the decoder",
    Reason.NOT_AN_OBJECT: "the value is JSON, but not an object",
    Reason.NUMBER_OUT_OF_RANGE: "a number is too large for a 64-bit float",
    Reason.MISSING_MODEL: "the event does not name its model",
    Reason.BAD_NAME: "a model, version or segment name is empty, too long, or has control characters",
    Reason.WRONG_TYPE: "a field of the event has the wrong type",
    Reason.NOTHING_TO_WATCH: "the event has neither features nor a prediction",
    Reason.BAD_EVENT_TIME: "event_time is neither RFC 3339 with a zone nor epoch milliseconds",
    Reason.EVENT_TIME_UNIT: "event_time is in seconds, micro- or nanoseconds; write epoch milliseconds or RFC 3339",
    Reason.EVENT_TIME_AHEAD: "event_time is further ahead of the record's own timestamp than `max_ahead` allows",
    Reason.EVENT_TIME_BEHIND: "event_time is further behind the record's own timestamp than `max_age` allows",
    Reason.LATE: "the event came later than `max_out_of_orderness` allows, after its pane was sent",
    Reason.TOO_MANY_MODELS: "one partition has more than twice `limits.models` models",
    Reason.TOO_MANY_VERSIONS: "one partition has more than twice `limits.versions` versions of this model",
    Reason.MISSING_EVENT_ID: "the label does not name its prediction: write the prediction's event_id",
    Reason.MISSING_LABEL: "the event has no label; null withdraws one",
    Reason.BAD_LABEL_TIME: "label_time is neither RFC 3339 with a zone nor epoch milliseconds, or there is no time",
}
