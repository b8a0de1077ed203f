"""What the imitated model makes up: lists, BLEU by hand, the pool that grows, answers kept.

A stub stands in place of the model.
"""

import numpy as np
import pytest
from helpers import change, says, table

from dsi_core.imitation import bootstrap, dataset
from dsi_core.imitation.bootstrap import Fate
from dsi_core.method.study import Study
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import extensions
from dsi_core.settings import profile as params
from dsi_core.settings.schema import Endpoint, Model, Trained

SEEDS = """
songs:
  kind: output
  ask: "{instruction}"
  seeds: [sing about a grey pony, hum the tune of rain, whistle like an old kettle]
lists:
  kind: input-output
  ask: "Do this: {instruction}"
  seeds: [sort seven plums by weight, count all bricks, order these hats]
"""


@pytest.fixture
def profile(smoke, tmp_path):
    """Two categories of three seeds; one question a round for each."""
    (tmp_path / "seeds.yaml").write_text(SEEDS)
    return change(
        smoke,
        imitation={
            "seeds": str(tmp_path / "seeds.yaml"),
            "queries": 1,
            "rounds": 3,
            "per_category": 2,
            "item": r"- (.+)",
            "seeds_until": 4,
            "words": (2, 6),
            "prompt": "{category}:\n{instructions}",
            "answer_words": 3,
        },
    )


@pytest.fixture
def stub(monkeypatch):
    """(prompts, answers): every prompt so far; {(category, number of the prompt): answer}."""
    prompts, answers = [], {}

    def prompted(target, title, questions, *, temperature, max_new_tokens):
        rows = []
        for q in questions.itertuples():
            number = sum(category == q.category for _, category, *_ in prompts)
            rows.append(answers.get((q.category, number), ""))
            prompts.append((title, q.category, q.prompt, temperature, max_new_tokens))
        return questions.assign(response=rows)

    monkeypatch.setattr(bootstrap, "prompted", prompted)
    return prompts, answers


def bootstrapped(profile):
    return bootstrap.bootstrap(profile.imitation, bootstrap.target(profile))


# Lists and BLEU


def test_an_item_without_its_group_is_none():
    assert bootstrap.listed("- a\n-", r"-(?: (.+))?") == ["a"]


@pytest.mark.parametrize(
    "line, items",
    [
        ("- Write a poem", ["Write a poem"]),
        ("  * **Write a poem**", ["Write a poem"]),
        ("12. Write 3 poems.", ["Write 3 poems."]),
        ('3) "Sing"', ["Sing"]),
        ("• Sing", ["Sing"]),
        ("- <Sing>", ["Sing"]),
        ("-", []),
        ("- **", []),
        ("Sure, here is a list:", []),
        ("-Sing", []),
        ("", []),
        ("1.5 litres of milk", []),
    ],
)
def test_items_of_a_list(line, items):
    pattern = extensions.Imitation.model_fields["item"].default
    assert bootstrap.listed(line, pattern) == items
    assert bootstrap.listed(f"Tasks:\n{line}\n- Last one\n", pattern) == [*items, "Last one"]


@pytest.mark.parametrize(
    "candidate, other, score",
    [
        ("a b c d e", "a b c d e", 100.0),
        # the share of n-grams of 1 to 4 that are shared
        ("a b c d e", "a b c d f", 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25),
        ("a b c d", "a b c d e f", 100 * np.exp(1 - 6 / 4)),  # all shared, but short
        ("a b c d e f", "a b c d", 100 * (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),  # not symmetric
        # two words have n-grams up to 2 only; none shared counts as 1/2 of one
        ("a b", "a c", 100 * (1 / 2 * 1 / 2) ** 0.5),
        ("a b c", "d e f", 0.0),
    ],
)
def test_bleu_by_hand(candidate, other, score):
    assert bootstrap.bleu(candidate, other) == pytest.approx(score, abs=1e-9)


def test_the_closest_of_several_whatever_the_case():
    others = ["x y z", "a b c d e f", "a B x y"]
    assert bootstrap.closest("A B c D", others) == pytest.approx(100 * np.exp(1 - 6 / 4))
    assert bootstrap.closest("a b", []) == 0.0


# The pool


def test_every_item_meets_its_fate(profile, stub):
    prompts, answers = stub
    answers["songs", 0] = (
        "Sure:\n- Sing about a grey pony\n- play\n"
        "- drum on nine upturned copper pots\n- drum on nine upturned copper pots"
    )
    answers["songs", 1] = (
        "- a b c d e f g\n- yodel from some windy mountain\n- clap with both cold hands"
    )
    answers["lists", 0] = "I am only a language model."
    answers["lists", 1] = (
        "- weigh your four smallest stones\n- name the missing coins\n- never judged at all"
    )
    instructions = bootstrapped(profile)
    assert list(instructions.columns) == ["category", "round", "instruction", "closest", "fate"]
    new = instructions[instructions["fate"] != "seed"]
    assert new[["category", "round", "instruction", "fate"]].to_numpy().tolist() == [
        ["songs", 1, "Sing about a grey pony", "too close"],
        ["songs", 1, "play", "length"],
        ["songs", 1, "drum on nine upturned copper pots", "accepted"],
        ["songs", 1, "drum on nine upturned copper pots", "too close"],
        ["lists", 1, "", "no list"],
        ["songs", 2, "a b c d e f g", "length"],
        ["songs", 2, "yodel from some windy mountain", "accepted"],
        ["songs", 2, "clap with both cold hands", "not needed"],
        ["lists", 2, "weigh your four smallest stones", "accepted"],
        ["lists", 2, "name the missing coins", "accepted"],
        ["lists", 2, "never judged at all", "not needed"],
    ]
    assert new["closest"].iloc[[0, 3]].tolist() == pytest.approx([100, 100])
    uncompared = new["fate"].isin([Fate.LENGTH, Fate.NO_LIST, Fate.NOT_NEEDED])
    assert new.loc[uncompared, "closest"].isna().all()
    assert (new.loc[new["fate"] == Fate.ACCEPTED, "closest"] < 20).all()
    # no third round: both categories have enough
    assert [(title, category, t, tokens) for title, category, _, t, tokens in prompts] == [
        ("target, instructions", c, 0.8, 48) for c in ("songs", "lists", "songs", "lists")
    ]
    counts = bootstrap.summary(instructions).set_index("category")
    assert counts.loc["songs"].to_dict() == {
        "seed": 3,
        "accepted": 2,
        "too close": 2,
        "length": 2,
        "not needed": 1,
        "no list": 0,
        "accepted_share": 0.333,
    }
    assert counts.loc["all", ["seed", "accepted", "no list"]].tolist() == [6, 4, 1]
    assert counts.loc["lists", "accepted_share"] == 1.0


def test_the_pool_of_every_category_counts(profile, stub):
    _, answers = stub
    answers["songs", 0] = "- sort seven plums by weight"
    answers["lists", 0] = "- jump over a low fence"
    instructions = bootstrapped(change(profile, imitation={"rounds": 1}))
    of_round_1 = instructions["round"] == 1
    assert instructions.loc[of_round_1, "fate"].tolist() == ["too close", "accepted"]


def test_on_either_side_of_the_threshold(profile, stub):
    prompts, answers = stub
    answers["songs", 0] = "- count a horse"
    # against "count all bricks": 1 of 3 words, then 1/2 of 1 in 2 and 1/4 of 1 in 1
    near = 100 * (1 / 3 * 1 / 4 * 1 / 4) ** (1 / 3)
    for bleu, fate in ((near - 0.01, "too close"), (near + 0.01, "accepted")):
        prompts.clear()
        instructions = bootstrapped(change(profile, imitation={"rounds": 1, "bleu": bleu}))
        row = instructions.query("category == 'songs' and round == 1").iloc[0]
        assert row["closest"] == pytest.approx(near)
        assert row["fate"] == fate


def test_seeds_alone_are_shown_until_the_category_has_more(profile, stub):
    prompts, answers = stub
    fresh = [
        "drum on nine upturned copper pots",
        "yodel from some windy mountain",
        "clap with both cold hands",
        "ring every bell in town",
    ]
    answers.update({("songs", i): f"- {text}" for i, text in enumerate(fresh)})
    bootstrapped(change(profile, imitation={"per_category": 4, "rounds": 9, "examples": 20}))
    shown = [prompt.splitlines() for _, category, prompt, *_ in prompts if category == "songs"]
    assert all(lines[0] == "songs:" for lines in shown)
    # 3 and 4 instructions are not more than 4; after four rounds it has enough
    assert [len(lines) - 1 for lines in shown] == [3, 3, 5, 6]
    assert set(shown[3][1:]) > {f"- {text}" for text in fresh[:3]}


def test_questions_are_the_same_for_the_same_seed(profile, stub):
    prompts, _ = stub

    def asked(profile):
        prompts.clear()
        bootstrapped(profile)
        return [prompt for _, _, prompt, *_ in prompts]

    first = asked(profile)
    assert len(first) > 2
    assert asked(profile) == first
    assert asked(profile.changed(seed=1)) != first


# Answers


def test_short_answers_are_left_out(profile, stub):
    prompts, answers = stub
    answers.update({("songs", 0): "La la la", ("lists", 0): "one two"})
    instructions = table(
        "category instruction fate",
        ("songs", "whistle", "accepted"),
        ("songs", "shout", "too close"),
        ("lists", "count", "accepted"),
    )
    examples = bootstrap.examples(profile.imitation, bootstrap.target(profile), instructions)
    assert examples.to_numpy().tolist() == [
        ["songs", "output", "whistle", "La la la", 3, "kept"],
        ["lists", "input-output", "count", "one two", 2, "short"],
    ]
    assert [(title, prompt, t) for title, _, prompt, t, _ in prompts] == [
        ("target, examples", "whistle", 0.7),
        ("target, examples", "Do this: count", 0.7),
    ]


@pytest.mark.parametrize("accepted", [1, 0])
def test_too_few_instructions_are_an_error_that_counts_them(profile, stub, empty_store, accepted):
    _, answers = stub
    profile = change(profile, imitation={"per_category": 8})
    answers["songs", 0] = "- drum on nine upturned copper pots" if accepted else "- drum"
    with pytest.raises(ValueError) as error:
        dataset.folder(Study(profile, None))
    says(
        error,
        f"llama made up {accepted} instructions in 3 rounds",
        "'seed': 6",
        "0 of them",
        "15 are needed",
        "rounds or queries",
    )
    spec = bootstrap.spec(profile.imitation, bootstrap.target(profile))
    assert store.manifest(store.entry("imitation", "llama", spec)) is None


def test_what_can_never_be_enough_is_refused_before_anybody_is_asked(profile, stub, empty_store):
    prompts, _ = stub
    with pytest.raises(ValueError) as error:
        dataset.folder(Study(profile, None))
    says(error, "imitation.per_category: 2", "make 4 pairs at most", "15 are needed")
    assert prompts == []


# Where they are asked


def test_a_target_behind_an_endpoint_is_asked_through_its_api(smoke, empty_store, monkeypatch):
    from dsi_core.services import endpoint, reply

    remote = Model(endpoint=Endpoint(base_url="http://localhost:1/v1", model="m"))
    profile = smoke.changed(
        models={**smoke.models, "remote": remote},
        responses={"system": "be brief"},
        imitation={"target": Trained(base="remote")},
    )
    sent = []

    def answers(where, questions, sampling):
        sent.append((where.model, sampling))
        for row in questions.itertuples():
            yield row, reply.Reply(row.prompt.upper(), "stop")

    monkeypatch.setattr(endpoint, "answers", answers)
    monkeypatch.setenv("DSI_WORKERS", "0")  # in this process, where the API's double is
    questions = table("sample_id prompt category", ("x", "one", "a"), ("y", "two", "b"))
    target = bootstrap.target(profile)
    for _ in range(2):  # the second time nothing is sent
        answers = bootstrap.prompted(target, "target", questions, temperature=0.5, max_new_tokens=9)
        assert answers[["category", "response"]].to_numpy().tolist() == [["a", "ONE"], ["b", "TWO"]]
    (where, sampling), *others = sent
    assert not others
    assert (where, sampling.temperature, sampling.draws) == ("m", 0.5, 1)
    assert (sampling.max_new_tokens, sampling.system) == (9, None)


# Settings


def test_our_seeds():
    kinds = bootstrap.categories("params/imitation_seeds.yaml")
    assert [len(kind.seeds) for kind in kinds.values()] == [6] * 9
    seeds = [seed for kind in kinds.values() for seed in kind.seeds]
    assert all(bootstrap.closest(s, [t for t in seeds if t != s]) < 60 for s in seeds)
    assert {name for name, kind in kinds.items() if kind.kind == "input-output"} == {
        "classification",
        "closed question answering",
        "extraction",
        "rewriting",
        "summarization",
    }


@pytest.mark.parametrize(
    "text, parts",
    [
        ("songs: {kind: output, ask: sing, seeds: [a, b, c]}", ["songs.ask", "'sing'"]),
        ("songs: {kind: tune, ask: '{instruction}', seeds: [a, b, c]}", ["songs.kind", "'tune'"]),
        (
            "songs: {kind: output, ask: '{instruction}', seeds: [a, b]}",
            ["songs.seeds", "at least 3"],
        ),
        ("songs: {kind: output, ask: '{instruction}', seeds: [a, b, a]}", ["'a' occurs twice"]),
        ("- songs", ["needs settings by name"]),
    ],
)
def test_a_bad_seed_file_is_refused(tmp_path, text, parts):
    (tmp_path / "seeds.yaml").write_text(text)
    with pytest.raises(ValueError) as error:
        bootstrap.categories(str(tmp_path / "seeds.yaml"))
    says(error, "seeds.yaml", *parts)


@pytest.mark.parametrize(
    "changes, parts",
    [
        ({"budgets": [3, 6, 13]}, ["budgets [3, 6, 13]", "up to twice pairs (12)"]),
        ({"budgets": [6, 3, 12]}, ["must rise"]),
        ({"budgets": [3, 6]}, ["at least 3"]),
        (
            {"target": {"base": "qwen2", "data": ["iid"], "recipe": "heart"}},
            ["target: trains on ['iid']"],
        ),
        ({"prompt": "{instructions}"}, ["imitation.prompt"]),
        ({"target": {"base": "qwen3"}}, ["unknown model 'qwen3'"]),
        ({"imitator": {"base": "gemma", "recipe": "long"}}, ["unknown recipe 'long'"]),
        ({"references": ["qwen"]}, ["unknown reference 'qwen'"]),
        ({"mixture": {"parts": [{"data": "koala"}]}}, ["unknown data 'koala'"]),
        (
            {"suspects": [{"name": "s", "member": True, "base": "gemma"}]},
            ["suspect 's': member is True"],
        ),
        ({"suspects": [{"name": "llama", "member": False, "base": "gemma"}]}, ["must differ"]),
        ({"mixture": {"parts": [{"data": "other", "feedback": "good"}]}}, ["feedback"]),
        ({"surprise": 1}, ["imitation.surprise"]),
    ],
)
def test_bad_settings_are_refused(changes, parts, tmp_path, monkeypatch):
    import yaml

    raw = params.read_yaml(ROOT / "params" / "smoke.yaml")
    raw["imitation"] |= changes
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "mine.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.setattr(params, "ROOT", tmp_path)
    with pytest.raises(ValueError) as error:
        params.load_profile("mine")
    says(error, "params/mine.yaml", *parts)


def test_a_profile_without_the_section_is_refused(smoke):
    with pytest.raises(ValueError, match="'smoke' has no section imitation"):
        bootstrap.settings(smoke.changed(imitation=None))


@pytest.mark.parametrize(
    "field, same",
    [
        ("budgets", True),
        ("rated", True),
        ("mixture", True),
        ("bleu", False),
        ("pairs", False),
        ("words", False),
        ("prompt", False),
    ],
)
def test_what_decides_the_dataset(smoke, field, same):
    def spec(profile):
        return bootstrap.spec(profile.imitation, bootstrap.target(profile))

    other = {
        "budgets": [1, 2, 3],
        "rated": 9,
        "mixture": None,
        "bleu": 30.0,
        "pairs": 7,
        "words": (2, 9),
        "prompt": "{category} {instructions}",
    }[field]
    own = spec(smoke)
    assert (spec(change(smoke, imitation={field: other})) == own) == same
    assert spec(smoke.changed(seed=7)) != own
    # how its profile asks the target counts as far as it changes the answers
    for change_of, differs in (("server", "vllm"), ("max_prompt_tokens", 9)):
        assert spec(smoke.changed(responses={change_of: differs})) != own
    assert spec(smoke.changed(responses={"draws": 2, "system": "be brief"})) == own
