"""An audit of a failing service that is killed again and again, in short: `tests/soak.py`."""

import soak


def test_a_disturbed_audit_comes_to_the_same_verdict_and_pays_once(tmp_path):
    usual = soak.run(tmp_path / "usual", samples=8, kills=0, rate=0, latency=0.001)
    disturbed = soak.run(tmp_path / "soaked", samples=8, kills=1, rate=0.15, latency=0.02, seed=1)
    assert usual.kills == 0 and disturbed.kills == 1 and disturbed.failures
    assert soak.verdict(usual) == soak.verdict(disturbed)
    assert usual.twice == 0 and disturbed.twice <= soak.CONCURRENCY
