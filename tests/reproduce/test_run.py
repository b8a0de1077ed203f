"""What a run lists for `dsi release`: what a notebook looked at, once it has run to its end."""

from contextlib import suppress

import pytest
import yaml

from dsi_core.reproduce import run
from dsi_core.runtime import packing, store
from dsi_core.settings import profile


@pytest.fixture
def first(empty_store, monkeypatch, tmp_path):
    """Run the first notebook on smoke, stubbed: it looks at one entry, and ends as it is told."""

    def ran(name, *, why_not=None, from_released=False):
        def execute(*_):
            store.entry("tuned", name, {"base": name}, make=False)
            if why_not is KeyboardInterrupt:
                raise KeyboardInterrupt
            return why_not

        monkeypatch.setattr(run, "execute", execute)
        run.run(run.notebooks("01"), "smoke", str(tmp_path), from_released=from_released)

    return ran


def listed():
    """The lists there are, and the names of entries on them."""
    lists = packing.use_list("smoke", "01").parent.glob("*")
    return {p.name: [line.rpartition("-")[0] for line in p.read_text().split()] for p in lists}


@pytest.mark.parametrize(
    ("place", "wrong", "why"),
    [
        (["suites", "iid", "suspects", 0, "base"], "lama", r"suite iid.*\n.*unknown model 'lama'"),
        (["robustness", "suspects", 0], "llama-ful", "no local member llama-ful; known: llama"),
        (
            ["calibration", "wordings"],
            "no.jsonl",
            "'mine': calibration.wordings: no.jsonl: no such",
        ),
        (["imitation", "seeds"], "no.yaml", "imitation.seeds: no.yaml: no such file"),
    ],
)
def test_what_later_notebooks_read_is_refused_before_the_first(
    place, wrong, why, tmp_path, monkeypatch
):
    raw = part = profile.read_yaml(profile.ROOT / "params" / "smoke.yaml")
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = wrong
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "mine.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.setattr(profile, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=why):
        run.reproduce("mine", "01", str(tmp_path))


def test_what_a_notebook_looked_at_is_listed_once_it_has_run_to_its_end(first):
    first("one")
    assert listed() == {"01_observations.txt": ["tuned/one"]}
    for name, why_not in (("failed", "cell 3: RuntimeError"), ("stopped", KeyboardInterrupt)):
        with suppress(KeyboardInterrupt):
            first(name, why_not=why_not)
        assert listed() == {"01_observations.unfinished": [f"tuned/{name}"]}
    first("again")
    assert listed() == {"01_observations.txt": ["tuned/again"]}


def test_what_released_answers_may_have_stood_for_in_part_is_not_listed(first):
    first("one")
    first("two", from_released=True)
    assert listed() == {"01_observations.txt": ["tuned/one"]}
