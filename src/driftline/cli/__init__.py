"""The `driftline` command.

Exit status: 0 done; 1 done, and problems were found; 2 wrong usage, configuration or input; 3 Kafka or Redis does not
answer; 130 interrupted by Ctrl-C; 143 ended by SIGTERM (`run`: 0, it was told to stop).
"""

import sys

from driftline.errors import DriftlineError, LogUnavailable, StateUnavailable

PROBLEMS_FOUND = 1
REFUSED = 2
UNAVAILABLE = 3


def main() -> None:
    """Run the command line of this process and exit."""
    from driftline.cli.stopping import ending_on_signals

    with ending_on_signals():
        _run()


def _run() -> None:
    try:
        # Not at the top: the modules of single commands import this one for its exit statuses.
        from driftline.cli.app import app

        app()
    except DriftlineError as error:
        from driftline.cli.terminal import print_error  # rich: --help does without it

        print_error(error)
        sys.exit(status_of(error))
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "driftline"):
            raise
        print(
            f"error: {library} is not installed: `pip install driftline` installs only what a service "
            "needs to publish. For the command `driftline`: pip install 'driftline[worker]'",
            file=sys.stderr,
        )
        sys.exit(REFUSED)


def status_of(error: DriftlineError) -> int:
    """Return the exit status that tells of an error."""
    return UNAVAILABLE if isinstance(error, (LogUnavailable, StateUnavailable)) else REFUSED
