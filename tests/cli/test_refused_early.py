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


def test_a_release_of_no_profile_is_refused(tmp_path):
    for more in ([], ["--whole-store"]):
        done = CliRunner().invoke(
            cli.app, ["release", "--profile", "smal", "--out", str(tmp_path / "out"), *more]
        )
        assert done.exit_code == 2 and "unknown profile 'smal'; known:" in done.output
    assert not (tmp_path / "out").exists()


def test_what_reads_a_release_says_that_there_is_no_such_profile():
    for more in ([], ["--stored"]):
        done = CliRunner().invoke(cli.app, ["verify", "--profile", "smal", *more])
        assert done.exit_code == 2 and "unknown profile 'smal'; known:" in done.output
    done = CliRunner().invoke(cli.app, ["verify", "--profile", "smoke"])
    assert done.exit_code == 2 and "`dsi reproduce --from-nothing --profile smoke`" in done.output
