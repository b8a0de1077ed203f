"""Files of answers as controls: called as themselves, and no two the same."""

import pytest
from helpers import says

from dsi_core.audit import control_files


@pytest.fixture
def files(tmp_path):
    """files("a", "b") = paths to files of that content, called "<content>.jsonl"."""

    def make(*contents):
        paths = [tmp_path / f"{content}.jsonl" for content in contents]
        for path in paths:
            path.write_text(path.stem)
        return paths

    return make


def test_each_is_called_as_its_file(files):
    a, b = files("a", "b")
    assert control_files.by_name([a, str(b)]) == {"a": a, "b": b}


def test_one_that_says_the_same_as_another_is_refused():
    control_files.refuse_copies([("a", "1"), ("b", "2")])
    with pytest.raises(ValueError) as caught:
        control_files.refuse_copies([("a", "1"), ("b", "2"), ("c", "1")])
    says(caught, "c: says the same as a; each control is another model, and none is the suspect")


def test_one_that_is_called_as_another_control_or_is_not_there_is_refused(files, tmp_path):
    (a,) = files("a")
    with pytest.raises(ValueError, match="another control is called 'a'; rename the file"):
        control_files.by_name([a], {"a"})
    with pytest.raises(ValueError, match=r"--control-answers .*nowhere.jsonl: no such file"):
        control_files.by_name([tmp_path / "nowhere.jsonl"])
    with pytest.raises(ValueError, match=r"--control-answers .*: is a folder; give one file"):
        control_files.by_name([tmp_path])
