"""Audits by the command line, of the served model; and audits that asked nobody."""

import pytest
from asking import audits_of
from helpers import STRANGER
from typer.testing import CliRunner

from dsi_core.audit import plan as planning
from dsi_core.audit import run, suspect
from dsi_core.cli import app
from dsi_core.models import responses

AT = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def options(server) -> list[str]:
    return ["--base-url", server.url, "--model", "m-1", "--key-env", "TEST_KEY"]


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
    """make(answer) = (plan, outcome) of an audit that asked nobody.

    Its suspect gave answer(sample, draw) to each question.
    """

    def make(answer, *, published=8, withheld=0, name="some-model", **how):
        folder = prepared(published, withheld)
        model = suspect.model(f"owner/{name}")
        plan = planning.plan(folder, *model, out=audits_of(folder.folder), alpha=0.3, **how)
        run.begin(plan)
        lines = [
            {"sample_id": s.sample_id, "draw": d, "response": answer(s, d), "at": AT}
            for s in plan.samples.itertuples()
            for d in range(plan.draws)
        ]
        with responses.appending(plan.folder) as write:
            write(lines)
        return plan, run.run(plan)

    return make


@pytest.fixture
def knows_published():
    """The answers of a model that knows the published samples."""
    return lambda sample, draw: sample.output if sample.part == "published" else STRANGER
