from pathlib import Path
from typing import Any

import pytest

from driftline.errors import InputError
from driftline.tables import ColumnMapping

COLUMNS = ["id", "when", "age", "city", "answer", "score", "truth"]


def test_features_are_all_columns_that_are_nothing_else() -> None:
    mapping = ColumnMapping.build(
        model="churn",
        id_column="id",
        time_column="when",
        prediction_column="answer",
        score_column="score",
        label_column="truth",
        segment_columns=("city",),
    )

    assert mapping.features(COLUMNS) == ("age",)


def test_named_features_may_be_segments_too() -> None:
    mapping = ColumnMapping.build(model="churn", segment_columns=("city",), feature_columns=("city", "age"))

    assert mapping.features(COLUMNS) == ("city", "age")


def test_options_lie_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text("model: churn\nmodel_version: 3\ntime_column: when\nsegment_columns: [city]\n")

    mapping = ColumnMapping.build(file, model="other", time_column=None)

    assert (mapping.model, mapping.model_version, mapping.time_column) == ("other", "3", "when")
    assert mapping.segment_columns == ("city",)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"time_column": "wen"}, '--time-column: the table has no column "wen"; did you mean when?'),
        ({"feature_columns": ("age", "Ctiy")}, '--feature-columns: the table has no column "Ctiy"; did you mean city?'),
    ],
)
def test_what_does_not_fit_the_table_is_refused(options: dict[str, Any], complaint: str) -> None:
    mapping = ColumnMapping.build(model="churn", **options)

    with pytest.raises(InputError) as caught:
        mapping.features(COLUMNS)

    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        ("", {}, "--model: is missing; name the model, or its column with --model-column"),
        ("model: a\nid_colum: b\n", {}, "id_colum: is not a setting; did you mean id_column?"),
        (
            "model: a\nlabel_column: b\nlabel_delay: 7\n",
            {},
            "--label-delay: 7 has no unit",
        ),
        ("model: a\nmodel: b\n", {}, 'the key "model" is here again'),
    ],
)
def test_faults_of_the_options_are_named(tmp_path: Path, text: str, options: dict[str, str], complaint: str) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text(text)

    with pytest.raises(InputError) as caught:
        ColumnMapping.build(file, **options)

    assert complaint in str(caught.value)


def test_a_missing_mapping_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: cannot be read: No such file"):
        ColumnMapping.build(tmp_path / "gone.yaml", model="a")
