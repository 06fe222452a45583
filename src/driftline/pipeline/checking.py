"""What is wrong with settings beyond their form, found without a connection to anything."""

from collections.abc import Iterator
from pathlib import Path

from driftline.config import ALL_MODELS, LearnSettings, Settings, format_duration, missing_profiles
from driftline.config.models import SEASONS
from driftline.errors import InputError
from driftline.formats.listed import FORMATS
from driftline.log.kafka_checking import setting_faults
from driftline.state.address import parse_redis_url


def faults_of(settings: Settings) -> list[str]:
    """Return a line for each fault, all of them."""
    return [
        *setting_faults(settings.kafka),
        *_redis_faults(settings),
        *missing_profiles(settings),
        *_profile_faults(settings),
        *_detector_faults(settings),
        *_format_faults(settings),
        *_season_faults(settings),
    ]


def _redis_faults(settings: Settings) -> Iterator[str]:
    """Look for the files that a URL names; it is never quoted, for a password may be in any part of it."""
    if settings.redis.url is None:
        return
    options = parse_redis_url(settings.redis.url.get_secret_value()).options
    if "path" in options and not Path(options["path"]).is_socket():
        yield "redis.url: names a socket that does not exist; correct the path, and check that Redis runs here"
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in options and not Path(options[name]).is_file():
            yield f"redis.url: {name} names a file that does not exist; correct the path"


def _profile_faults(settings: Settings) -> list[str]:
    if not any(settings.model(name).profiles for name in settings.models):
        return []
    from driftline.pipeline.task_settings import profile_faults  # what reads profiles takes half a second to load

    return profile_faults(settings)


def _detector_faults(settings: Settings) -> Iterator[str]:
    for name, model in settings.models.items():
        for signal, detectors in model.detectors.items():
            for each in detectors:
                from driftline.pipeline.plugins import detector

                try:
                    detector(each)
                except InputError as error:
                    yield f"models.{name}.detectors.{signal}: {str(error).removeprefix('detectors: ')}"


def _format_faults(settings: Settings) -> Iterator[str]:
    for at, each in enumerate(settings.topics.predictions):
        if each.format in FORMATS:
            continue  # loading it takes half a second
        from driftline.pipeline.plugins import input_format

        try:
            input_format(each.format)
        except InputError as error:
            yield f"topics.predictions[{at}].format: {str(error).removeprefix('formats: ')}"


def _season_faults(settings: Settings) -> Iterator[str]:
    """Find references that are written down and shorter than the season needs."""
    common = settings.models.get(ALL_MODELS)
    for name, own in settings.models.items():
        model = settings.model(name)
        written = "reference" in own.model_fields_set or (common and "reference" in common.model_fields_set)
        learned = model.reference
        if not written or model.season is None or not isinstance(learned, LearnSettings) or learned.period_ms is None:
            continue
        from driftline.evidence.seasons import MIN_SEASONS  # it counts, and what counts takes half a second to load

        needed = MIN_SEASONS * SEASONS[model.season]
        if learned.period_ms < needed:
            verb = "previous" if learned.renewed else "learn"
            yield (
                f"models.{name}.season: {model.season} needs a reference of {MIN_SEASONS} {model.season}s or more, "
                f'and "{learned}" is shorter; write reference: {verb} {format_duration(needed)}'
            )
