"""The command line: it answers at once, says what it needs, and audits without the book's tools."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import python_without
from servers import reply
from typer.main import get_command
from typer.testing import CliRunner

import dsi_core
from dsi_core import cli

ROOT = Path(__file__).parent.parent
COMMANDS = get_command(cli.app).commands
HEAVY = ["torch", "transformers", "pandas", "numpy", "matplotlib", "pydantic", "papermill"]
# what the groups notebooks, tune and extensions bring
EXTRAS = [
    "IPython", "accelerate", "bitsandbytes", "datasets", "ipywidgets", "jupyterlab",
    "krippendorff", "nbconvert", "papermill", "peft", "py3langid", "sacrebleu", "seaborn", "trl",
]  # fmt: skip

RUN = "from dsi_core.cli import app; app()"


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from dsi_core.cli import app
try:
    app(["--help"])
finally:
    assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)
"""
    done = python_without([], code)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    "command", [["-m", "dsi_core"], [str(Path(sys.executable).with_name("dsi"))]], ids=["-m", "dsi"]
)
def test_both_doors_have_one_name(command):
    start = [sys.executable, *command] if command[0] == "-m" else command
    done = subprocess.run([*start, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert re.search(r"Usage: dsi \[OPTIONS\] COMMAND", done.stdout), done.stderr
    version = subprocess.run([*start, "--version"], capture_output=True, text=True, cwd=ROOT)
    assert version.stdout == f"dsi_core {dsi_core.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example_that_it_accepts(name):
    command = COMMANDS[name]
    example = command.epilog.removeprefix("Example: ").split()
    assert example[:2] == ["dsi", name]
    command.make_context(name, example[2:])  # raises for an unknown option or a missing one
    shown = " ".join(
        CliRunner().invoke(cli.app, [name, "--help"], env={"COLUMNS": "200"}).stdout.split()
    )
    assert command.epilog in shown


def test_the_shell_completes_commands():
    asked = {
        **os.environ,
        "_DSI_COMPLETE": "complete_bash",
        "COMP_WORDS": "dsi re",
        "COMP_CWORD": "1",
    }
    dsi = str(Path(sys.executable).with_name("dsi"))
    done = subprocess.run([dsi], capture_output=True, text=True, env=asked)
    assert "reproduce" in done.stdout.split()


@pytest.mark.parametrize("command", [["audit", "--help"], ["prepare", "--help"], ["--version"]])
def test_the_door_opens_without_the_books_tools(command):
    done = python_without(EXTRAS, RUN, *command)
    assert done.returncode == 0, done.stderr


def test_a_whole_audit_runs_without_the_books_tools(prepared, server, tmp_path):
    """Against a prepared folder and an API: two samples, three answers to each, and a report."""
    folder = prepared(2, controls=2).folder
    server.script = lambda prompt, n: reply(f"An answer to {prompt}")
    options = ["--prepared", str(folder), "--base-url", server.url, "--model", "m-1"]
    more = ["--key-env", "TEST_KEY", "--ask-all", "--same-model", "0"]
    done = python_without(EXTRAS, RUN, "audit", *options, *more, "--out", tmp_path / "audits")
    assert done.returncode == 0, done.stderr
    assert len(server.asked) == 6
    (report,) = tmp_path.glob("audits/*/report.html")
    assert report.read_text().rstrip().endswith("</html>")


def test_a_missing_group_is_named():
    done = python_without(EXTRAS, RUN, "reproduce")
    assert done.returncode == 2
    assert done.stderr == "error: papermill is missing: pip install 'dsi_core[notebooks]'\n"


def test_a_users_error_is_one_line_and_exit_2(tmp_path):
    done = CliRunner().invoke(cli.app, ["audit", "--prepared", str(tmp_path), "--suspect", "x/y"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
