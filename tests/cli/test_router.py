from pathlib import Path

from driftline.sandbox import Kafka
from tests.cli.conftest import Driftline
from tests.router.webhook import configuration, receiving


def test_check_sends_a_test_alert_and_says_what_came_back(
    driftline: Driftline, kafka: Kafka, redis_url: str, unique_name: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        config = configuration(tmp_path, kafka, redis_url, unique_name, "alerts", receiver.url)
        receiver.failing = 0.0
        found = driftline("router", "check", "--config", config)
        assert (found.status, [body["status"] for _, body in receiver.got]) == (0, ["firing", "resolved"])
        assert "taken" in found.out
        receiver.failing = 1.0
        failing = driftline("router", "check", "--config", config)
        assert (failing.status, "HTTP 500" in failing.out) == (1, True)
        config.write_text(config.read_text().replace(receiver.url, "http://127.0.0.1:1/hook"))
        missing = driftline("router", "check", "--config", config, "--json")
        unknown = driftline("router", "check", "--config", config, "--sink", "opps")
    assert missing.status == 1
    assert missing.json[0][0]["delivered"] is False
    assert "did you mean ops" in unknown.err


def test_plan_says_where_an_alert_would_go_and_why(driftline: Driftline, tmp_path: Path) -> None:
    config = tmp_path / "driftline.yaml"
    config.write_text(
        """
router:
  sinks:
    ops: {type: webhook, url: "http://localhost/secret-path"}
    pager: {type: pagerduty, routing_key: abcdefgh}
  route:
    sink: ops
    routes:
      - {match: ['severity="critical"', team=growth], sink: pager}
  labels: {churn: {team: growth}}
"""
    )
    found = driftline("router", "plan", "--config", config, "-l", "severity=critical", "-l", "model=churn", "--json")
    (planned,) = found.json[0]
    assert (planned["sink"], planned["route"]) == ("pager", "route.routes[0]")
    assert planned["because"] == 'severity="critical" and team="growth"'
    shown = driftline("config", "show", "--config", config)
    assert "abcdefgh" not in shown.out
    assert "secret-path" not in shown.out
