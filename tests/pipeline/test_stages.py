import pytest

from driftline.pipeline.stage_topics import panes_partition


@pytest.mark.parametrize(
    ("model", "partitions", "expected"),
    [("fraud", 12, 10), ("churn", 12, 0), ("кредит", 12, 3), ("fraud", 5, 2), ("", 12, 0)],
)
def test_a_models_panes_meet_in_the_partition_in_which_every_release_puts_them(
    model: str, partitions: int, expected: int
) -> None:
    """Workers of two releases run side by side in an upgrade: each must send a model's panes to the same Judge."""
    assert panes_partition(model, partitions) == expected
