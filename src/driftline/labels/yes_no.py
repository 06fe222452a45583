"""What yes and no are called, and which of some classes scores are of."""

from collections.abc import Sequence
from typing import Final

YES: Final = ("1", "true", "yes", "y", "t", "positive", "pos")
NO: Final = ("0", "false", "no", "n", "f", "negative", "neg")
"""What the other class is called beside each."""


def positive(names: Sequence[str]) -> str:
    """Return of classes the one that scores are counted of.

    >>> positive(["no", "yes"]), positive(["fraud", "legit"]), positive(["True", "False"])
    ('yes', 'legit', 'True')
    """
    return max(names, key=lambda name: (name.lower() in YES, name.lower() not in NO, name))
