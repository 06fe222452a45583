"""What is not Python is held to rules as well: compose file, workflow, image, lock and documents."""

import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from driftline.sandbox.containers import KAFKA_IMAGE, REDIS_IMAGE
from driftline.sandbox.kafka_jars import KAFKA_FILES, KAFKA_VERSION

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def schema_errors(name: str, document: dict[str, Any]) -> list[str]:
    """Return the faults of `document` by a schema that check-jsonschema carries."""
    package = find_spec("check_jsonschema")
    assert package is not None
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "builtin_schemas" / "vendor" / f"{name}.json"
    schema = json.loads(file.read_text())
    return [f"{error.json_path}: {error.message}" for error in validator_for(schema)(schema).iter_errors(document)]


def workflow(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text())
    loaded["on"] = loaded.pop(True)  # YAML 1.1 reads `on` as a boolean
    return dict(loaded)


def test_the_compose_file_fits_its_schema() -> None:
    assert schema_errors("compose-spec", COMPOSE) == []


@pytest.mark.parametrize("fault", [{"imagee": "x"}, {"ports": 9092}, {"depends_on": {"kafka": {"condition": "ready"}}}])
def test_the_compose_schema_refuses_faults(fault: dict[str, object]) -> None:
    assert schema_errors("compose-spec", {"services": {"kafka": {"image": "x"} | fault}}) != []


def test_the_workflow_fits_its_schema() -> None:
    faults = schema_errors("github-workflows", workflow(ROOT / ".github/workflows/ci.yml"))
    assert faults == []


def test_the_example_workflow_fits_its_schema() -> None:
    assert schema_errors("github-workflows", workflow(ROOT / "deploy/rebuild/github-workflow.yml")) == []


def test_the_workflow_runs_every_supported_python() -> None:
    supported = {
        item.removeprefix("Programming Language :: Python :: ")
        for item in PROJECT["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", item)
    }
    jobs = workflow(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert set(jobs["test"]["strategy"]["matrix"]["python"]) == supported


def test_every_dependency_of_a_service_exists_and_says_when_it_is_met() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], f"{name} waits for the health of {needed}, which has no check"


def test_named_volumes_are_declared() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    named = {volume.partition(":")[0] for volume in mounts if isinstance(volume, str)}
    assert named == set(COMPOSE["volumes"])
    for mount in mounts:
        if not isinstance(mount, str):
            assert mount["bind"] == {"create_host_path": False}, "Docker would make a folder of what is not there"


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_have_no_rights_that_they_do_not_need(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert any(mount.startswith("/tmp") for mount in service["tmpfs"])


def test_the_worker_scales() -> None:
    worker = SERVICES["worker"]
    assert not {"container_name", "ports", "hostname"} & worker.keys()
    assert worker["stop_grace_period"] == "35s"


def test_the_demo_feeds_data_only_when_asked() -> None:
    assert SERVICES["demo-data"]["profiles"] == ["demo"]


def test_redis_evicts_nothing_and_logs_writes() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_every_part_runs_the_same_kafka_and_redis() -> None:
    assert SERVICES["kafka"]["image"] == KAFKA_IMAGE
    assert SERVICES["redis"]["image"] == REDIS_IMAGE
    versions = re.findall(
        r"<artifactId>kafka\S+</artifactId>\s*<version>(\S+)</version>", (KAFKA_FILES / "pom.xml").read_text()
    )
    assert versions == [KAFKA_VERSION, KAFKA_VERSION]


def dockerfile() -> list[list[str]]:
    """Return the Dockerfile's instructions, continued lines joined, split into words."""
    text = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_runs_as_nobody_in_particular_in_exec_form() -> None:
    instructions = dockerfile()
    users = [int(words[1].partition(":")[0]) for words in instructions if words[0] == "USER"]
    assert users
    assert users[-1] >= 10_000
    for words in instructions:
        if words[0] in {"CMD", "ENTRYPOINT"}:
            assert isinstance(json.loads(" ".join(words[1:])), list)


def test_the_image_is_built_in_stages_and_without_development_tools() -> None:
    instructions = dockerfile()
    assert sum(words[0] == "FROM" for words in instructions) == 2
    syncs = [words for words in instructions if words[0] == "RUN" and {"uv", "sync"} <= set(words)]
    assert syncs
    for words in syncs:
        assert {"--frozen", "--no-dev"} <= set(words)
        assert "--extra worker" in " ".join(words)


def test_the_build_context_holds_what_the_image_copies() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source for words in dockerfile() if words[0] == "COPY" and "--from=build" not in words for source in words[1:-1]
    }
    assert copied == kept


def test_the_lock_names_one_public_index_and_where_it_keeps_its_files() -> None:
    lock = (ROOT / "uv.lock").read_text()
    assert len(set(re.findall(r'registry = "([^"]+)"', lock))) == 1
    addresses = re.findall(r"(https?)://([^/\"]+)", lock)
    assert {scheme for scheme, _ in addresses} == {"https"}
    hosts = {host for _, host in addresses}
    assert len(hosts) == 2
    assert all(re.fullmatch(r"[a-z.]+\.org", host) for host in hosts), "no mirror, no port, no credentials"


def declared() -> set[str]:
    requirements = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["worker"],
        *(each for each in PROJECT["project"]["optional-dependencies"]["router"] if "driftline" not in each),
        *(each for group in PROJECT["dependency-groups"].values() for each in group),
    ]
    return {re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in requirements}


def test_every_dependency_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/dependencies.md").read_text().partition("## Left out")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    names = [row[0] for row in rows if row[0] not in {"library", "---"}]
    assert {name for cell in names for name in cell.split(", ")} == declared()


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/dependencies.md"])
def test_documents_name_only_files_and_targets_that_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named_targets = set(re.findall(r"\bmake (\w+)", text)) - {"up"}
    assert named_targets <= targets
    for path in re.findall(r"`((?:src|tests|docs|deploy|\.ci)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_issue_forms_are_forms_as_github_reads_them(name: str) -> None:
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
    assert {"name", "description", "body"} <= form.keys()
    assert {part["type"] for part in form["body"]} <= {"input", "textarea"}
    assert all(part["attributes"]["label"] for part in form["body"])
    assert len({part["id"] for part in form["body"]}) == len(form["body"])


def test_hooks_before_a_commit_run_what_ci_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    ci = (ROOT / ".ci/run").read_text()
    assert all(f"step {hook['entry'].removeprefix('make ')}" in ci for hook in hooks)
