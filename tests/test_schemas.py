"""The JSON Schemas of typed documents are published beside the code, and current."""

import json
from importlib import import_module
from importlib.resources import files

import jsonschema
import pytest

DOCUMENTS = {
    "driftline.cli.acls_document": "acls",
    "driftline.cli.documents": "commands",
    "driftline.cli.profile_document": "profile",
    "driftline.cli.status_document": "status",
    "driftline.observe.health": "health",
    "driftline.tasks.views": "views",
}


@pytest.mark.parametrize(("module", "name"), DOCUMENTS.items())
def test_a_published_schema_is_current(module: str, name: str) -> None:
    package, made = module.rpartition(".")[0], import_module(module).schema()
    jsonschema.Draft202012Validator.check_schema(made)
    file = files(package).joinpath(f"{name}.schema.json")
    write = f"run: python -m {module} > src/{package.replace('.', '/')}/{name}.schema.json"
    assert json.loads(file.read_text()) == made, write
