"""Step 3, responses: the seeded choice, answers that depend on nothing but their question, and answers that survive a crash."""

import copy
import json

import pandas as pd
import pytest
from helpers import change

from dsi_core.data import pairs as data
from dsi_core.models import responses
from dsi_core.runtime import store
from dsi_core.settings.schema import Trained

UNTUNED = Trained(base="llama")
FAMILIES = ["mistral", "gemma", "llama", "qwen2", "glm"]


# The choice of a token


def choose(scores, uniforms: list[float], temperature: float) -> list[int]:
    """The token drawn for each uniform number, each its own row of a batch."""
    import torch

    rows = torch.as_tensor(scores).repeat(len(uniforms), 1)
    return responses.choose(rows, torch.tensor(uniforms, dtype=torch.float64), temperature).tolist()


def test_the_choice_is_the_inverse_cdf():
    import math

    scores = [math.log(p) for p in (0.1, 0.2, 0.3, 0.4)]
    assert choose(scores, [0.0, 0.09, 0.11, 0.29, 0.31, 0.59, 0.61, 0.999999], 1.0) == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    # temperature 0.5 squares the odds: 1, 4, 9, 16 of 30, so the CDF is 0.033, 0.167, 0.467, 1
    assert choose(scores, [0.03, 0.04, 0.16, 0.17, 0.46, 0.47], 0.5) == [0, 1, 1, 2, 2, 3]
    # temperature 2 takes roots: 1, 1.414, 1.732, 2 of 6.146, so the CDF is 0.163, 0.393, 0.675, 1
    assert choose(scores, [0.16, 0.17, 0.39, 0.40, 0.67, 0.68], 2.0) == [0, 1, 1, 2, 2, 3]
    # an impossible token is never drawn, not even by 0
    assert choose(
        [-math.inf, 0.0, -math.inf, 0.0, -math.inf], [0.0, 0.49, 0.51, 1 - 2**-53], 1.0
    ) == [1, 1, 3, 3]


@pytest.mark.parametrize(
    "size", [1, 37, 512, 1536, 32_000]
)  # blocks of 1, 1, 512, 512 and 256 tokens
def test_the_choice_in_a_large_vocabulary(size):
    """As one float64 CDF over all tokens says, and at both ends of it never an impossible token."""
    import torch

    scores = torch.randn(size, generator=torch.Generator().manual_seed(size)) * 4
    scores[: size // 3] = scores[size - size // 4 :] = -torch.inf
    uniforms = [0.0, 1 - 2**-53, *responses.uniform_numbers(200, "vocabulary", size)]
    cdf = torch.softmax(scores.double() / 0.8, dim=0).cumsum(dim=0)
    expected = torch.searchsorted(
        cdf, torch.tensor(uniforms, dtype=torch.float64) * cdf[-1], right=True
    ).tolist()
    assert choose(scores, uniforms, 0.8) == expected
    assert scores[expected].isfinite().all()
    assert set(choose(scores, [0.5], 0)) == {int(scores.argmax())}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_frequencies_are_the_softmax(temperature):
    import torch

    scores = [2.0, -1.0, 0.5, 0.0, 1.0, -3.0]
    drawn = choose(
        scores, responses.uniform_numbers(20_000, "frequencies", temperature).tolist(), temperature
    )
    expected = torch.softmax(torch.tensor(scores) / temperature, dim=0) * 20_000
    seen = torch.bincount(torch.tensor(drawn), minlength=6)
    assert (
        (seen - expected) ** 2 / expected
    ).sum() < 20.5  # chi-square with 5 degrees of freedom: p = 0.001


def test_uniform_numbers_depend_on_the_identity_alone():
    numbers = {
        i: tuple(responses.uniform_numbers(5, *i))
        for i in [(0, "m", "s", 0), (0, "m", "s", 1), (1, "m", "s", 0), (0, "ms", "", 0)]
    }
    assert len(set(numbers.values())) == 4
    assert numbers[0, "m", "s", 0] == tuple(responses.uniform_numbers(9, 0, "m", "s", 0)[:5])
    assert all(0 <= u < 1 for us in numbers.values() for u in us)


# Answers of toy models


@pytest.fixture(scope="session")
def questions(smoke):
    """The twelve prompts, three draws each."""
    pairs = data.load_pairs(smoke, "dozen")
    return pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(3)}), how="cross")


def told(smoke, toy, todo, batch_size=64, temperature=1.0, tokens=16, name="M") -> dict:
    """The answers: (sample_id, draw) -> text."""
    profile = change(smoke, responses={"batch_size": batch_size, "max_new_tokens": tokens})
    batches = responses.generate(*toy, todo, name, temperature, profile)
    return {
        (row.sample_id, row.draw): text
        for rows, texts, _ in batches
        for row, text in zip(rows, texts, strict=True)
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_depends_on_its_question_alone(smoke, toy, questions, family):
    every = told(smoke, toy(family), questions)
    assert (
        len(every) == 36 and len(set(every.values())) >= 34
    )  # random models never say the same twice
    assert told(smoke, toy(family), questions, batch_size=5) == every
    assert told(smoke, toy(family), questions[::-1], batch_size=7) == every
    few = questions.iloc[[30, 2, 17]]
    assert told(smoke, toy(family), few, batch_size=1) == {
        (q.sample_id, q.draw): every[q.sample_id, q.draw] for q in few.itertuples()
    }


def test_draws_models_and_seeds_differ(smoke, toy, questions):
    every = told(smoke, toy("llama"), questions)
    assert all(len({every[s, d] for d in range(3)}) == 3 for s in questions["sample_id"])
    other = told(smoke, toy("llama"), questions, name="N")
    seeded = told(change(smoke, seed=1), toy("llama"), questions)
    assert not [k for k in every if every[k] in (other[k], seeded[k])]


@pytest.fixture(scope="module")
def windowed(toy):
    """A toy Gemma-3 with a window of eight tokens in every second layer, and the others' tokenizer."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    tokenizer = toy("llama")[1]
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        head_dim=16,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.1,
        layer_types=["sliding_attention", "full_attention"],
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Gemma3ForCausalLM(config).eval(), tokenizer


@pytest.fixture(params=[*FAMILIES, "gemma-3"])
def architecture(request, toy, windowed):
    """(model, tokenizer) of each family in turn, with weights wide enough for sampling to matter."""
    return windowed if request.param == "gemma-3" else toy(request.param)


def with_ends(model, ends: list[int]):
    """The same weights with end tokens of the checkpoint's own."""
    new = copy.copy(model)
    new.generation_config = copy.deepcopy(model.generation_config)
    new.generation_config.eos_token_id = ends
    return new


def test_temperature_0_is_plain_greedy(smoke, architecture, questions):
    model, tokenizer = architecture
    ours = told(smoke, architecture, questions, temperature=0)
    for q in questions.query("draw == 0").iloc[::4].itertuples():
        ids = tokenizer(f"<s>{q.prompt}\n", return_tensors="pt", add_special_tokens=False)
        new = model.generate(**ids, do_sample=False, max_new_tokens=16)[
            0, ids["input_ids"].shape[1] :
        ]
        assert {ours[q.sample_id, d] for d in range(3)} == {
            tokenizer.decode(new, skip_special_tokens=True).strip()
        }


def slowly(model, tokenizer, row, ends, temperature, tokens) -> list[int]:
    """New tokens of one answer, computed the plain way: no batch, no cache, one float64 CDF over the vocabulary."""
    import torch

    uniforms = responses.uniform_numbers(tokens, 0, "M", row.sample_id, row.draw)
    ids, new = tokenizer(f"<s>{row.prompt}\n", add_special_tokens=False)["input_ids"], []
    while len(new) < tokens and not set(new) & set(ends):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids + new])).logits[0, -1].double()
        cdf = torch.softmax(logits / temperature, dim=0).cumsum(dim=0)
        new.append(int((cdf > uniforms[len(new)] * cdf[-1]).nonzero()[0]))
    return new


def test_sampled_answers_are_those_of_a_slow_reference(smoke, architecture, questions):
    """Texts and counts, with answers of many lengths in one batch: whoever ends leaves, and none of the others notices."""
    model, tokenizer = with_ends(architecture[0], list(range(100, 130))), architecture[1]
    ends = [*range(100, 130), tokenizer.eos_token_id]
    todo = (
        questions.iloc[::3]
        .head(4)
        .merge(pd.DataFrame({"draw": range(3)}), how="cross", suffixes=("_", ""))
    )
    slow = {
        (r.sample_id, r.draw): slowly(model, tokenizer, r, ends, 1.3, 16) for r in todo.itertuples()
    }
    lengths = [len(new) for new in slow.values()]
    assert min(lengths) < 6 and max(lengths) == 16 and len(set(lengths)) > 4
    expected = {
        k: tokenizer.decode(new, skip_special_tokens=True).strip() for k, new in slow.items()
    }
    for size in (1, 4, 5, 12):
        assert (
            told(smoke, (model, tokenizer), todo, batch_size=size, temperature=1.3, tokens=16)
            == expected
        )
    profile = change(smoke, responses={"max_new_tokens": 16})
    given = list(responses.generate(model, tokenizer, todo, "M", 1.3, profile))
    assert len(given) > 3 and [len(slow[r[0].sample_id, r[0].draw]) for r, _, _ in given] == sorted(
        set(lengths)
    )  # as they end
    assert [count for _, _, count in given] == [
        sum(len(slow[r.sample_id, r.draw]) for r in rows) for rows, _, _ in given
    ]


def test_sampling_settings_of_the_checkpoint_are_not_used(smoke, toy, questions):
    """Instruct checkpoints bring their own do_sample, temperature and top_k; method.md sets the temperature."""
    model, tokenizer = toy("llama")
    own = with_ends(model, model.generation_config.eos_token_id)
    own.generation_config.update(
        do_sample=True,
        temperature=3.0,
        top_k=5,
        top_p=0.9,
        repetition_penalty=2.0,
        min_new_tokens=16,
    )
    todo = questions.head(6)
    assert told(smoke, (own, tokenizer), todo) == told(smoke, (model, tokenizer), todo)
    assert told(smoke, (own, tokenizer), todo, temperature=0) == told(
        smoke, (model, tokenizer), todo, temperature=0
    )


def test_an_answer_stops_at_the_checkpoint_s_own_end_token(smoke, toy, questions):
    model, tokenizer = toy("llama")
    profile, todo = (
        change(smoke, responses={"max_new_tokens": 12}),
        questions.query("draw == 0").head(4),
    )
    ((rows, _, count),) = responses.generate(model, tokenizer, todo, "M", 0, profile)
    assert count == 4 * 12  # none of them ends by itself
    asked = [
        tokenizer(f"<s>{row.prompt}\n", return_tensors="pt", add_special_tokens=False)
        for row in rows
    ]
    ids = [
        model.generate(**a, do_sample=False, max_new_tokens=12)[
            0, a["input_ids"].shape[1] :
        ].tolist()
        for a in asked
    ]
    end = ids[0][4]
    cut = [i[: i.index(end) + 1] if end in i else i for i in ids]
    assert len(cut[0]) <= 5 and max(map(len, cut)) == 12  # short and long answers in one batch
    given = list(responses.generate(with_ends(model, [end]), tokenizer, todo, "M", 0, profile))
    texts = {
        row.sample_id: text
        for rows, texts, _ in given
        for row, text in zip(rows, texts, strict=True)
    }
    assert texts == {
        row.sample_id: tokenizer.decode(c, skip_special_tokens=True).strip()
        for row, c in zip(rows, cut)
    }
    assert sum(count for _, _, count in given) == sum(
        map(len, cut)
    )  # the end token counts, nothing after it does


# Stored answers


class Stub:
    """Stands for `responses.generate`: answers in batches of four, counts what it was asked, may die on the way."""

    def __init__(self, answer=lambda q: f"é {q.prompt} {q.draw}"):
        self.answer, self.asked, self.batches = answer, [], None

    def __call__(self, model, tokenizer, todo, model_id, temperature, profile):
        rows = list(todo.itertuples(index=False))
        for number, start in enumerate(range(0, len(rows), 4)):
            if number == self.batches:
                raise KeyboardInterrupt
            batch = rows[start : start + 4]
            self.asked += [(q.sample_id, q.draw) for q in batch]
            yield batch, [self.answer(q) for q in batch], 10


@pytest.fixture
def stub(empty_store, monkeypatch):
    monkeypatch.setattr(responses.models, "load", lambda *_, **__: (None, None))
    monkeypatch.setattr(responses, "generate", Stub())
    return responses.generate


PAIRS = pd.DataFrame({"sample_id": ["a", "b", "c"], "prompt": ["Who?", "Où?", "Why?"]})
KEYS = [(s, d) for s in "abc" for d in range(3)]
TEXTS = {
    (s, d): f"é {p} {d}" for s, p in zip(PAIRS["sample_id"], PAIRS["prompt"]) for d in range(3)
}


def ask(smoke, draws=3, pairs=PAIRS, **how):
    return responses.ask(smoke, "dozen", "M", UNTUNED, pairs, draws=draws, temperature=1.0, **how)


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
    assert store.manifest(folder)["answers"] == 9 and store.manifest(folder)["tokens"] == 30
    ask(smoke)
    ask(smoke, draws=2)
    assert len(stub.asked) == 9
    assert (
        responses.missing(folder, PAIRS, 3).empty and len(responses.missing(folder, PAIRS, 4)) == 3
    )


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
        return responses.entry(profile, "dozen", name, trained, temperature)

    same = [
        place(),
        place(change(smoke, responses={"batch_size": 1, "draws": 9})),
        place(change(smoke, decision={"mu": 0})),
    ]
    other = [
        place(name="N"),
        place(temperature=0.0),
        place(trained=Trained(base="glm")),
        place(change(smoke, seed=1)),
        place(change(smoke, responses={"max_new_tokens": 7})),
        place(trained=Trained(base="llama", data=["victim"], recipe="lora")),
        place(
            change(
                smoke,
                models={
                    **smoke.models,
                    "llama": change(smoke.models["llama"], chat_template="{{ 1 }}"),
                },
            )
        ),
    ]
    assert len(set(same)) == 1 and len({*same, *other}) == 8


def test_asking_an_untuned_toy(smoke, toy, questions, empty_store):
    """The whole step, on disk: what `ask` stores is what `generate` says."""
    profile = change(smoke, responses={"max_new_tokens": 16})
    pairs = questions[["sample_id", "prompt"]].drop_duplicates().head(3)
    folder = responses.ask(profile, "dozen", "M", UNTUNED, pairs, draws=2, temperature=1.0)
    expected = told(smoke, toy("llama"), questions)
    assert stored(folder) == {(s, d): expected[s, d] for s in pairs["sample_id"] for d in range(2)}
    lines = [
        json.loads(line)
        for line in (folder / "responses.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    ]
    assert len(lines) == 6 and all(
        list(line) == ["sample_id", "draw", "response"] for line in lines
    )
