import subprocess
import sys
from functools import partial
from importlib.metadata import version

import pytest

from driftline.cli.app import COMMANDS, Command, load
from driftline.cli.connect import patiently
from driftline.sandbox.process import free_port
from tests.cli.conftest import Driftline

HEAVY = ("polars", "pydantic", "confluent_kafka", "redis", "rich", "numpy")


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_of_the_table_can_be_loaded_and_teaches_by_example(entry: Command) -> None:
    command = load(entry)

    leaves = list(getattr(command, "commands", {entry.name: command}).values())
    assert command.name == entry.name
    assert all("$ " in leaf.help for leaf in leaves)


def test_the_list_of_commands_is_printed_without_loading_any() -> None:
    program = (
        "import sys; from driftline.cli import main; sys.argv = ['driftline', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', *(name for name in {HEAVY} if name in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert all(entry.help in done.stdout for entry in COMMANDS)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_help_and_wrong_usage_have_their_exit_statuses(driftline: Driftline) -> None:
    assert driftline("--help").status == 0
    assert driftline("publish", "--help").status == 0
    assert driftline("--version").out == f"driftline {version('driftline')}\n"
    wrong = driftline("pubish")
    assert (wrong.status, "Did you mean 'publish'?" in wrong.err) == (2, True)


def test_help_fits_a_narrow_terminal_and_shows_brackets(driftline: Driftline) -> None:
    page = driftline("router", "run", "--help", COLUMNS="60")
    lines = [line.strip() for line in page.out.splitlines()]
    begin = next(at for at, line in enumerate(lines) if line.startswith("Run as many"))
    paragraph = lines[begin : lines.index("", begin)]
    assert " ".join(paragraph).endswith("Needs Kafka, Redis, and `pip install 'driftline[router]'`.")
    assert min(map(len, paragraph[:-1])) > 40  # lines end where the terminal does, not where the source breaks them


def test_an_error_is_one_line_and_status_2(driftline: Driftline) -> None:
    done = driftline("alerts")

    assert done.status == 2
    assert done.err.startswith(
        "error: kafka: no broker is configured, and this command needs one. Set bootstrap.servers"
    )
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(("away", "command"), [("Kafka", ("topics", "check")), ("Redis", ("status",))])
def test_what_does_not_answer_is_status_3_so_that_a_script_can_try_again(
    away: str, command: tuple[str, ...], driftline: Driftline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftline.log.kafka.ASK_S", 0.3)
    monkeypatch.setattr("driftline.cli.connect.RETRY_S", 0.1)
    monkeypatch.setattr("driftline.cli.connect.patiently", partial(patiently, patience_s=0.1))
    nowhere = f"127.0.0.1:{free_port()}"

    done = driftline(*command, DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS=nowhere, DRIFTLINE_REDIS__URL=f"redis://{nowhere}/0")

    assert done.status == 3
    assert f"error: {away} did not answer for 0.1 s" in done.err
