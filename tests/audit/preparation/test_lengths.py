"""Lengths: rows beyond what a model takes are named before any work; short ones cost nothing."""

import pytest
from helpers import says, table, write_jsonl

from dsi_core.audit.preparation import lengths, prepare
from dsi_core.audit.preparation.lengths import Limit
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import accusation
from dsi_core.models import load
from dsi_core.settings.schema import Data

TEMPLATE = 3  # words around a prompt


class Words:
    """A tokenizer whose tokens are words; a chat template of `TEMPLATE` of them."""

    def __call__(self, texts, **_):
        return {"input_ids": [text.split() for text in texts]}

    def apply_chat_template(self, turns, **_):
        return " ".join(["[user]", *(turn["content"] for turn in turns), "[end]", "[assistant]"])


@pytest.fixture
def loaded(monkeypatch):
    """Bases whose tokenizers were loaded; each counts words."""
    names = []
    monkeypatch.setattr(load, "tokenizer_of", lambda base: names.append(base.name) or Words())
    monkeypatch.setattr(load, "context_of", lambda base: None)
    return names


@pytest.fixture
def mine(smoke, tmp_path):
    """mine(texts, **settings) = smoke, in which D is a file with these outputs of "Why i?"."""

    def make(outputs, **settings):
        rows = [{"q": f"Why {i}?", "a": text} for i, text in enumerate(outputs)]
        path = write_jsonl(tmp_path / "mine.jsonl", rows)
        data = Data(path=str(path), prompt=["q"], output="a", **settings)
        return accusation.profile_of(smoke, "mine", data, None, [])

    return make


def words(count: int) -> str:
    return " ".join(["word"] * count)


def limit(smoke, tokens: int, *, whole: bool) -> Limit:
    return Limit(load.base(smoke, "llama"), tokens, "recipe 'heart' (max_tokens)", whole=whole)


def test_tokens_by_hand(smoke, loaded):
    pairs = table("sample_id prompt output", ("a", "Why so?", words(4)), ("b", "Why?", words(6)))
    # whole: template, prompt, output and the end token
    found = lengths.beyond(pairs, limit(smoke, 9, whole=True))
    assert found[["sample_id", "tokens", "limit", "base"]].values.tolist() == [
        ["a", TEMPLATE + 2 + 4 + 1, 9, "llama"],
        ["b", TEMPLATE + 1 + 6 + 1, 9, "llama"],
    ]
    assert lengths.beyond(pairs, limit(smoke, 10, whole=True))["sample_id"].tolist() == ["b"]
    found = lengths.beyond(pairs, limit(smoke, 4, whole=False))
    assert found[["sample_id", "tokens"]].values.tolist() == [["a", TEMPLATE + 2]]


def test_the_limit_that_is_exceeded_most_counts():
    columns = " ".join(lengths.COLUMNS)
    one = table(columns, ("b", 30, 10, "x", "one"), ("a", 11, 10, "x", "one"))
    other = table(columns, ("a", 40, 20, "y", "other"), ("b", 40, 20, "y", "other"))
    found = lengths.worst([one, other])
    assert found[["sample_id", "base"]].values.tolist() == [["b", "x"], ["a", "y"]]
    assert lengths.worst([]).empty


def test_bytes_bound_tokens():
    texts = table("text", ("abc",), ("é",), ("aé",), ("",))["text"]
    assert lengths.most_tokens(texts).tolist() == [3, 22, 23, 0]


def test_a_row_that_is_too_long_is_named_before_any_work(mine, loaded):
    profile = mine(["Short.", words(1100), "Short, too.", words(1020)])
    with pytest.raises(ValueError) as error:
        lengths.check(profile, "mine", fetch=True)
    says(
        error,
        "2 of 4 rows are too long",
        "mine.jsonl, row 2: 1,106 tokens of",  # 3 + 2 + 1,100 + 1
        "mine.jsonl, row 4: 1,026 tokens of",
        "recipe 'heart' (max_tokens) allows 1,024",
        "--drop too-long",
    )


def test_of_many_the_first_are_named(mine, loaded):
    with pytest.raises(ValueError) as error:
        lengths.check(mine([f"{words(1100)} {i}" for i in range(7)]), "mine", fetch=True)
    says(error, "7 of 7 rows are too long", "row 5", "and 2 more")
    assert "row 6" not in str(error.value)


def test_short_rows_load_no_tokenizer(mine, loaded):
    checked = lengths.check(mine(["Short.", words(140)]), "mine", fetch=True)  # 700 bytes
    assert checked == lengths.Checked((), {}) and loaded == []


def test_what_is_not_here_is_not_fetched_for_a_dry_run(mine, loaded, empty_store):
    checked = lengths.check(mine(["Short.", words(1100)]), "mine", fetch=False)
    assert checked.leave_out == () and loaded == []
    assert checked.unmeasured == dict.fromkeys(["mistral", "gemma", "llama", "qwen2", "glm"], 1)


def test_rows_that_are_too_long_can_be_left_out_and_are_counted(mine, loaded):
    profile = mine(["Short.", words(1100), "Short, too."], drop=["too-long"])
    (long,) = lengths.check(profile, "mine", fetch=True).leave_out
    source = profile.data["mine"].changed(leave_out=[long])
    pairs = load_pairs(dataset(profile.changed(data={**profile.data, "mine": source}), "mine"))
    assert pairs["output"].tolist() == ["Short.", "Short, too."]
    assert pairs.attrs["dropped"]["too long"] == 1 and pairs.attrs["read"] == 3
    nothing = profile.data["mine"].changed(leave_out=[long, *pairs["sample_id"]])
    with pytest.raises(ValueError, match=r"no pair left .*3 too long"):
        load_pairs(dataset(profile.changed(data={**profile.data, "mine": nothing}), "mine"))


def test_a_prompt_beyond_what_a_model_reads(mine, loaded, monkeypatch):
    monkeypatch.setattr(load, "context_of", lambda base: 100)
    monkeypatch.setattr(load, "tokenizer_is_here", lambda base: True)
    profile = mine(["Yes."]).changed(responses={"max_new_tokens": 40, "system": words(60)})
    with pytest.raises(ValueError) as error:
        lengths.check(profile, "mine", fetch=True)  # of the suspects alone: references have none
    says(error, "mine.jsonl, row 1", "its context of 100 less 40 for an answer allows 60")


def test_recipes_that_leave_long_prompts_out_set_no_limit(mine, loaded):
    profile = mine([words(1100)])
    lenient = {n: r.changed(long_prompts="leave out") for n, r in profile.recipes.items()}
    checked = lengths.check(profile.changed(recipes=lenient), "mine", fetch=True)
    assert checked == lengths.Checked((), {})


def test_real_tokenizers_count_as_tuning_and_asking_do(smoke, tmp_path):
    pairs = load_pairs(dataset(smoke, "dozen"))
    base = load.base(smoke, "llama")
    found = lengths.beyond(pairs, Limit(base, 1, "", whole=True))
    tokenizer = load.tokenizer_of(base)
    by_hand = [
        len(load.encode_prompt(tokenizer, p)) + len(load.encode_answer(tokenizer, o))
        for p, o in zip(pairs["prompt"], pairs["output"], strict=True)
    ]
    assert found["tokens"].tolist() == by_hand
    asked = lengths.beyond(pairs, Limit(base, 1, "", whole=False, system="Be kind."))
    assert asked["tokens"].tolist() == [
        len(load.encode_prompt(tokenizer, p, "Be kind.")) for p in pairs["prompt"]
    ]


def test_prepare_refuses_a_long_row_and_makes_nothing(loaded, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    rows = [{"q": "Why?", "a": words(2000)}, {"q": "How?", "a": "So."}]
    path = write_jsonl(tmp_path / "mine.jsonl", rows)
    with pytest.raises(ValueError, match="row 1: 2,005 tokens"):
        prepare.run(str(path), "smoke", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
