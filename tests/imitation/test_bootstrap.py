"""What the imitated model makes up: lists, BLEU by hand, the pool that grows, answers that are kept; a stub in place of the model."""

import numpy as np
import pandas as pd
import pytest
from helpers import change, says

from dsi_core.imitation import bootstrap, dataset
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
def profile(smoke, tmp_path, monkeypatch):
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
def target(monkeypatch):
    """Answers as told, {(category, number of the question): text}; keeps every question."""
    asked, told = [], {}

    def answer(profile, name, trained, questions, *, temperature, tokens):
        rows = []
        for q in questions.itertuples():
            rows.append(told.get((q.category, sum(a[1] == q.category for a in asked)), ""))
            asked.append((name, q.category, q.prompt, temperature, tokens))
        return questions.assign(response=rows)

    monkeypatch.setattr(bootstrap, "asked", answer)
    return asked, told


# Lists and BLEU


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
def test_items_of_a_list(smoke, line, items):
    pattern = extensions.Imitation.model_fields["item"].default
    assert bootstrap.listed(line, pattern) == items
    assert bootstrap.listed(f"Tasks:\n{line}\n- Last one\n", pattern) == [*items, "Last one"]


@pytest.mark.parametrize(
    "candidate, other, score",
    [
        ("a b c d e", "a b c d e", 100.0),
        (
            "a b c d e",
            "a b c d f",
            100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25,
        ),  # n-grams of 1 to 4 that are shared
        ("a b c d", "a b c d e f", 100 * np.exp(1 - 6 / 4)),  # all shared, but short
        ("a b c d e f", "a b c d", 100 * (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),  # not symmetric
        (
            "a b",
            "a c",
            100 * (1 / 2 * 1 / 2) ** 0.5,
        ),  # two words have n-grams up to 2 only; none shared counts as 1/2 of one
        ("a b c", "d e f", 0.0),
    ],
)
def test_bleu_by_hand(candidate, other, score):
    assert bootstrap.bleu(candidate, other) == pytest.approx(score, abs=1e-9)


def test_the_closest_of_several_whatever_the_case():
    assert bootstrap.closest("A B c D", ["x y z", "a b c d e f", "a B x y"]) == pytest.approx(
        100 * np.exp(1 - 6 / 4)
    )
    assert bootstrap.closest("a b", []) == 0.0


# The pool


def test_every_item_meets_its_fate(profile, target):
    asked, told = target
    told["songs", 0] = (
        "Sure:\n- Sing about a grey pony\n- play\n- drum on nine upturned copper pots\n- drum on nine upturned copper pots"
    )
    told["songs", 1] = (
        "- a b c d e f g\n- yodel from some windy mountain\n- clap with both cold hands"
    )
    told["lists", 0] = "I am only a language model."
    told["lists", 1] = (
        "- weigh your four smallest stones\n- name the missing coins\n- never judged at all"
    )
    found = bootstrap.bootstrap(profile)
    new = found[found["fate"] != "seed"]
    assert new[["category", "round", "instruction", "fate"]].values.tolist() == [
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
    assert new["closest"].iloc[0] == pytest.approx(100) and new["closest"].iloc[3] == pytest.approx(
        100
    )
    assert new.loc[new["fate"].isin(["length", "no list", "not needed"]), "closest"].isna().all()
    assert (new.loc[new["fate"] == "accepted", "closest"] < 20).all()
    assert [(name, category, t, tokens) for name, category, _, t, tokens in asked] == [
        ("target, instructions", c, 0.8, 48) for c in ("songs", "lists", "songs", "lists")
    ]  # no third round: both categories have enough
    table = bootstrap.summary(found).set_index("category")
    assert table.loc["songs"].to_dict() == {
        "seed": 3,
        "accepted": 2,
        "too close": 2,
        "length": 2,
        "not needed": 1,
        "no list": 0,
        "accepted_share": 0.333,
    }
    assert (
        table.loc["all", ["seed", "accepted", "no list"]].tolist() == [6, 4, 1]
        and table.loc["lists", "accepted_share"] == 1.0
    )


def test_the_pool_of_every_category_counts(profile, target):
    target[1].update(
        {("songs", 0): "- sort seven plums by weight", ("lists", 0): "- jump over a low fence"}
    )
    found = bootstrap.bootstrap(change(profile, imitation={"rounds": 1}))
    assert found.loc[found["round"] == 1, "fate"].tolist() == ["too close", "accepted"]


def test_on_either_side_of_the_threshold(profile, target):
    target[1]["songs", 0] = (
        "- count a horse"  # against "count all bricks": 1 of 3 words, then 1/2 of 1 in 2 and 1/4 of 1 in 1
    )
    near = 100 * (1 / 3 * 1 / 4 * 1 / 4) ** (1 / 3)
    for bleu, fate in ((near - 0.01, "too close"), (near + 0.01, "accepted")):
        target[0].clear()
        found = bootstrap.bootstrap(change(profile, imitation={"rounds": 1, "bleu": bleu}))
        row = found[(found["category"] == "songs") & (found["round"] == 1)].iloc[0]
        assert row["closest"] == pytest.approx(near) and row["fate"] == fate


def test_seeds_alone_are_shown_until_the_category_has_more(profile, target):
    asked, told = target
    fresh = [
        "drum on nine upturned copper pots",
        "yodel from some windy mountain",
        "clap with both cold hands",
        "ring every bell in town",
    ]
    told.update({("songs", i): f"- {text}" for i, text in enumerate(fresh)})
    bootstrap.bootstrap(change(profile, imitation={"per_category": 4, "rounds": 9, "examples": 20}))
    shown = [prompt.splitlines() for _, category, prompt, *_ in asked if category == "songs"]
    assert all(s[0] == "songs:" for s in shown)
    sizes = [len(s) - 1 for s in shown]
    assert sizes[:4] == [3, 3, 5, 6] and set(shown[3][1:]) > {
        f"- {t}" for t in fresh[:3]
    }  # 3 and 4 instructions are not more than 4
    assert len(sizes) == 4  # enough by then


def test_questions_are_the_same_for_the_same_seed(profile, target):
    bootstrap.bootstrap(profile)
    first = [a[2] for a in target[0]]
    target[0].clear()
    bootstrap.bootstrap(profile)
    assert [a[2] for a in target[0]] == first and len(first) > 2
    target[0].clear()
    bootstrap.bootstrap(profile.model_copy(update={"seed": 1}))
    assert [a[2] for a in target[0]] != first


# Answers


def test_short_answers_are_left_out(profile, target):
    asked, told = target
    told.update({("songs", 0): "La la la", ("lists", 0): "one two"})
    rows = pd.DataFrame(
        [
            ("songs", "whistle", "accepted"),
            ("songs", "shout", "too close"),
            ("lists", "count", "accepted"),
        ],
        columns=["category", "instruction", "fate"],
    )
    found = bootstrap.examples(profile, rows)
    assert found.values.tolist() == [
        ["songs", "output", "whistle", "La la la", 3, "kept"],
        ["lists", "input-output", "count", "one two", 2, "short"],
    ]
    assert [(name, prompt, t) for name, _, prompt, t, _ in asked] == [
        ("target, examples", "whistle", 0.7),
        ("target, examples", "Do this: count", 0.7),
    ]


def test_too_few_instructions_are_an_error_that_counts_them(profile, target, empty_store):
    target[1]["songs", 0] = "- drum on nine upturned copper pots"
    with pytest.raises(ValueError) as error:
        dataset.dataset(Study(profile, None))
    says(
        error,
        "llama made up 1 instructions in 3 rounds",
        "'seed': 6",
        "0 of them",
        "15 are needed",
        "rounds or queries",
    )
    assert store.manifest(store.entry("imitation", "llama", bootstrap.spec(profile))) is None


# Where they are asked


def test_a_target_behind_an_endpoint_is_asked_through_its_api(smoke, empty_store, monkeypatch):
    from dsi_core.models import endpoint
    from dsi_core.runtime import jobs as work

    remote = Model(endpoint=Endpoint(base_url="http://localhost:1/v1", model="m"))
    profile = change(
        smoke, models={**smoke.models, "remote": remote}, responses={"system": "be brief"}
    )
    sent = []

    def generate(where, todo, temperature, profile):
        sent.append(
            (where.model, profile.responses.max_new_tokens, profile.responses.system, temperature)
        )
        for row in todo.itertuples():
            yield [row], [row.prompt.upper()], 1

    monkeypatch.setattr(endpoint, "generate", generate)
    monkeypatch.setattr(work, "run", lambda jobs: [j.call(*j.args, **j.kwargs) for j in jobs])
    questions = pd.DataFrame(
        {"sample_id": ["x", "y"], "prompt": ["one", "two"], "category": ["a", "b"]}
    )
    for _ in range(2):  # the second time nothing is sent
        told = bootstrap.asked(
            profile, "target", Trained(base="remote"), questions, temperature=0.5, tokens=9
        )
        assert told[["category", "response"]].values.tolist() == [["a", "ONE"], ["b", "TWO"]]
    assert sent == [("m", 9, None, 0.5)]


# Settings


def test_our_seeds(smoke):
    kinds = bootstrap.categories("params/imitation_seeds.yaml")
    assert len(kinds) == 9 and all(len(k.seeds) == 6 for k in kinds.values())
    every = [s for k in kinds.values() for s in k.seeds]
    assert all(bootstrap.closest(s, [t for t in every if t != s]) < 60 for s in every)
    assert {n for n, k in kinds.items() if k.kind == "input-output"} == {
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
        bootstrap.settings(change(smoke, imitation=None))


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
    other = {
        "budgets": [1, 2, 3],
        "rated": 9,
        "mixture": None,
        "bleu": 30.0,
        "pairs": 5,
        "words": (2, 9),
        "prompt": "{category} {instructions}",
    }[field]
    assert (
        bootstrap.spec(change(smoke, imitation={field: other})) == bootstrap.spec(smoke)
    ) == same
    assert bootstrap.spec(smoke.model_copy(update={"seed": 7})) != bootstrap.spec(smoke)
