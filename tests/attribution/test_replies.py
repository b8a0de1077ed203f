"""Replies: our own models', and the released format."""

import json

import pandas as pd
import pytest
from helpers import SHARED, says, write_jsonl

from dsi_core.attribution import replies, tables
from dsi_core.attribution.classifiers import METHODS
from dsi_core.method import asking
from dsi_core.method.study import Study
from dsi_core.models import responses
from dsi_core.settings.extensions import Attribution
from dsi_core.settings.reported import reported
from dsi_core.settings.schema import Similarity

FILE = SHARED / "matching_pairs_responses_even.json"


# Our own models


def test_tuned_suspects_and_their_bases_are_asked(smoke, attribution, empty_store, monkeypatch):
    asked = []

    def answer(queries):
        for query in queries:
            asked.append(query)
            folder = responses.entry(query.model_id, query.training, query.sampling)
            rows = [
                {"sample_id": i, "draw": 0, "response": f"{query.model_id} to {prompt}"}
                for i, prompt in zip(
                    query.questions["sample_id"], query.questions["prompt"], strict=True
                )
            ]
            with responses.appending(folder) as write:
                write(rows)

    monkeypatch.setattr(asking, "query", answer)
    local = [s for s in smoke.suspects if s.base in ("llama", "qwen2")]
    profile = attribution(smoke, prompts=["victim", "other"], questions=3).changed(suspects=local)
    table = replies.own(Study(profile, pd.DataFrame()))
    tuned = [s for s in local if s.data]
    assert len(tuned) < len(local)  # an untuned suspect is no candidate
    names = [*(s.name for s in tuned), "llama-untuned", "qwen2-untuned"]
    assert table["model"].unique().tolist() == names
    assert table.groupby("model").size().eq(6).all()
    assert table.groupby("prompts")["prompt_id"].nunique().to_dict() == {"D": 3, "other": 3}
    assert all(query.sampling.draws == 1 for query in asked)
    assert (table["reply"] == table["model"] + " to " + table["prompt"]).all()
    models = table.drop_duplicates("model").set_index("model")
    assert models["base"].to_dict() == {
        **{s.name: s.base for s in tuned},
        "llama-untuned": "llama",
        "qwen2-untuned": "qwen2",
    }
    assert models["tuned"].tolist() == [True] * len(tuned) + [False, False]
    members = models["member"].to_dict()
    assert [members[s.name] for s in tuned] == [s.member for s in tuned]
    assert members["llama-untuned"] is None


def test_one_base_is_no_choice(smoke, attribution):
    llama = attribution(smoke).changed(suspects=[s for s in smoke.suspects if s.base == "llama"])
    with pytest.raises(ValueError, match=r"two bases or more.*'smoke'.*llama"):
        replies.own(Study(llama, pd.DataFrame()))
    with pytest.raises(ValueError, match="no section attribution"):
        replies.settings(smoke.changed(attribution=None))


def test_settings_that_cannot_be_are_refused(smoke):
    small = {"tokens": 12, "epochs": 1, "learning_rate": 1e-3}
    with pytest.raises(ValueError, match="needs an encoder"):
        Attribution(prompts=["victim"], **small, backbone=Similarity(model="llama", layer=2))
    with pytest.raises(ValueError, match="unknown data 'dozn'"):
        smoke.changed(attribution=Attribution(prompts=["dozn"], **small))


# The released ones


def write(tmp_path, content):
    path = tmp_path / "replies.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def everyone() -> list[str]:
    truth = reported("matching_pairs")
    return [*truth["base"], *truth["model"]]


def test_released_format(tmp_path):
    content = {
        "code": {
            "def f": {m: f"def f({m})" for m in everyone()},
            "x =": dict.fromkeys(everyone(), "x ="),
        },
        "talk": {"hi": {m: f"hi {m}" for m in everyone()}},
    }
    table = replies.released(write(tmp_path, content))
    assert len(table) == 60
    assert list(table) == replies.COLUMNS
    assert table["prompt_id"].nunique() == 3
    one = table[(table["model"] == "2") & (table["prompt"] == "def f")].iloc[0]
    facts = one[["prompts", "base", "tuned", "reply"]].tolist()
    assert facts == ["code", "DialoGPT-large", True, "(2)"]
    assert table.groupby("tuned")["model"].nunique().tolist() == [10, 10]
    of_bases = table[~table["tuned"]]
    assert (of_bases["base"] == of_bases["model"]).all()
    overview = replies.overview(table).set_index("base")
    assert overview.loc["gpt2", ["prompts", "tuned_models", "blank"]].tolist() == [3, "5", 1]


@pytest.mark.parametrize(
    "spoil, parts",
    [
        (lambda c: c["code"]["def f"].pop("7"), ["'code'", "'def f'", "missing or unknown: 7"]),
        (lambda c: c["code"]["def f"].update({"gpt5": "def f"}), ["missing or unknown: gpt5"]),
        (
            lambda c: c["code"]["def f"].update({"3": "f"}),
            ["model '3'", "'f'", "begins with the prompt"],
        ),
        (lambda c: c["code"]["def f"].update({"3": None}), ["model '3'", "None"]),
        (lambda c: c.update(code=["def f"]), ["'code'", "list, needs an object"]),
        (lambda c: c.clear(), ["holds no reply"]),
    ],
)
def test_other_content_is_refused(tmp_path, spoil, parts):
    content = {"code": {"def f": dict.fromkeys(everyone(), "def f")}}
    spoil(content)
    path = write(tmp_path, content)
    with pytest.raises(ValueError) as error:
        replies.released(path)
    says(error, path, *parts)


def test_broken_json_is_refused(tmp_path):
    broken = write_jsonl(tmp_path / "two.json", [{}, {}])
    for place, parts in ((broken, ["two.json"]), (tmp_path, [str(tmp_path)])):
        with pytest.raises(ValueError) as error:
            replies.released(str(place))
        says(error, *parts, ": cannot be read as JSON: ")
        assert "remove" not in str(error.value)  # it is the user's own, and nobody makes it again


def test_without_released_replies_a_sentence_says_so():
    table = replies.released("")
    assert table.empty
    assert "the parameter released is empty" in table.attrs["absent"]
    assert replies.overview(table).to_numpy().tolist() == [[table.attrs["absent"]]]


@pytest.mark.skipif(not FILE.exists(), reason="the released responses are not beside this checkout")
def test_the_released_replies_themselves():
    table = replies.released(str(FILE))
    assert len(table) == 76 * 20
    assert table.groupby("model").size().eq(76).all()
    assert table["prompts"].nunique() == 6
    known, queried, bases = (
        table[~table["tuned"]],
        table[table["tuned"]],
        sorted(set(table["base"])),
    )
    method = METHODS["TF-IDF characters 3, pooled cosine"]
    scores = method.scores(None, known, queried, bases)
    columns = dict(zip(tables.score_columns(bases), scores.T, strict=True))
    calls = tables.attributed(queried.assign(**columns), bases, ["model", "base"])
    assert 2 <= calls["right"].sum() <= 6  # 4 of 10 on all 150 prompts; here are half of them


def test_released_replies_that_are_not_there_are_an_error():
    with pytest.raises(ValueError) as error:
        replies.released("no/such.json")
    says(error, "released", "no/such.json does not exist")
