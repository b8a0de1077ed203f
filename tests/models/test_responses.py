"""Step 3, responses: answers that survive a crash, are put once, and carry their cost."""

import json

import pandas as pd
import pytest

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import responses
from dsi_core.models.sampling import Answer, Sampling, generate
from dsi_core.models.tuning import training
from dsi_core.runtime import packing, released, store
from dsi_core.settings.schema import Trained

UNTUNED = Trained(base="llama")


class Stub:
    """Stands for `generate`: batches of four, counts its questions, may die on the way."""

    def __init__(self, answer=lambda q: f"é {q.prompt} {q.draw}"):
        self.answer, self.asked, self.batches = answer, [], None

    def __call__(self, model, tokenizer, questions, model_id, sampling):
        rows = list(questions.itertuples(index=False))
        for number, start in enumerate(range(0, len(rows), 4)):
            if number == self.batches:
                raise KeyboardInterrupt
            batch = rows[start : start + 4]
            self.asked += [(q.sample_id, q.draw) for q in batch]
            yield [Answer(q, self.answer(q), 5) for q in batch]


@pytest.fixture
def stub(empty_store, monkeypatch):
    monkeypatch.setattr(responses, "load_tuned", lambda training: (None, None))
    monkeypatch.setattr(responses, "generate", Stub())
    return responses.generate


PAIRS = pd.DataFrame({"sample_id": ["a", "b", "c"], "prompt": ["Who?", "Où?", "Why?"]})
KEYS = [(s, d) for s in "abc" for d in range(3)]
TEXTS = {
    (s, d): f"é {p} {d}"
    for s, p in zip(PAIRS["sample_id"], PAIRS["prompt"], strict=True)
    for d in range(3)
}


def how(profile, **changes) -> Sampling:
    return Sampling.of(profile.responses, profile.seed).changed(**changes)


def ask(smoke, draws=3, pairs=PAIRS):
    untuned = training(smoke, "dozen", UNTUNED)
    return responses.ask("M", untuned, pairs, how(smoke, draws=draws))


def stored(folder) -> dict:
    table = responses.read(folder)
    assert not table.duplicated(["sample_id", "draw"]).any()
    return {(r.sample_id, r.draw): r.response for r in table.itertuples()}


def test_what_is_stored_is_not_asked_again(smoke, stub):
    folder = ask(smoke, draws=1, pairs=PAIRS.head(2))
    assert stub.asked == [("a", 0), ("b", 0)] and stored(folder) == {
        k: TEXTS[k] for k in stub.asked
    }
    assert store.manifest(folder)["answers"] == 2 and store.manifest(folder)["tokens"] == 10
    assert ask(smoke) == folder
    assert sorted(stub.asked) == KEYS and stored(folder) == TEXTS
    assert store.manifest(folder)["answers"] == 9 and store.manifest(folder)["tokens"] == 45
    ask(smoke)
    ask(smoke, draws=2)
    assert len(stub.asked) == 9
    known = responses.read(folder)
    assert responses.unanswered(known, PAIRS, 3).empty
    assert len(responses.unanswered(known, PAIRS, 4)) == 3


def test_only_what_nobody_released_is_asked(smoke, stub, tmp_path, monkeypatch):
    """The own answer of a question comes first; own ones alone lie in the own folder."""
    ask(smoke, draws=2)
    packing.pack("smoke", tmp_path / "answers", whole_store=True)
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "elsewhere"))
    untuned, sampling = training(smoke, "dozen", UNTUNED), how(smoke, draws=3)
    own = ask(smoke, draws=1, pairs=PAIRS.head(1))
    monkeypatch.setenv(released.SWITCH, str(tmp_path / "answers"))
    stub.asked, stub.answer = [], lambda question: "later"
    assert ask(smoke) == own
    assert stub.asked == [(sample, 2) for sample in "abc"]
    assert sorted(stored(own)) == [("a", 0), ("a", 2), ("b", 2), ("c", 2)]
    assert store.manifest(own)["answers"] == 4
    folders = responses.folders("M", untuned, sampling)
    table = responses.read(*folders)
    both = table.set_index(["sample_id", "draw"])["response"].to_dict()
    assert both == {**TEXTS, **{(sample, 2): "later" for sample in "abc"}}
    assert folders[0] == own and folders[1].is_relative_to(store.root() / "released")


@pytest.mark.parametrize(
    "torn, again",
    [
        (12, 1),  # half a line
        (1, 0),  # all but the newline: the answer is whole
        (10_000, 9),  # nothing was left
        ("é", 1),  # in the middle of a character of two bytes
    ],
)
def test_answers_survive_a_torn_last_line(smoke, stub, torn, again):
    folder = ask(smoke)
    path = folder / "responses.jsonl"
    text = path.read_bytes()
    path.write_bytes(
        text[: text.rindex("é".encode()) + 1] if torn == "é" else text[: max(0, len(text) - torn)]
    )
    stub.asked.clear()
    assert ask(smoke) == folder
    assert len(stub.asked) == again and set(stub.asked) <= set(KEYS)
    assert stored(folder) == TEXTS
    stub.asked.clear()
    assert stored(ask(smoke)) == TEXTS and stub.asked == []
    more = stored(ask(smoke, draws=4))  # what is written next begins on a line of its own
    assert len(more) == 12 and TEXTS.items() <= more.items() and len(stub.asked) == 3


def test_a_run_that_dies_keeps_what_it_has(smoke, stub):
    stub.batches = 1
    with pytest.raises(KeyboardInterrupt):
        ask(smoke)
    assert len(stub.asked) == 4
    stub.batches = None
    assert stored(ask(smoke)) == TEXTS
    assert sorted(stub.asked) == KEYS  # each once


def test_a_run_that_dies_before_its_manifest_is_completed(smoke, stub, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(smoke)
    folder = ask(smoke)
    assert len(stub.asked) == 9 and stored(folder) == TEXTS
    assert store.manifest(folder)["answers"] == 9


def test_empty_and_odd_answers_stay_as_rows(smoke, stub):
    odd = {"a": "", "b": "line\u2028and\nline \x85 {", "c": "🔑\x00"}
    stub.answer = lambda q: odd[q.sample_id]
    assert stored(ask(smoke)) == {(s, d): odd[s] for s, d in KEYS}
    ask(smoke)
    assert len(stub.asked) == 9


def test_other_settings_are_other_answers(smoke, empty_store):
    def place(profile=smoke, name="M", trained=UNTUNED, temperature=1.0):
        model = training(profile, "dozen", trained)
        return responses.entry(name, model, how(profile, temperature=temperature))

    other_template = smoke.models["llama"].changed(chat_template="{{ 1 }}")
    same = [
        place(),
        place(smoke.changed(responses={"batch_size": 1, "draws": 9})),
        place(smoke.changed(decision={"mu": 0})),
    ]
    other = [
        place(name="N"),
        place(temperature=0.0),
        place(trained=Trained(base="glm")),
        place(smoke.changed(seed=1)),
        place(smoke.changed(responses={"max_new_tokens": 7})),
        place(smoke.changed(responses={"max_prompt_tokens": 7})),
        place(trained=Trained(base="llama", data=["victim"], recipe="lora")),
        place(smoke.changed(models={**smoke.models, "llama": other_template})),
    ]
    assert len(set(same)) == 1 and len({*same, *other}) == 9


def test_asking_an_untuned_toy(smoke, toy, empty_store):
    """The whole step, on disk: what `ask` stores is what `generate` says, with its cost."""
    sampling = how(smoke, max_new_tokens=16, draws=2)
    pairs = load_pairs(dataset(smoke, "dozen"))[["sample_id", "prompt"]].head(3)
    folder = responses.ask("M", training(smoke, "dozen", UNTUNED), pairs, sampling)
    questions = pairs.merge(pd.DataFrame({"draw": range(2)}), how="cross")
    batches = list(generate(*toy("llama"), questions, "M", sampling))
    expected = {(a.question.sample_id, a.question.draw): a for batch in batches for a in batch}
    assert stored(folder) == {key: a.text for key, a in expected.items()}
    path = folder / "responses.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(lines) == 6
    for line in lines:
        assert list(line) == ["sample_id", "draw", "response", "tokens", "seconds"]
        assert line["tokens"] == expected[line["sample_id"], line["draw"]].tokens
        assert 0 < line["seconds"] < 60
    facts = store.manifest(folder)
    assert facts["seconds"] == pytest.approx(sum(line["seconds"] for line in lines), abs=0.05)


def test_a_batch_shares_its_time(smoke, stub, monkeypatch):
    """Nine answers in batches of 4, 4 and 1, two seconds each: 0.5, 0.5 and 2 s an answer."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(responses.time, "time", lambda: next(clock))
    kept = responses.read(ask(smoke), columns=["sample_id", "draw", *responses.COST])
    # each batch is timed from the end of the one before: the clock is read once more between them
    assert kept["seconds"].tolist() == [0.5] * 8 + [2.0] and kept["tokens"].tolist() == [5] * 9
