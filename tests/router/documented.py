"""What receivers take, as their documentation has it: a message that is any different is refused, as they would."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema

from driftline.router.sinks.receiver import Received

DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"


def _object(required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object without further fields."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _text(most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most}


def _pagerduty() -> dict[str, Any]:
    """https://developer.pagerduty.com/docs/send-alert-event"""
    payload = _object(
        "summary source severity",
        summary=_text(1_024),
        source=_text(1_024),
        severity={"enum": ["critical", "warning", "error", "info"]},
        timestamp={"type": "string", "pattern": DATE},
        component=_text(1_024, 0),
        group=_text(1_024, 0),
        custom_details={"type": "object"},
        **{"class": _text(1_024)},
    )
    event = _object(
        "routing_key event_action dedup_key",
        routing_key=_text(32, 32),
        event_action={"enum": ["trigger", "acknowledge", "resolve"]},
        dedup_key=_text(255),
        client={"type": "string"},
        payload=payload,
    )
    triggers = {"properties": {"event_action": {"const": "trigger"}}}
    return {**event, "if": triggers, "then": {"required": ["payload"]}}


def _slack() -> dict[str, Any]:
    """https://docs.slack.dev/reference/block-kit/blocks and https://docs.slack.dev/reference/methods/chat.postMessage"""

    def text(kind: str, most: int) -> dict[str, Any]:
        return _object("type text", type={"const": kind}, text=_text(most), emoji={"type": "boolean"})

    fields = {"type": "array", "minItems": 1, "maxItems": 10, "items": text("plain_text", 2_000)}
    either = {"oneOf": [text("plain_text", 3_000), _object("type text", type={"const": "mrkdwn"}, text=_text(3_000))]}
    blocks = [
        _object("type text", type={"const": "header"}, text=text("plain_text", 150)),
        _object("type text", type={"const": "section"}, text=either),
        _object("type fields", type={"const": "section"}, fields=fields),
    ]
    return _object(
        "channel text blocks",
        channel=_text(100),
        text=_text(4_000),
        mrkdwn={"const": False},
        unfurl_links={"const": False},
        blocks={"type": "array", "minItems": 1, "maxItems": 50, "items": {"oneOf": blocks}},
        metadata=_object("event_type event_payload", event_type=_text(100), event_payload={"type": "object"}),
        thread_ts={"type": "string", "pattern": r"^\d{10}\.\d{6}$"},
        reply_broadcast={"type": "boolean"},
    )


def _teams() -> dict[str, Any]:
    """https://adaptivecards.io/explorer and the wrapper of a workflow's webhook"""
    text = {"type": "string", "minLength": 1}
    block = _object("type text", type={"const": "TextBlock"}, text=text, wrap={"const": True})
    run = _object(
        "type text",
        type={"const": "TextRun"},
        text=text,
        weight={"enum": ["Bolder"]},
        size={"enum": ["Medium"]},
        color={"enum": ["Good", "Warning", "Attention"]},
    )
    runs = {"type": "array", "minItems": 1, "items": run}
    plain = _object("type inlines", type={"const": "RichTextBlock"}, inlines=runs)
    card = _object(
        "type version body",
        type={"const": "AdaptiveCard"},
        version={"const": "1.4"},
        body={"type": "array", "minItems": 1, "items": {"oneOf": [block, plain]}},
        msteams=_object("width", width={"const": "Full"}),
        **{"$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"}},
    )
    attachment = _object(
        "contentType content",
        contentType={"const": "application/vnd.microsoft.card.adaptive"},
        contentUrl={"type": "null"},
        content=card,
    )
    return _object(
        "type attachments",
        type={"const": "message"},
        attachments={"type": "array", "minItems": 1, "maxItems": 1, "items": attachment},
    )


def _opsgenie() -> dict[str, Any]:
    """https://docs.opsgenie.com/docs/alert-api: to create an alert, or to close it"""
    create = _object(
        "message alias",
        message=_text(130),
        alias=_text(512),
        description=_text(15_000),
        source=_text(100),
        entity=_text(512, 0),
        priority={"enum": ["P1", "P2", "P3", "P4", "P5"]},
        tags={"type": "array", "maxItems": 20, "uniqueItems": True, "items": _text(50)},
        details={"type": "object", "additionalProperties": {"type": "string"}},
    )
    return {"oneOf": [create, _object("source note", source=_text(100), note=_text(25_000))]}


def _alertmanager() -> dict[str, Any]:
    """https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml"""
    names = {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^[a-zA-Z_][a-zA-Z0-9_]*$": {"type": "string", "minLength": 1}},
    }
    alert = _object(
        "labels annotations startsAt endsAt",
        labels={**names, "required": ["alertname"]},
        annotations=names,
        startsAt={"type": "string", "pattern": DATE},
        endsAt={"type": "string", "pattern": DATE},
    )
    return {"type": "array", "minItems": 1, "items": alert}


SCHEMAS = {
    "alertmanager": _alertmanager(),
    "opsgenie": _opsgenie(),
    "pagerduty": _pagerduty(),
    "slack": _slack(),
    "teams": _teams(),
}


def _utf16(body: bytes) -> int:
    return len(body.decode().encode("utf-16-le"))


SIZES: Mapping[str, tuple[Callable[[Any, bytes], int], int]] = {
    "pagerduty": (lambda event, body: len(body), 512 * 1024),
    "teams": (lambda card, body: max(len(body), _utf16(body)), 28 * 1024),
    "slack": (lambda message, body: len(json.dumps(message["blocks"], ensure_ascii=False)), 13_000),
    "opsgenie": (
        lambda alert, body: sum(map(len, (part for fact in alert.get("details", {}).items() for part in fact))),
        8_000,
    ),
}
"""What is limited as a whole, and to how much: bytes, or characters."""


def refuse_what_is_not_documented(sink: str, received: Received) -> None:
    """Raise what is wrong with a request, if anything is."""
    jsonschema.validate(received.json, SCHEMAS[sink])
    if sink in SIZES:
        size, most = SIZES[sink]
        assert size(received.json, received.body) <= most, f"it is larger than {sink} takes"
