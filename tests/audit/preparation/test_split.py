"""A dataset split at random: what is accused, and what is like it."""

import pytest
from helpers import write_jsonl

from dsi_core.audit.preparation import lengths, split
from dsi_core.audit.preparation.draft import draft
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import accusation
from dsi_core.settings.schema import Data
from dsi_core.settings.words import iid_of


@pytest.fixture
def source(tmp_path):
    """source(n) = where n numbered pairs are read from."""

    def make(count, **how):
        rows = [{"q": f"What is {i}?", "a": f"It is the number {i}."} for i in range(count)]
        path = write_jsonl(tmp_path / f"{count}.jsonl", rows)
        return Data(path=str(path), prompt=["q"], output="a", **how)

    return make


@pytest.mark.parametrize(
    ("pairs", "rows", "parts"),
    [
        (95, None, None),
        (96, None, (48, 48)),
        (97, None, (48, 48)),
        (200, None, (100, 100)),
        (200, 30, (30, 30)),
        (40, 30, None),
        (54, 30, (30, 24)),
    ],
)
def test_a_large_dataset_is_split(smoke, source, pairs, rows, parts):
    found = split.at_random(smoke, "mine", source(pairs, rows=rows))
    assert parts == (found and (found.accused.rows, found.like.rows))
    assert found is None or found.pairs == pairs


def test_what_says_itself_how_it_is_drawn_is_not_split(smoke, source):
    drawn = source(96, shuffle_seed=1)
    beside = source(96, apart_from="other")
    assert split.at_random(smoke, "mine", drawn) is None
    assert split.at_random(smoke, "mine", beside) is None


def test_the_two_parts_share_no_pair_and_follow_the_seed(smoke, source):
    whole = source(120)

    def drawn(seed):
        profile = smoke.changed(seed=seed)
        parts = split.at_random(profile, "mine", whole)
        mine = accusation.profile_of(profile, "mine", parts.accused, parts.like, [])
        return [
            set(load_pairs(dataset(mine, name))["prompt"])
            for name in ("mine", iid_of(mine.data, "mine"))
        ]

    accused, like = drawn(0)
    assert len(accused) == len(like) == 60 and not accused & like
    assert drawn(0) == [accused, like] != drawn(1)


def test_before_any_work_it_is_said_that_half_is_accused(source, tmp_path):
    how = {"prompt": ("q",), "output": "a", "fetch": False, "out": tmp_path / "prepared"}
    said = draft(source(96).path, "smoke", **how).notes[0]
    assert "48 of its 96 pairs are accused, and 48 others" in said and "--whole" in said
    assert not any("split" in note for note in draft(source(40).path, "smoke", **how).notes)


def test_what_nobody_is_told_fetches_nothing(source, tmp_path, monkeypatch):
    def fetches(*_):
        raise AssertionError("the similarity's model is not needed for this")

    monkeypatch.setattr(lengths, "compared_in_part", fetches)
    how = {"prompt": ("q",), "output": "a", "out": tmp_path / "prepared"}
    drafted = draft(source(40).path, "smoke", **how)
    with pytest.raises(AssertionError, match="not needed"):
        print(drafted.notes)  # which `dsi prepare` tells before it begins
