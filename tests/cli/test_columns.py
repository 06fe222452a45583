from driftline.cli.app import COMMANDS, load
from driftline.cli.columns import mapping_options
from driftline.tables import ColumnMapping


def test_every_field_of_the_mapping_is_an_option_of_publish() -> None:
    publish = load(next(entry for entry in COMMANDS if entry.name == "publish"))

    options = {name for parameter in publish.params for name in parameter.opts}

    assert {f"--{name.replace('_', '-')}" for name in ColumnMapping.model_fields} | {"--mapping"} <= options


def test_a_command_receives_the_options_as_one_mapping() -> None:
    received: list[ColumnMapping] = []

    @mapping_options
    def command(mapping: ColumnMapping) -> None:
        received.append(mapping)

    nothing = dict.fromkeys([*ColumnMapping.model_fields, "mapping_file"])
    command(**nothing | {"model": "m", "segment_columns": "a, b"})

    assert received == [ColumnMapping.build(model="m", segment_columns=("a", "b"))]
