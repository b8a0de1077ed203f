"""A step's memory is in bytes of a thousand: what Linux calls kB are 1,024."""

from dsi_core.benchmarks import alone

STATUS = "VmPeak:\t    9000 kB\nVmHWM:\t    1000 kB\nVmRSS:\t     900 kB\n"


def test_a_kilobyte_of_linux(monkeypatch, tmp_path):
    (tmp_path / "status").write_text(STATUS)
    monkeypatch.setattr(alone, "Path", lambda _: tmp_path / "status")
    assert alone._peak_bytes() == 1_024_000
