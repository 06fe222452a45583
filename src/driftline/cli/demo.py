"""`driftline demo`: real predictions, a real shift, labels that come late: the whole path."""

import logging
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.demo.scenarios import Scenario, Tables

GROUP = "driftline-demo"
"""On an embedded broker, where nobody else is: ids are the same in each run."""


class DataName(StrEnum):
    """The data sets, by their names in `demo.scenarios`."""

    LOANS = "loans"
    CENSUS = "census"


def demo(
    data: Annotated[
        DataName,
        typer.Option(
            help="loans: synthetic car loans; 30 to 59 days later it is known whether they are repaid. census: real "
            "answers to a US census, whose labels came up to 22 months later."
        ),
    ] = DataName.LOANS,
    publish_only: Annotated[
        bool,
        typer.Option(
            "--publish-only",
            help="Only publish the predictions to the configured Kafka, for workers that already run.",
        ),
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1, help="Spread the events over this many seconds (default: as fast as possible).", show_default=False
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Publish in real time for two minutes, with a pause longer than idle_timeout, and without labels.",
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Watch a model's data drift: 50,000 car-loan predictions, in the middle of which cars become more expensive.

    The demo downloads the package nannyml once (23 MB) for its data sets. It builds a profile from the first half and
    publishes the second, with labels that come late; two workers watch it. The demo prints their alerts, where one
    would have gone, and how well the model works: as estimated before labels came, and by the labels. All of it runs in
    this process with an embedded broker, or on the configured Kafka in topics of its own. Exits with 1 if the result is
    not the expected one.

    \b
    $ driftline demo
    $ driftline demo --data census
    $ driftline demo --seconds 60
    $ driftline demo --live
    $ DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS=localhost:9092 driftline demo
    """
    from driftline.cli.demo_performance import print_performance
    from driftline.cli.demo_result import print_result, print_verdict
    from driftline.cli.demo_run import WORKERS, run
    from driftline.cli.demo_story import tell
    from driftline.cli.terminal import err, note, print_json
    from driftline.config import load
    from driftline.demo.scenarios import SCENARIOS
    from driftline.errors import InputError
    from driftline.observe.logs import LogFormat, set_up_logging

    if live and (publish_only or seconds is not None or data is not DataName.LOANS):
        raise InputError("--live: sets its own pace; leave out --seconds, --publish-only and --data")
    set_up_logging(LogFormat.TEXT, level=logging.ERROR)  # the table tells how it goes
    settings, scenario = load(config), SCENARIOS[data]
    with TemporaryDirectory(prefix="driftline-demo-") as folder:
        with err().status("looking for the data set") as status:
            tables = scenario.prepare(Path(folder), status.update)
        if publish_only:
            _publish_only(settings, scenario, tables, seconds, json)
            return
        profile = Path(folder) / f"{scenario.model}.profile"
        build_profile(scenario, tables, profile)
        own = _demo_settings(settings, scenario, profile, live=live)
        try:
            result = run(own, scenario, tables, seconds=seconds, live=live, quiet=json)
        finally:
            if settings.kafka:
                note(
                    f"the demo leaves these topics on your Kafka: {', '.join(topic for _, topic in own.topics_needed)}"
                )
        faults = result.faults()
        if json:
            print_json(result.document(faults))
        else:
            print_result(result, scenario.after, WORKERS)
            if result.story is not None:
                tell(result.story, result.shown, settings.router)
            if result.performance is not None:
                print_performance(result.performance)
            print_verdict(result, faults)
    if faults:
        raise typer.Exit(PROBLEMS_FOUND)


def _demo_settings(settings: "Settings", scenario: "Scenario", profile: Path, *, live: bool) -> "Settings":
    """Return the user's settings with a group, topics and a model of the demo's own."""
    from driftline.config import ALL_MODELS, ModelSettings, Settings, TopicSettings

    name = f"driftline-demo-{uuid4().hex[:8]}"
    topics = {key: f"{name}.{key}" for key, _ in TopicSettings().named()}
    from driftline.demo import live as pace

    model = ModelSettings.model_validate({**(pace.MODEL if live else scenario.watching), "reference": str(profile)})
    times = Settings.model_validate(pace.SETTINGS)
    own = {
        "group": name if settings.kafka else GROUP,
        "topics": TopicSettings.model_validate(topics),
        "models": {ALL_MODELS: model},
        "checkpoint": 500,
        "label_clock": "label_time",  # labels are of the past, as predictions are
        **({name: getattr(times, name) for name in pace.SETTINGS} if live else {}),
    }
    return Settings.model_construct(**{field: getattr(settings, field) for field in Settings.model_fields} | own)


def build_profile(scenario: "Scenario", tables: "Tables", profile: Path) -> None:
    """Write a profile of the reference: its inputs, and how well the model worked."""
    from driftline.cli.terminal import progress
    from driftline.config import ALL_MODELS, Settings
    from driftline.evidence.profile import encode_profile
    from driftline.offline.backtest import build_references
    from driftline.offline.performance_reference import build_performance_reference
    from driftline.tables import open_table

    settings = Settings.model_validate({"models": {ALL_MODELS: scenario.watching}})
    table, mapping = open_table(tables.reference), scenario.labelled
    with progress() as shown:
        bar = shown.add_task("building the reference", total=table.rows)
        references = build_references(
            settings, table, mapping, progress=lambda events: shown.update(bar, completed=events)
        )
    outcomes, _ = build_performance_reference(settings, table, mapping)
    profile.write_bytes(encode_profile(references, {"": outcomes}))


def _publish_only(
    settings: "Settings", scenario: "Scenario", tables: "Tables", seconds: float | None, as_json: bool
) -> None:
    from driftline.cli.connect import open_kafka
    from driftline.cli.publish import Pace, send
    from driftline.cli.result_documents import DemoPublished
    from driftline.cli.terminal import out, print_json
    from driftline.cli.topics import create_missing
    from driftline.log.embedded import PARTITIONS
    from driftline.tables import iter_events, open_table

    kafka = open_kafka(settings)
    create_missing(kafka, settings, PARTITIONS, PARTITIONS)
    table = open_table(tables.predictions)
    pace = Pace(None if seconds is None else table.rows / seconds)
    producer = kafka.producer()
    try:
        sent = send(iter_events(table, scenario.mapping), settings.topics.main, producer, pace, table.rows)
    finally:
        producer.close()
    if as_json:
        print_json(DemoPublished(sent))
    else:
        out().print(f"published {sent:,} predictions of model {scenario.model} to {settings.topics.main}")
