"""What `dsi` refuses of a study before any work."""

from typer.testing import CliRunner

from dsi_core import cli
from dsi_core.plots.explorer import explored
from dsi_core.settings.profile import load_profile


def test_an_explorer_whose_slider_ends_before_mu_is_refused_before_any_work(monkeypatch):
    far = load_profile("smoke").changed(decision={"mu": 400})
    monkeypatch.setattr(explored, "load_profile", lambda _: far)
    monkeypatch.setattr(explored, "study", None)
    done = CliRunner().invoke(cli.app, ["explore", "--profile", "smoke"])
    assert done.exit_code == 2
    assert "profile 'smoke': decision.mu 400: the explorer's slider ends at 300" in done.output
