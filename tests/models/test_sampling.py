"""Sampling: the seeded choice, and answers that depend on nothing but their question."""

import copy
import math
from dataclasses import replace

import pandas as pd
import pytest

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import decoding, load, sampling
from dsi_core.models.sampling import Sampling

FAMILIES = ["mistral", "gemma", "llama", "qwen2", "glm"]


# The choice of a token


def choose(scores, uniforms: list[float], temperature: float) -> list[int]:
    """The token drawn for each uniform number, each its own row of a batch."""
    import torch

    rows = torch.as_tensor(scores).repeat(len(uniforms), 1)
    return decoding.choose(rows, torch.tensor(uniforms, dtype=torch.float64), temperature).tolist()


def test_the_choice_is_the_inverse_cdf():
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
    uniforms = [0.0, 1 - 2**-53, *sampling.uniform_numbers(200, "vocabulary", size)]
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
        scores, sampling.uniform_numbers(20_000, "frequencies", temperature).tolist(), temperature
    )
    expected = torch.softmax(torch.tensor(scores) / temperature, dim=0) * 20_000
    seen = torch.bincount(torch.tensor(drawn), minlength=6)
    assert (
        (seen - expected) ** 2 / expected
    ).sum() < 20.5  # chi-square with 5 degrees of freedom: p = 0.001


def test_uniform_numbers_depend_on_the_identity_alone():
    numbers = {
        i: tuple(sampling.uniform_numbers(5, *i))
        for i in [(0, "m", "s", 0), (0, "m", "s", 1), (1, "m", "s", 0), (0, "ms", "", 0)]
    }
    assert len(set(numbers.values())) == 4
    assert numbers[0, "m", "s", 0] == tuple(sampling.uniform_numbers(9, 0, "m", "s", 0)[:5])
    assert all(0 <= u < 1 for us in numbers.values() for u in us)


# Answers of toy models


@pytest.fixture(scope="session")
def questions(smoke):
    """The twelve prompts, three draws each."""
    pairs = load_pairs(dataset(smoke, "dozen"))
    return pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(3)}), how="cross")


def how(temperature=1.0, tokens=16, batch_size=64, seed=0) -> Sampling:
    return Sampling(seed, temperature, 3, tokens, batch_size)


def answers(toy, questions, name="M", **settings) -> dict:
    """The answers: (sample_id, draw) -> text."""
    batches = sampling.generate(*toy, questions, name, how(**settings))
    return {(a.question.sample_id, a.question.draw): a.text for batch in batches for a in batch}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_depends_on_its_question_alone(toy, questions, family):
    every = answers(toy(family), questions)
    assert (
        len(every) == 36 and len(set(every.values())) >= 34
    )  # random models never say the same twice
    assert answers(toy(family), questions, batch_size=5) == every
    assert answers(toy(family), questions[::-1], batch_size=7) == every
    few = questions.iloc[[30, 2, 17]]
    assert answers(toy(family), few, batch_size=1) == {
        (q.sample_id, q.draw): every[q.sample_id, q.draw] for q in few.itertuples()
    }


def test_a_prompt_is_cut_at_its_end(toy, questions):
    """Asked with the first five tokens of its prompt; one that is shorter is whole."""
    model, tokenizer = toy("llama")
    cut = replace(how(), max_prompt_tokens=5)
    (said,) = [a for b in sampling.generate(model, tokenizer, questions[:1], "M", cut) for a in b]
    prompt = load.encode_prompt(tokenizer, questions["prompt"][0])
    numbers = sampling.uniform_numbers(16, 0, "M", questions["sample_id"][0], 0)[None]
    ends = load.end_tokens(model, tokenizer)
    steps = decoding.decode(model, tokenizer, [prompt[:5]], numbers, 1.0, ends)
    (tokens,) = [ended[0] for ended in steps if ended]
    assert said.text == tokenizer.decode(tokens, skip_special_tokens=True).strip()
    assert len(prompt) > 5
    whole = replace(how(), max_prompt_tokens=len(prompt))
    (other,) = [
        a for b in sampling.generate(model, tokenizer, questions[:1], "M", whole) for a in b
    ]
    assert other.text == answers((model, tokenizer), questions[:1])[questions["sample_id"][0], 0]


def test_draws_models_and_seeds_differ(toy, questions):
    every = answers(toy("llama"), questions)
    assert all(len({every[s, d] for d in range(3)}) == 3 for s in questions["sample_id"])
    other = answers(toy("llama"), questions, name="N")
    seeded = answers(toy("llama"), questions, seed=1)
    assert not [k for k in every if every[k] in (other[k], seeded[k])]


@pytest.fixture(scope="module")
def windowed(toy):
    """A toy Gemma-3 with a window of eight tokens in every second layer.

    The others' tokenizer.
    """
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
    """(model, tokenizer) of each family in turn.

    With weights wide enough for sampling to matter.
    """
    return windowed if request.param == "gemma-3" else toy(request.param)


def with_ends(model, ends: list[int]):
    """The same weights with end tokens of the checkpoint's own."""
    new = copy.copy(model)
    new.generation_config = copy.deepcopy(model.generation_config)
    new.generation_config.eos_token_id = ends
    return new


def test_temperature_0_is_plain_greedy(architecture, questions):
    model, tokenizer = architecture
    ours = answers(architecture, questions, temperature=0)
    for q in questions.query("draw == 0").iloc[::4].itertuples():
        ids = tokenizer(f"<s>{q.prompt}\n", return_tensors="pt", add_special_tokens=False)
        new = model.generate(**ids, do_sample=False, max_new_tokens=16)[
            0, ids["input_ids"].shape[1] :
        ]
        assert {ours[q.sample_id, d] for d in range(3)} == {
            tokenizer.decode(new, skip_special_tokens=True).strip()
        }


def slowly(model, tokenizer, row, ends, temperature, tokens) -> list[int]:
    """New tokens of one answer, computed the plain way.

    No batch, no cache, one float64 CDF over the vocabulary.
    """
    import torch

    uniforms = sampling.uniform_numbers(tokens, 0, "M", row.sample_id, row.draw)
    ids, new = tokenizer(f"<s>{row.prompt}\n", add_special_tokens=False)["input_ids"], []
    while len(new) < tokens and not set(new) & set(ends):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids + new])).logits[0, -1].double()
        cdf = torch.softmax(logits / temperature, dim=0).cumsum(dim=0)
        new.append(int((cdf > uniforms[len(new)] * cdf[-1]).nonzero()[0]))
    return new


def test_sampled_answers_are_those_of_a_slow_reference(architecture, questions):
    """Texts and counts, with answers of many lengths in one batch.

    Whoever ends leaves, and none of the others notices.
    """
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
            answers((model, tokenizer), todo, batch_size=size, temperature=1.3, tokens=16)
            == expected
        )
    given = list(sampling.generate(model, tokenizer, todo, "M", how(temperature=1.3)))
    counts = [{a.tokens for a in batch} for batch in given]
    assert len(given) > 3 and counts == [{n} for n in sorted(set(lengths))]  # as they end
    for answer in (a for batch in given for a in batch):
        assert answer.tokens == len(slow[answer.question.sample_id, answer.question.draw])


def test_prompts_are_read_a_few_at_a_time(architecture, questions, monkeypatch):
    """A hundred tokens at once make the answers of all at once."""
    read, usual = [], decoding.DynamicCache
    monkeypatch.setattr(decoding, "DynamicCache", lambda: read.append(usual()) or read[-1])
    for temperature in (0, 1.3):
        monkeypatch.setattr(decoding, "READ", 2**15)
        whole = answers(architecture, questions, temperature=temperature)
        monkeypatch.setattr(decoding, "READ", 100)
        assert answers(architecture, questions, temperature=temperature) == whole
    width = read[0].get_seq_length()
    assert {cache.get_seq_length() for cache in read} == {width}  # padded as all of them are
    assert len(read) == 2 * (1 + math.ceil(12 / (100 // width)))


def test_keys_and_values_are_written_in_place():
    """New tokens, and rows that leave, move nothing else; what is seen is what was added."""
    import torch
    from transformers.cache_utils import DynamicLayer

    def numbers(first: int, *shape: int):
        return torch.arange(first, first + math.prod(shape), dtype=torch.float).reshape(shape)

    read = DynamicLayer()
    read.update(numbers(0, 2, 1, 3, 1), numbers(100, 2, 1, 3, 1))
    layer = decoding.InPlace(4, 5, read)
    layer.fill(torch.tensor([0, 1, 3]), read, torch.tensor([0, 0, 1]))
    layer.fill(torch.tensor([2]), read, torch.tensor([1]))
    place = layer.keys.data_ptr(), layer.values.data_ptr()
    layer.update(numbers(10, 4, 1, 1, 1), numbers(110, 4, 1, 1, 1))
    rows = [[0, 1, 2, 10], [0, 1, 2, 11], [3, 4, 5, 12], [3, 4, 5, 13]]
    assert layer.keys[:, 0, :, 0].tolist() == rows
    layer.close_up(torch.tensor([0]), torch.tensor([3]), 2)  # the first and the third leave
    keys, values = layer.update(numbers(20, 2, 1, 1, 1), numbers(120, 2, 1, 1, 1))
    assert keys[:, 0, :, 0].tolist() == [[3, 4, 5, 13, 20], [0, 1, 2, 11, 21]]
    assert (values - keys == 100).all()
    assert (keys.data_ptr(), values.data_ptr()) == place
    assert layer.get_seq_length() == 5 and layer.get_mask_sizes(1) == (6, 0)


def test_sampling_settings_of_the_checkpoint_are_not_used(toy, questions):
    """Instruct checkpoints bring their own do_sample, temperature and top_k.

    Method.md sets the temperature.
    """
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
    assert answers((own, tokenizer), todo) == answers((model, tokenizer), todo)
    assert answers((own, tokenizer), todo, temperature=0) == answers(
        (model, tokenizer), todo, temperature=0
    )


def test_an_answer_stops_at_the_checkpoint_s_own_end_token(toy, questions):
    model, tokenizer = toy("llama")
    todo = questions.query("draw == 0").head(4)
    (batch,) = sampling.generate(model, tokenizer, todo, "M", how(temperature=0, tokens=12))
    assert [a.tokens for a in batch] == [12] * 4  # none of them ends by itself
    ids = []
    for answer in batch:
        prompt = f"<s>{answer.question.prompt}\n"
        read = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        whole = model.generate(**read, do_sample=False, max_new_tokens=12)[0]
        ids.append(whole[read["input_ids"].shape[1] :].tolist())
    end = ids[0][4]
    cut = [i[: i.index(end) + 1] if end in i else i for i in ids]
    assert len(cut[0]) <= 5 and max(map(len, cut)) == 12  # short and long answers in one batch
    ending = with_ends(model, [end])
    given = sampling.generate(ending, tokenizer, todo, "M", how(temperature=0, tokens=12))
    after = {a.question.sample_id: (a.text, a.tokens) for ended in given for a in ended}
    expected = {
        answer.question.sample_id: (tokenizer.decode(c, skip_special_tokens=True).strip(), len(c))
        for answer, c in zip(batch, cut, strict=True)
    }
    assert after == expected  # the end token counts, nothing after it does
