"""Audits by the command line, of the served model; and audits that asked nobody."""

import pytest
from asking import answered
from typer.testing import CliRunner

from dsi_core.audit import reach
from dsi_core.cli import app
from dsi_core.cli import audit as command_line


@pytest.fixture
def options(server) -> list[str]:
    return [
        "--base-url",
        server.url,
        "--model",
        "m-1",
        "--key-env",
        "TEST_KEY",
        "--same-model",
        "0",
    ]


@pytest.fixture
def cli(options, monkeypatch, tmp_path):
    """cli(folder, *more) = the result of `dsi audit`, called in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def call(folder, *more, suspect=True):
        whom = options if suspect else []
        return CliRunner().invoke(app, ["audit", "--prepared", str(folder), *whom, *more])

    return call


@pytest.fixture
def asked(prepared):
    """make(answer) = (plan, outcome) of an audit that asked nobody (`asking.answered`)."""

    def make(answer, *, count=8, **how):
        return answered(prepared(count), answer, **how)

    return make


@pytest.fixture(autouse=True)
def soon_done(monkeypatch):
    """Power is simulated coarsely, and a report has no pictures: `test_report` looks at them."""
    monkeypatch.setattr(reach, "RUNS", 20)
    monkeypatch.setattr(command_line, "_pictures", lambda audit: {})
