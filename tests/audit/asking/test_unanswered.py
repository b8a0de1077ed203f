"""Questions that were put in vain: a line that a crash cut off swallows no other."""

from types import SimpleNamespace

from dsi_core.audit.asking import unanswered
from dsi_core.services.billing import Lost


def add(folder, name: str, requests: int) -> None:
    row = SimpleNamespace(sample_id=name, draw=0)
    unanswered.add(folder, [(row, Lost(requests, requests))])


def test_a_line_that_a_crash_cut_off_takes_no_other_with_it(tmp_path):
    """Wherever it was cut, within a letter too; once it lacks only its end it counts."""
    path = tmp_path / unanswered.NAME
    add(tmp_path, "a", 3), add(tmp_path, "b", 4)
    whole = path.read_bytes().replace(b'"b"', '"é"'.encode())
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) + 1):
        path.write_bytes(whole[:cut])
        add(tmp_path, "c", 5)
        complete = cut >= len(whole) - 1
        found = unanswered.read(tmp_path)
        assert found["requests"].tolist() == ([3, 4, 5] if complete else [3, 5])
        assert path.read_bytes().startswith(whole[:cut])
