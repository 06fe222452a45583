"""The wheel of NannyML (Apache-2.0): both data sets of the demo are in it, so one download serves both."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from driftline.demo import packages
from driftline.demo.packages import Package

FOLDER: Final = "nannyml/datasets/data"
PACKAGE: Final = Package(
    requirement="nannyml==0.13.1",
    wheel="nannyml-0.13.1-py3-none-any.whl",
    digest="cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869",
    size="23 MB",
    files={
        f"{FOLDER}/{name}": digest
        for name, digest in {
            "synthetic_car_loan_reference.csv": "e6d2e70d8bac3e892764cb96570efb1adebf8f95497e07e96746eb1d94925995",
            "synthetic_car_loan_analysis.csv": "1ecfee47fbce587b423d1eb365cbb7b36265388596dca5b3e1fed0748159529b",
            "synthetic_car_loan_analysis_target.csv": (
                "017d51c34548b57e663d216ad369588fa30d6a9523f94b81ef0a2af148009560"
            ),
            "employment_MA_reference.pq": "21d0e33655666071bde9ed21bf35b24fe14c1476e3dd37a5194b827ad5a570e4",
            "employment_MA_analysis.pq": "591328bcf7e46139660f2cc6b1705a6f2f66edf2418ce2a893cf2892be3f66a7",
            "employment_MA_analysis_target.pq": "c306840f0c092bda7608a09e61e7e715ac2b7fb2d17da8062900c3ecd6fdbe30",
        }.items()
    },
    what="the data of the demo",
    again="driftline demo",
)


def cache_directory() -> Path:
    """Return where the files are kept: $XDG_CACHE_HOME/driftline/nannyml, else under ~/.cache."""
    return packages.cache_directory("nannyml")


@dataclass(frozen=True, slots=True)
class Files:
    """The three files of a data set."""

    reference: Path
    analysis: Path
    truths: Path
    """What was true of `analysis`, by id."""


def obtained(
    reference: str, analysis: str, truths: str, directory: Path | None, *, say: Callable[[str], None]
) -> Files:
    """Return the files of these names, fetched if they are not there yet. A wheel that lies in `directory` is used.

    Raises `InputError` that names the command to run by hand.
    """
    kept = directory or cache_directory()
    packages.obtain(PACKAGE, kept, say=say)
    return Files(kept / reference, kept / analysis, kept / truths)
