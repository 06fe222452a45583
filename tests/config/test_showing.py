import json
from pathlib import Path

import jsonschema
import pytest

from driftline.config import Loaded, load_with_origins, masked, schema, show
from driftline.config.document import parse_document
from driftline.config.secrets import MASK, masked_url

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "driftline.schema.json"
TEXT = """\
group: "on 10"
kafka: {bootstrap.servers: "a:1,b:2", sasl.password: hunter2, linger.ms: 5, enable.ssl: false}
redis: {url: "redis://me:hunter2@h:6379/0"}
models:
  "*": {windows: [10m, {size: 1h, every: 10m}], false_alarms: 2.5 per 1w}
  churn: {reference: churn.profile, thresholds: {"*": {psi: 0.2}}}
"""


def loaded(tmp_path: Path, text: str, env: dict[str, str]) -> Loaded:
    file = tmp_path / "driftline.yaml"
    file.write_text(text)
    return load_with_origins(file, env)


def test_what_is_shown_can_be_read_back(tmp_path: Path) -> None:
    first = loaded(tmp_path, TEXT.replace("hunter2", "x"), {"DRIFTLINE_GROUP": "no: # [1]"})

    shown = show(first).replace(f'"{MASK}"', "x").replace(MASK, "x")

    assert loaded(tmp_path, shown, {}).settings.model_dump() == first.settings.model_dump() | {
        "models": loaded(tmp_path, shown, {}).settings.model_dump()["models"]
    }
    again = loaded(tmp_path, shown, {}).settings
    assert again.model("churn") == first.settings.model("churn")
    assert again.model("*") == first.settings.model("*")


def test_each_line_says_where_its_value_came_from(tmp_path: Path) -> None:
    lines = show(loaded(tmp_path, TEXT, {"DRIFTLINE_REDIS__PREFIX": "blue"})).splitlines()

    def line(start: str) -> str:
        return next(line.strip() for line in lines if line.strip().startswith(start))

    assert line("group:") == f"group: on 10  # {tmp_path}/driftline.yaml, line 1"
    assert line("prefix:") == "prefix: blue  # DRIFTLINE_REDIS__PREFIX"
    assert line("max_out_of_orderness:") == "max_out_of_orderness: 30s  # default"
    assert line("windows:").startswith("windows: [10m, {size: 1h, every: 10m}]  # ")
    assert line("min_events:") == "min_events: 30  # default"


def test_secrets_are_masked(tmp_path: Path) -> None:
    first = loaded(tmp_path, TEXT, {})

    assert "hunter2" not in show(first)
    assert "hunter2" not in json.dumps(masked(first.settings))
    assert masked(first.settings)["redis"]["url"] == f"redis://me:{MASK}@h:6379/0"


@pytest.mark.parametrize(
    "key",
    [
        *("sasl.password", "sasl.kerberos.kinit.cmd", "sasl.kerberos.keytab", "sasl.jaas.config"),
        *("sasl.oauthbearer.config", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.extensions"),
        *("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.assertion.private.key.passphrase"),
        *("sasl.oauthbearer.assertion.file", "sasl.oauthbearer.assertion.claim.sub", "sasl.what.comes.later"),
        *("ssl.key.password", "ssl.key.pem", "ssl.certificate.pem", "ssl.keystore.location", "ssl.engine.id"),
        *("ssl_keystore_password", "SASL.OAUTHBEARER.CONFIG", "sasl_kerberos_kinit_cmd"),
        *("confluent.monitoring.interceptor.sasl.kerberos.kinit.cmd", "my.plugin.api.key", "my.plugin.credentials"),
    ],
)
def test_settings_of_librdkafka_that_hold_a_secret_are_masked(tmp_path: Path, key: str) -> None:
    """`sasl.oauthbearer.config` among them: it is free text, in the form that whoever makes the tokens asks for."""
    first = loaded(tmp_path, f"kafka: {{bootstrap.servers: h, {key}: 'principal=me hunter2'}}", {})

    assert "hunter2" not in show(first)
    assert masked(first.settings)["kafka"] == {"bootstrap.servers": "h", key: MASK}


@pytest.mark.parametrize("value", ["https://me:hunter2@idp/token", "http://hunter2@h", "-----BEGIN KEY-----hunter2"])
def test_a_secret_within_a_value_is_masked_whatever_its_key(tmp_path: Path, value: str) -> None:
    for key in ("sasl.oauthbearer.token.endpoint.url", "client.rack"):
        first = loaded(tmp_path, f"kafka: {{bootstrap.servers: h, {key}: '{value}'}}", {})

        assert "hunter2" not in show(first)


def test_what_holds_no_secret_is_shown(tmp_path: Path) -> None:
    """What one must see to find out why a login fails."""
    plain = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.username": "me",
        "sasl.oauthbearer.token.endpoint.url": "https://idp.example/token",
        "sasl.kerberos.principal": "me@REALM",
        "ssl.ca.location": "/etc/ca.crt",
        "enable.ssl.certificate.verification": "true",
        "ssl.endpoint.identification.algorithm": "none",
        "plugin.library.paths": "monitoring",
        "linger.ms": "5",
    }
    first = loaded(tmp_path, json.dumps({"kafka": {"bootstrap.servers": "h", **plain}}), {})

    assert {key: masked(first.settings)["kafka"][key] for key in plain} == plain


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:pw@h", f"redis://:{MASK}@h"),
        ("redis://u:p@w@h", f"redis://u:{MASK}@h"),
        ("rediss://h?password=pw", f"rediss://h?{MASK}"),
        ("redis+sentinel://u:p@h:1,g:2/s?sentinel_password=q", f"redis+sentinel://u:{MASK}@h:1,g:2/s?{MASK}"),
        ("redis+sentinel://h:1,g:2/s?sentinel_password=q@r", f"redis+sentinel://{MASK}"),
        ("redis+cluster://:p,q@h:1,g:2", f"redis+cluster://:{MASK}@h:1,g:2"),
        ("redis://:p?w@h", f"redis://{MASK}"),
        ("unix://u@/run/redis.sock", "unix://u@/run/redis.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked_url(url) == shown


def test_the_schema_in_the_documentation_is_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == schema(), "run: driftline config schema > docs/driftline.schema.json"


def test_the_schema_accepts_what_loads_and_what_is_shown(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())

    validator.validate(parse_document(TEXT).data)
    validator.validate(parse_document(show(loaded(tmp_path, TEXT, {}))).data)


@pytest.mark.parametrize("text", ["modles: {}", "max_ahead: 30", "models: {a: {windows: [10]}}", "limits: {models: 0}"])
def test_the_schema_refuses_what_does_not_load(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse_document(text).data, schema())
