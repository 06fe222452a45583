from pathlib import Path

import pytest

from driftline.config import LearnSettings, Settings, load, missing_profiles
from driftline.errors import ConfigError

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def in_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "driftline.yaml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def faults(text: str = "", env: dict[str, str] | None = None) -> list[str]:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    return str(caught.value).splitlines()


def test_everything_has_a_default() -> None:
    settings = load(env={})

    assert settings == Settings()
    assert settings.kafka == {}
    assert settings.max_out_of_orderness == 30_000
    assert settings.model("any").reference == LearnSettings(period_ms=86_400_000)


def test_the_file_of_the_documentation_is_read() -> None:
    path = write(
        """
        kafka: {bootstrap.servers: "localhost:9092"}
        redis: {url: "redis://localhost:6379/0"}
        max_out_of_orderness: 45s
        models:
          "*":     {windows: [10m, {size: 1h, every: 10m}], false_alarms: 1 per 30d}
          churn:   {reference: profiles/churn.profile, references: {3: v3.profile}, segments: [tenant]}
          fraud:   {reference: learn 50000 events, thresholds: {"*": {psi: 0.2}}}
        """,
        "deploy/driftline.yaml",
    )

    settings = load(path, {})

    churn, fraud = settings.model("churn"), settings.model("fraud")
    assert settings.kafka == {"bootstrap.servers": "localhost:9092"}
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == "redis://localhost:6379/0"
    assert settings.max_out_of_orderness == 45_000
    assert [(window.size, window.hop) for window in churn.windows] == [(600_000, 600_000), (3_600_000, 600_000)]
    assert churn.false_alarms.count == 1
    assert churn.profiles == {
        "reference": Path("deploy/profiles/churn.profile"),
        "references.3": Path("deploy/v3.profile"),
    }
    assert fraud.reference == LearnSettings(events=50_000)
    assert fraud.thresholds == {"*": {"psi": 0.2}}


def test_the_file_is_the_named_one_else_the_variables_else_the_one_that_is_there() -> None:
    write("group: here")
    write("group: variable", "b.yaml")
    write("group: named", "c.yaml")

    assert load(env={}).group == "here"
    assert load(env={"DRIFTLINE_CONFIG": "b.yaml"}).group == "variable"
    assert load(Path("c.yaml"), {"DRIFTLINE_CONFIG": "b.yaml"}).group == "named"


def test_the_environment_lies_on_top_of_the_file_key_by_key() -> None:
    path = write("{group: file, redis: {prefix: file}, kafka: {bootstrap.servers: file, client.id: file}}")

    settings = load(
        path,
        {
            "DRIFTLINE_GROUP": "env",
            "DRIFTLINE_REDIS__URL": "redis://env",
            "DRIFTLINE_KAFKA": '{"bootstrap.servers": "env"}',
            "DRIFTLINE_KAFKA__SASL_PASSWORD": "0123",
            "DRIFTLINE_METRICS__PORT": "9100",
            "DRIFTLINE_IDLE_TIMEOUT": "5m",
            "DRIFTLINE_MODELS": "{churn: {windows: [1h]}}",
            "DRIFTLINE_TOPICS__ALERTS": "",
            "DRIFTLINE_TOPICS__PREDICTIONS": "[a, {topic: b, format: ndjson}]",
            "DRIFTLINE_ROUTER__LABELS": '{"churn": {"team": "growth"}}',
            "DRIFTLINE_ROUTER__ROUTE": "{group_wait: 5s}",
            "HOME": "/root",
        },
    )

    assert (settings.group, settings.redis.prefix, settings.metrics.port, settings.idle_timeout) == (
        "env",
        "file",
        9100,
        300_000,
    )
    assert settings.kafka == {"bootstrap.servers": "env", "client.id": "file", "sasl.password": "0123"}
    assert settings.model("churn").windows[0].size == 3_600_000
    assert settings.topics.alerts == "alerts"
    assert settings.topics.inputs == ("a", "b")
    assert settings.router.labels == {"churn": {"team": "growth"}}
    assert settings.router.route.group_wait == 5_000
    assert load(env={"DRIFTLINE_TOPICS__PREDICTIONS": "2026"}).topics.inputs == ("2026",), "a name is no number"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("modles: {}", "modles: is not a setting; did you mean models? (driftline.yaml, line 1)"),
        ("redis: {ulr: x}", "redis.ulr: is not a setting; did you mean url? (driftline.yaml, line 1)"),
        (
            "models:\n  churn: {refrence: x}",
            "models.churn.refrence: is not a setting; did you mean reference? (driftline.yaml, line 2)",
        ),
        (
            "models:\n  churn:\n    windows:\n    - {size: 1h, evry: 1m}",
            "models.churn.windows[0].evry: is not a setting; did you mean every? (driftline.yaml, line 4)",
        ),
        (
            "models:\n  churn: {windows: [10m, 10 parsecs]}",
            'models.churn.windows[1]: "10 parsecs" is not a duration; write a number and one of ms, s, m, h, d, w, '
            "such as 10m (driftline.yaml, line 2)",
        ),
        ("max_out_of_orderness: 30", "max_out_of_orderness: 30 has no unit; write 30s for seconds"),
        ("disorder: 30s", "disorder: is not a setting; write max_out_of_orderness"),
        ("quiet: 30s", "quiet: is not a setting; write idle_timeout"),
        ("idle_timeout: 0s", "idle_timeout: must be longer than 0"),
        ("models: {a: {windows: []}}", "models.a.windows: must have at least one window, such as [10m]"),
        ("models: {a: {windows: 10m}}", "models.a.windows: must be a list, such as [a, b]"),
        ("models: {a: {windows: [1h, 60m]}}", "models.a.windows: 1h is listed twice; keep one"),
        ("models: {a: {windows: [{size: 10m, every: 1h}]}}", "models.a.windows[0]: every 1h leaves gaps"),
        ("models: {a: {pane: 7m}}", "models.a.pane: 7m does not divide 10m"),
        ("models: {'*': {windows: [1500ms]}}", "models.*.windows: no pane of 1s or more divides 1500ms"),
        ("models: {a: {false_alarms: 1 per moon}}", 'models.a.false_alarms: "moon" is not a duration'),
        ("models: {a: {false_alarms: none}}", 'models.a.false_alarms: "none" is not a budget'),
        ("models: {a: {reference: learn a lot}}", 'models.a.reference: "learn a lot" does not say what to learn from'),
        ("models: {a: {thresholds: {x: {pis: 1}}}}", 'models.a.thresholds.x: "pis" is not a metric; did you mean psi?'),
        ("models: {a: {min_effect: 2}}", "models.a.min_effect: must be 1 or less, not 2"),
        ("limits: {models: 0}", "limits.models: must be 1 or more, not 0"),
        ("group: 7", "group: must be text; put it in quotes, not 7"),
        ("topics: {alerts: 'a b'}", "topics.alerts: may only have letters, digits, dots, dashes and underscores"),
        ("topics: {alerts: predictions}", 'topics: predictions and alerts are both "predictions"'),
        ("topics: {labels: predictions}", 'topics: predictions and labels are both "predictions"'),
        ("models: {a: {awaits_labels: 30}}", "models.a.awaits_labels: 30 has no unit; write 30s for seconds"),
        ("models: {a: {awaits_labels: 0d}}", "models.a.awaits_labels: must be longer than 0"),
        ("models: {a: {label_sample: 0.1}}", "models.a.label_sample: is not a share; write a number of percent"),
        ("models: {a: {label_sample: 120%}}", "models.a.label_sample: must be 1 or less"),
        ("label_clock: now", "label_clock: must be 'arrival' or 'label_time', not 'now'"),
        ("models: {a: {season: 1w}}", "models.a.season: must be 'day' or 'week', not '1w'"),
        ("kafka: {linger.ms: 5}", "kafka: bootstrap.servers is missing"),
        ("kafka: {bootstrap.servers: [a, b]}", "kafka.bootstrap.servers: must be text, a number, true or false"),
        ("redis: {url: localhost}", "redis.url: has an unknown scheme: write it as redis://"),
        ("redis: {url: 'redis://'}", "redis.url: names no host"),
        ("metrics: {port: 70000}", "metrics.port: must be 65535 or less, not 70000"),
        ("router: {sinks: {a: {kind: slack}}}", "router.sinks.a: needs a 'type', such as `type: webhook`"),
        ("router: {sinks: {a: {type: slak}}}", "router.sinks.a: 'type' must be one of 'webhook', 'alertmanager', "),
        ("router: {sinks: {a: {type: webhook, url: 3}}}", "router.sinks.a.url: must be text; put it in quotes"),
        ("router: {sinks: {a: {type: webhook}}}", "router.sinks.a.url: is missing"),
        ("router: {sinks: {webhook: {type: webhook}}}", "router.sinks.webhook.url: is missing"),
        (
            "router: {sinks: {a: {type: slack, token: x, channel: y, txt: z}}}",
            "router.sinks.a.txt: is not a setting; did you mean text?",
        ),
        (
            "router: {sinks: {a: {type: pagerduty, routing_key: {file: x, fil: x}}}}",
            "router.sinks.a.routing_key.fil: is not a setting; did you mean file?",
        ),
        (
            "router: {sinks: {a: {type: email, host: h, sender: a@b, to: [a@b], username: u}}}",
            "router.sinks.a: username and password go together; set both or neither",
        ),
        (
            "router: {sinks: {a: {type: email, host: h, sender: a@b, to: [ops]}}}",
            "router.sinks.a.to[0]: must be a mail address, such as ml@example.com",
        ),
        ("router: {sinks: {a: 5}}", "router.sinks.a: must be a mapping"),
        ("router: {hours: {night: {from: '25:00'}}}", "router.hours.night.from: must be a time of day in quotes"),
        ("group: a\ngroup: b", 'driftline.yaml: line 2, column 1: the key "group" is here again (first on line 1)'),
        ("group: {a", "driftline.yaml: line 1, column"),
    ],
)
def test_a_fault_is_one_line_with_key_reason_and_mend(text: str, line: str) -> None:
    assert [fault[: len(line)] for fault in faults(text)] == [line]


def test_all_faults_are_told_at_once() -> None:
    assert len(faults("{group: 7, max_ahead: 5, modles: {}, limits: {depth: 0}}")) == 4


def test_variables_have_the_same_checks() -> None:
    assert faults(env={"DRIFTLINE_REDIS_URL": "x"}) == [
        "DRIFTLINE_REDIS_URL: is not a setting; did you mean DRIFTLINE_REDIS__URL?"
    ]
    assert faults(env={"DRIFTLINE_MAX_OUT_OF_ORDERNESS": "5"})[0].endswith("(DRIFTLINE_MAX_OUT_OF_ORDERNESS)")
    assert faults(env={"DRIFTLINE_KAFKA": "{"})[0].startswith("DRIFTLINE_KAFKA: line 1, column")


def test_variables_that_kubernetes_gives_every_container_are_no_settings() -> None:
    names = ("DRIFTLINE_SERVICE_HOST", "DRIFTLINE_PORT", "DRIFTLINE_PORT_80_TCP_ADDR", "DRIFTLINE_REDIS_SERVICE_PORT")

    assert load(env=dict.fromkeys(names, "10.0.0.1")) == Settings()


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("nowhere.yaml", "nowhere.yaml: no such file"), (".", "cannot be read"), ("latin.yaml", "is not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_named(path: str, complaint: str) -> None:
    Path("latin.yaml").write_bytes(b"group: caf\xe9")

    with pytest.raises(ConfigError, match=complaint):
        load(Path(path), {})
    with pytest.raises(ConfigError, match=r"DRIFTLINE_CONFIG|UTF-8"):
        load(env={"DRIFTLINE_CONFIG": path})


def test_profiles_that_are_not_there_are_named_with_what_makes_them() -> None:
    write("", "here.profile")
    path = write("models: {a: {reference: here.profile, references: {2: gone.profile}}, b: {reference: learn 1d}}")

    assert missing_profiles(load(path, {})) == [
        "models.a.references.2: gone.profile does not exist; "
        "build it with `driftline profile build TABLE --output gone.profile`, or correct the path"
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"kafka: {{bootstrap.servers: a, sasl.password: [{SECRET}]}}",
        f"kafka: {{sasl.password: {SECRET}}}",
        f"redis: {{url: 'http://u:{SECRET}@h'}}",
        f"redis: {{url: 'redis://u:{SECRET}@h:port'}}",
        f"kafka: {{sasl.password: '{SECRET}' x}}",
        f"kafka: {{sasl.password: {SECRET}, sasl.password: b}}",
        f"kafka: {SECRET}",
    ],
)
def test_no_fault_repeats_a_secret(text: str) -> None:
    assert SECRET not in "\n".join(faults(text))


def test_settings_never_print_their_secrets() -> None:
    settings = load(
        write(f"{{kafka: {{bootstrap.servers: a, sasl.password: {SECRET}}}, redis: {{url: 'redis://:{SECRET}@h'}}}}"),
        {},
    )

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_a_file_that_has_no_end_is_not_read_to_it() -> None:
    with pytest.raises(ConfigError, match=r"/dev/zero: has more than 1,000,000 bytes .*; is this the right file"):
        load(Path("/dev/zero"), {})
