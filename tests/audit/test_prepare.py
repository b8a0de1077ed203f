"""The offline phase for any dataset: what is read, who is innocent, what a prepared folder holds, and what it can carry."""

import json

import pandas as pd
import pytest

from dsi_core.audit import prepare
from dsi_core.audit import prepared as preparation
from dsi_core.data import columns
from dsi_core.data import pairs as data
from dsi_core.settings import profile, words
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data

PAIRS = [{"q": f"What is {i}?", "a": f"It is the number {i}."} for i in range(6)]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"instruction": "a", "input": "b", "output": "c"}, (["instruction", "input"], "output")),
        (
            {"instruction": "a", "context": "b", "response": "c", "category": "d"},
            (["instruction", "context"], "response"),
        ),
        ({"q": "a", "a": "b"}, (["q"], "a")),
        ({"question": "a", "answer": "b"}, (["question"], "answer")),
        ({"prompt": "a", "completion": "b"}, (["prompt"], "completion")),
    ],
)
def test_usual_columns_need_no_names(smoke, tmp_path, record, wanted):
    found = columns.source(jsonl(tmp_path / "d.jsonl", [record]), smoke)
    assert (found.prompt, found.output) == wanted


def test_conversations_need_no_names(smoke, tmp_path):
    assert (
        columns.source(
            jsonl(tmp_path / "d.jsonl", [{"messages": [{"role": "user", "content": "a"}]}]), smoke
        ).conversations
        == "messages"
    )


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"x": 1, "y": 2}, "columns x, y fit 0 of the known layouts; name them with --prompt"),
        ({"q": "a", "a": "b", "prompt": "c", "response": "d"}, "fit 2 of the known layouts"),
        (["a"], "its first record is list"),
    ],
)
def test_other_columns_are_never_guessed(smoke, tmp_path, record, words):
    with pytest.raises(ValueError, match=words):
        columns.source(jsonl(tmp_path / "d.jsonl", [record]), smoke)


def test_named_columns_names_and_hubs(smoke, tmp_path):
    file = jsonl(tmp_path / "d.jsonl", [{"x": "1", "y": "2"}])
    assert columns.source(file, smoke, prompt=("x",), output="y") == Data(
        path=file, prompt=["x"], output="y"
    )
    assert columns.source("hub:a/b", smoke, prompt=("x",), output="y").hub == "a/b"
    assert columns.source("dozen", smoke) == smoke.data["dozen"]
    for given, how, words in (
        ("hub:a/b", {}, "name its columns"),
        ("dozen", {"output": "y"}, "whose columns are set there"),
        ("nowhere", {}, "neither a file, nor hub"),
    ):
        with pytest.raises(ValueError, match=words):
            columns.source(given, smoke, **how)


def test_controls_without_data_like_d_are_left_out(smoke):
    without = prepare.profile_of(smoke, "mine", smoke.data["other"], None, [])
    assert [s.name for s in without.suspects] == [
        c.name for c in smoke.controls if words.IID not in c.data
    ]
    with_more = prepare.profile_of(smoke, "mine", smoke.data["other"], smoke.data["terse"], [])
    assert (
        len(with_more.suspects) == len(smoke.controls)
        and words.iid_of(with_more, "mine") == "mine_iid"
    )
    assert with_more.responses.ask == "tainted" and with_more.victims == ["mine"]


def test_a_control_that_trained_on_some_of_d_is_no_control(smoke):
    pairs = data.load_pairs(smoke, "other")
    mine = prepare.profile_of(smoke, "mine", smoke.data["other"], None, [])
    innocent = {s.name: prepare._innocent(mine, s, pairs) for s in mine.suspects}
    assert innocent == {
        "llama-untuned": True,
        "qwen2-untuned": True,
        "glm-other": False,
        "gemma-other": False,
    }


def test_both_parts_in_an_order_that_tells_nothing(smoke, tmp_path):
    one, other = (
        Data(path=jsonl(tmp_path / f"{n}.jsonl", rows), prompt=["q"], output="a")
        for n, rows in (("p", PAIRS[:4]), ("w", PAIRS[4:]))
    )
    both = prepare._parts(smoke, one, other)
    assert both["sample_id"].is_monotonic_increasing and both["part"].value_counts().to_dict() == {
        "published": 4,
        "withheld": 2,
    }
    assert set(both.loc[both["part"] == "withheld", "output"]) == {p["a"] for p in PAIRS[4:]}
    with pytest.raises(
        ValueError, match="1 pair.s. are both published and withheld, the first: 'What is 3"
    ):
        prepare._parts(
            smoke, one, other.model_copy(update={"path": jsonl(tmp_path / "v.jsonl", PAIRS[3:])})
        )


def test_a_folder_reads_back_as_written(prepared):
    made = prepared(5, withheld=3)
    again = preparation.read(made.folder)
    for name in ("samples", "scores", "known"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(made, name))
    assert again.study.profile == made.study.profile and set(again.facts["sha256"]) == set(
        preparation.FILES
    )
    assert (again.known.groupby(["suspect", "reference"]).size() == 8 * 3).all()


def test_a_changed_or_unfinished_folder_is_refused(prepared):
    folder = prepared(5).folder
    (folder / "samples.jsonl").write_text(
        (folder / "samples.jsonl").read_text().replace("box 1", "box 9")
    )
    with pytest.raises(ValueError, match="samples.jsonl was changed after the preparation"):
        preparation.read(folder)
    (folder / "prepared.json").unlink()
    with pytest.raises(ValueError, match="holds no prepared.json"):
        preparation.read(folder)


def test_the_order_of_asking_is_random_and_blind_to_the_parts(prepared):
    made = prepared(6, withheld=6)
    order = made.tainted
    assert (
        sorted(order["sample_id"]) == sorted(made.samples["sample_id"])
        and order["part"].iloc[:6].nunique() == 2
    )
    swapped = made.samples.assign(
        part=made.samples["part"].map({"published": "withheld", "withheld": "published"})
    ).iloc[::-1]
    other = preparation.Prepared(
        made.folder, made.facts, made.study, swapped, made.scores, made.known
    )
    assert other.tainted["sample_id"].tolist() == order["sample_id"].tolist()


def test_what_the_samples_can_carry(prepared):
    weak = preparation.strength(prepared(5, controls=2), 0.05).set_index("what")
    assert weak["enough"].tolist() == ["weak", "no", "no"]
    assert (
        "0.333; alpha 0.05 needs 19 controls" in weak.loc["against controls", "why"]
        and "no part of the data" in weak.loc["private twin", "why"]
    )
    twin = preparation.strength(prepared(6, withheld=6), 0.3).set_index("what")
    assert (
        twin["enough"].tolist() == ["yes", "yes", "yes"]
        and "0.0011" in twin.loc["private twin", "why"]
    )  # 1 of the 924 deals


def test_an_occupied_folder_is_refused_before_anything_is_trained(prepared, monkeypatch):
    folder = prepared(5).folder
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    with pytest.raises(ValueError, match="holds a preparation with other data or settings"):
        prepare.run("dozen", "smoke", out=folder)


def test_a_dataset_may_not_take_anothers_name(tmp_path):
    assert "other" in load_profile("smoke").data
    with pytest.raises(ValueError, match="has another dataset 'other'; rename the file"):
        prepare.run(jsonl(tmp_path / "other.jsonl", PAIRS), "smoke", out=tmp_path / "o")
