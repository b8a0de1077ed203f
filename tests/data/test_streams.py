"""A source is read as a stream and its pairs lie on disk, as good as if they were held."""

import pytest
from helpers import change, says, write_jsonl

from dsi_core.benchmarks import growth
from dsi_core.data import near_duplicates, pairs, spool
from dsi_core.data.pairs import Dataset, count, dataset, is_large, load_pairs, untouched
from dsi_core.data.records import places
from dsi_core.settings.schema import Data


@pytest.fixture
def source(tmp_path):
    """source(rows=..., ...) = a file of 60 pairs, of which 4 repeat others and 2 are empty."""
    rows = [{"q": f"What is {i % 54}?", "a": f"Number {i % 54}." * (i % 54 + 1)} for i in range(58)]
    rows[20:20] = [{"q": "Empty?", "a": ""}] * 2
    path = write_jsonl(tmp_path / "many.jsonl", rows)

    def make(**settings) -> Data:
        drop = ["duplicates", "empty"]
        return Data(path=str(path), prompt=["q"], output="a", drop=drop, **settings)

    return make


@pytest.fixture
def nothing_is_held(monkeypatch):
    """Every source is large, every pair on disk; what earlier tests read is forgotten."""

    def begin():
        monkeypatch.setattr(pairs, "LARGE", 0)
        monkeypatch.setattr(spool, "HELD", 0)
        pairs._scan.cache_clear()

    yield begin
    pairs._scan.cache_clear()


def every_way(source) -> list:
    """What is read of a source in every way of drawing."""
    whole = Dataset("many", source(), 0)
    drawn = Dataset("many", source(rows=20), 7)
    beside = Dataset("beside", source(rows=20, apart_from="many"), 7, apart_from=drawn)
    shuffled = Dataset("shuffled", source(rows=30, shuffle_seed=3), 0)
    half = Dataset("half", source(rows=30, shuffle_seed=3, half=2), 0)
    short = Dataset("short", source(max_output_chars=100), 0)
    tables = [load_pairs(d) for d in (whole, drawn, beside, shuffled, half, short)]
    tables += [load_pairs(drawn, sample=False), untouched(drawn, [drawn])]
    return [(t.to_dict("records"), t.attrs) for t in tables]


def test_the_same_pairs_whether_it_is_held_or_not(source, nothing_is_held):
    held = every_way(source)
    assert [len(rows) for rows, _ in held] == [54, 20, 20, 27, 14, 10, 54, 20]
    assert held[0][1]["dropped"] == {"empty": 2, "duplicates": 4, "length": 0}
    assert not is_large(Dataset("many", source(), 0))
    nothing_is_held()
    assert every_way(source) == held
    assert (
        is_large(Dataset("many", source(), 0)) and count(Dataset("many", source(rows=3), 0)) == 54
    )


def test_a_source_is_read_once_whatever_is_drawn_of_it(source, nothing_is_held, monkeypatch):
    nothing_is_held()
    few = Dataset("many", source(rows=3), 1)
    first = load_pairs(few)
    monkeypatch.setattr(pairs, "Rows", None)
    assert load_pairs(few).equals(first)
    beside = Dataset("beside", source(rows=20, apart_from="many"), 7, apart_from=few)
    assert load_pairs(beside).attrs["name"] == "beside" and load_pairs(few).attrs["name"] == "many"
    first.loc[0, "prompt"] = "changed"
    assert not load_pairs(few).equals(first)


def test_the_others_of_a_source_are_read_from_disk(source, nothing_is_held):
    nothing_is_held()
    drawn = load_pairs(Dataset("many", source(rows=20), 7))
    whole = load_pairs(Dataset("many", source(), 0))
    rest = pairs.others(Dataset("many", source(), 0), drawn)
    left = whole[~whole["sample_id"].isin(drawn["sample_id"])]
    assert list(rest) == list(zip(left["prompt"], left["output"], strict=True))
    assert (len(rest), rest[-1]) == (34, tuple(left.iloc[-1][["prompt", "output"]]))
    near = near_duplicates.find(drawn, rest, 0.8)
    assert near.equals(near_duplicates.find(drawn, left, 0.8)) and not near.any()


def test_places_are_those_of_the_first(source):
    table = load_pairs(Dataset("many", source(), 0))
    ids = table["sample_id"].iloc[[0, 2, 20]].tolist()
    assert places(source(), ids) == {
        ids[0]: "many.jsonl, row 1",
        ids[1]: "many.jsonl, row 3",
        ids[2]: "many.jsonl, row 23",
    }


def test_a_repeated_pair_names_both_rows(source, nothing_is_held):
    nothing_is_held()
    with pytest.raises(ValueError) as error:
        load_pairs(Dataset("many", change(source(), drop=["empty"]), 0))
    says(error, "row 57: same prompt and output as many.jsonl, row 1 ")


def test_a_hundred_thousand_rows_in_seconds_and_little_memory(tmp_path):
    """The process itself, with pandas and Arrow, holds about 160 MB."""
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    for path, rows in ((small, 1000), (large, 100_000)):
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(
                f'{{"instruction": "What is {i}?", "output": "{i} {"more " * 40}"}}\n'
                for i in range(rows)
            )
    before, after = growth.alone(growth.read, small), growth.alone(growth.read, large)
    assert before[2] == after[2] == growth.DRAWN
    assert after[0] < 10  # of a core; some 2 s
    assert after[1] - before[1] < 250  # MB; some 110


def test_rows_that_are_too_long_leave_no_place_to_data_beside_them(source):
    """They were drawn, so nobody else's draw takes them."""
    drawn = load_pairs(Dataset("many", source(rows=20), 7))
    some = drawn["sample_id"].head(3).tolist()
    less = Dataset("many", source(rows=20, leave_out=some), 7)
    assert load_pairs(less)["sample_id"].tolist() == drawn["sample_id"].tolist()[3:]
    beside = Dataset("beside", source(apart_from="many"), 7, apart_from=less)
    assert len(load_pairs(beside)) == 34 and not load_pairs(beside)["sample_id"].isin(some).any()


def test_every_dataset_of_a_profile_is_the_same_as_a_stream(smoke, nothing_is_held):
    held = {name: load_pairs(dataset(smoke, name)) for name in smoke.data}
    nothing_is_held()
    for name, table in held.items():
        assert load_pairs(dataset(smoke, name)).equals(table), name
