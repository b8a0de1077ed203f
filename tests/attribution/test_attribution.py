"""Attribution: features, scores and tables against values made by hand, who may learn from what, and the released format."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from helpers import SHARED, change, says, table, write_jsonl
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from dsi_core.attribution import (
    classifiers,
    heuristics,
    perplexity,
)
from dsi_core.attribution import (
    compare as attribution,
)
from dsi_core.attribution import encoder as transformer
from dsi_core.attribution import (
    replies as attribution_data,
)
from dsi_core.attribution import (
    tables as attribution_tables,
)
from dsi_core.attribution.classifiers import METHODS
from dsi_core.evidence import intervals
from dsi_core.method.study import Study
from dsi_core.paper import tables
from dsi_core.settings.extensions import Attribution
from dsi_core.settings.schema import Similarity

FILE = SHARED / "matching_pairs_responses_even.json"


def replies(*rows) -> pd.DataFrame:
    """rows: (prompts, prompt_id, model, base, reply); a model that is not its own base is tuned."""
    made = table("prompts prompt_id model base reply", *rows)
    return made.assign(
        dataset="d", prompt=made["prompt_id"], tuned=made["model"] != made["base"], member=None
    )


BIRDS, SHIPS = (
    ["robin", "wren", "heron", "owl", "lark"],
    ["sloop", "barge", "ketch", "brig", "yawl"],
)


def zoo(sets: int = 3, prompts: int = 4) -> pd.DataFrame:
    """Base `air` speaks of birds, base `sea` of ships; of each two tuned models, which speak of them too."""
    rng, rows = np.random.default_rng(0), []
    for s in range(sets):
        for p in range(prompts):
            for model, base in (
                ("air", "air"),
                ("sea", "sea"),
                ("t-air", "air"),
                ("t-sea", "sea"),
                ("u-air", "air"),
                ("u-sea", "sea"),
            ):
                rows.append(
                    (
                        f"set {s}",
                        f"{s}.{p}",
                        model,
                        base,
                        " ".join(rng.choice(BIRDS if base == "air" else SHIPS, 5)),
                    )
                )
    return replies(*rows)


# Heuristics


def test_marks_of_a_reply():
    found = heuristics.features(pd.Series(["Ann: the ÄÄÄ 42!\nhttp://x", "", "  "])).to_dict(
        "records"
    )
    one = found[0]
    assert (
        one["log_length"] == pytest.approx(math.log(1 + 25))
        and one["digits"] == 2 / 25
        and one["newlines"] == 1 / 25
    )
    assert (
        one["capitals"] == 4 / 25
        and one["latin_accents"] == one["not_ascii"] == 3 / 25
        and one["longest_run"] == 3 / 25
    )
    assert (
        one["english"] == 1 / 5 and one["mean_word"] == (3 + 3 + 3 + 4 + 1) / 5
    )  # ann the äää http x
    assert (one["speaker_lines"], one["links"], one["ends_a_sentence"], one["blank"]) == (
        1 / 2 + 1 / 2,
        1,
        0,
        0,
    )  # "http:" has the form too
    assert (
        found[1]["blank"] == found[2]["blank"] == 1
        and sum(found[1].values()) == 1
        and found[2]["starts_with_space"] == 1
    )


def test_repetition_lowers_compressibility():
    one, other = heuristics.features(
        pd.Series(
            ["la " * 60, "A wren sang over the quay, and nobody but the ferryman's aunt heard it."]
        )
    ).to_dict("records")
    assert one["compressibility"] < 0.2 < 0.8 < other["compressibility"]
    assert one["repeated_words"] == 1 - 1 / 60 and other["repeated_words"] == pytest.approx(
        1 - 14 / 15
    )  # "the" twice


# Scores


def test_nearest_heuristics_is_the_distance_of_mean_marks():
    known = replies(
        ("s", "1", "loud", "loud", "AAA BBB"),
        ("s", "2", "loud", "loud", "CC DD EE"),
        ("s", "1", "calm", "calm", "a dog 1"),
        ("s", "2", "calm", "calm", "it is ok."),
    )
    asked = replies(("s", "1", "t", "loud", "FF GG"), ("s", "2", "t", "loud", "hm HH"))
    scores = classifiers.nearest_heuristics(None, known, asked, ["calm", "loud"])
    own, theirs = (heuristics.features(t["reply"]) for t in (known, asked))
    unit = own.std(ddof=0).replace(0, 1)
    far = [
        (((theirs.mean() - own[(known["base"] == b)].mean()) / unit) ** 2).sum()
        for b in ("calm", "loud")
    ]
    assert (
        np.diff(scores.mean(axis=0)) == pytest.approx(-np.diff(far))
        and scores.mean(axis=0).argmax() == 1
    )


def test_pooled_cosine_is_the_cosine_of_all_replies_pooled():
    known = replies(
        ("s", "1", "a", "a", "red red dog"),
        ("s", "2", "a", "a", "red cat"),
        ("s", "1", "b", "b", "blue cat"),
        ("s", "2", "b", "b", "blue sky"),
    )
    asked = replies(("s", "1", "t", "a", "red"), ("s", "2", "t", "a", "blue red cat"))
    scores = classifiers.pooled_cosine("words", None, known, asked, ["a", "b"])
    weight = {
        w: math.log(5 / (1 + n)) + 1
        for w, n in {
            "red": 2,
            "dog": 1,
            "cat": 2,
            "blue": 2,
            "sky": 1,
            "red red": 1,
            "red dog": 1,
            "red cat": 1,
            "blue cat": 1,
            "blue sky": 1,
        }.items()
    }
    a = {"red": 3, "dog": 1, "cat": 1, "red red": 1, "red dog": 1, "red cat": 1}
    length = math.sqrt(sum((n * weight[w]) ** 2 for w, n in a.items()))
    assert scores[0, 0] == pytest.approx(3 * weight["red"] ** 2 / length)
    # and, model by model, scikit-learn's cosine of the pooled texts with the same weights
    vectors = TfidfVectorizer(analyzer="word", ngram_range=(1, 2), norm=None).fit(known["reply"])
    pooled = [
        vectors.transform(known.loc[known["base"] == b, "reply"]).sum(axis=0) for b in ("a", "b")
    ]
    whole = np.asarray(vectors.transform(asked["reply"]).sum(axis=0))
    expected = cosine_similarity(whole, np.asarray(np.concatenate(pooled)))[0]
    assert scores.sum(axis=0) / np.linalg.norm(whole) == pytest.approx(expected)


def test_same_prompt_cosine():
    known = replies(
        ("s", "1", "a", "a", "red dog"),
        ("s", "2", "a", "a", "old cat"),
        ("s", "1", "b", "b", "blue sky"),
        ("s", "2", "b", "b", "red dog"),
    )
    asked = replies(("s", "2", "t", "a", "red dog"), ("s", "1", "t", "a", "red dog"))
    assert classifiers.same_prompt_cosine("words", None, known, asked, ["a", "b"]) == pytest.approx(
        np.array([[0, 1], [1, 0]])
    )


def test_naive_bayes_by_hand():
    known = replies(("s", "1", "a", "a", "xx"), ("s", "1", "b", "b", "xy"))
    scores = classifiers.naive_bayes(None, known, replies(("s", "1", "t", "a", "x")), ["b", "a"])
    grams = 4  # x, y, xx, xy; a: x x xx, b: x y xy
    a, b = (2 + 0.1) / (3 + 0.1 * grams), (1 + 0.1) / (3 + 0.1 * grams)
    assert scores == pytest.approx(np.log(np.array([[b / (a + b), a / (a + b)]])))


def test_perplexity_rules_by_hand():
    known = replies(("s", "1", "a", "a", "abcd"), ("s", "1", "b", "b", "ab")).assign(
        nats=[np.array([2.0, 9.0]), np.array([8.0, 4.0])],
        tokens=[np.array([2, 3]), np.array([2, 1])],
    )
    asked = replies(("s", "1", "t", "b", "abcdefgh"), ("s", "2", "t", "b", "")).assign(
        nats=[np.array([6.0, 8.0]), np.zeros(2)], tokens=[np.array([4, 2]), np.array([0, 0])]
    )
    token, character, above = (
        METHODS[f"perplexity {p}"](None, known, asked, ["a", "b"])
        for p in ("per token", "per character", "above own")
    )
    assert token[0] == pytest.approx([-1.5, -4.0]) and character[0] == pytest.approx([-6 / 8, -1.0])
    assert above[0] == pytest.approx([-(1.5 - 1.0), -(4.0 - 4.0)])
    assert np.isnan([token[1], character[1], above[1]]).all()  # no token, no score


@pytest.mark.parametrize(
    "method", [m for m in METHODS if not m.startswith(("perplexity", "transformer"))]
)
def test_every_method_tells_birds_from_ships(smoke, one_thread, method):
    made = zoo()
    if method.startswith("heuristics"):  # these do not know a bird from a ship
        made["reply"] = [
            r.upper() + "!" if b == "air" else r for r, b in zip(made["reply"], made["base"])
        ]
    if method.endswith("same prompt"):  # these need more than a topic: the base's own words
        own = made[~made["tuned"]].set_index(["base", "prompt_id"])["reply"]
        made["reply"] = [own[b, p] for b, p in zip(made["base"], made["prompt_id"])]
    learnt = method == "same prompt, learnt"
    known, asked = (
        made[made["model"].isin(["air", "sea", *(["t-air", "t-sea"] if learnt else [])])],
        made[made["model"].str.startswith("u-")],
    )
    scores = METHODS[method](smoke, known, asked, ["air", "sea"])
    assert scores.shape == (len(asked), 2)
    found = attribution_tables.attributed(
        asked.assign(scores=list(scores)), ["air", "sea"], ["model", "base"]
    )
    assert found["right"].all() and found["replies"].tolist() == [12, 12]
    # nobody looks at the truth of those asked
    assert METHODS[method](
        smoke, known, asked.assign(base="?", model="?"), ["air", "sea"]
    ) == pytest.approx(scores)


# Who learns from what


def test_folds_keep_a_set_of_prompts_together():
    made = zoo(sets=4)
    parts = [s for s in attribution.splits(made, 3, 0) if s[1].startswith("fold")]
    assert (
        len(parts) == 3
        and sorted(i for s in parts for i in s[3]) == made.index[~made["tuned"]].tolist()
    )
    for level, _, known, asked in parts:
        assert (
            level == "k3"
            and not set(made.loc[known, "prompts"]) & set(made.loc[asked, "prompts"])
            and not made.loc[known.union(asked), "tuned"].any()
        )
        assert set(made.loc[asked, "model"]) == {"air", "sea"}
    one = [s for s in attribution.splits(zoo(sets=1), 3, 0) if s[1].startswith("fold")]
    assert len(one) == 3 and all(not set(known) & set(asked) for _, _, known, asked in one)


def test_levels_of_knowledge():
    made = zoo()
    parts = {
        (level, split): (set(made.loc[known, "model"]), set(made.loc[asked, "model"]))
        for level, split, known, asked in attribution.splits(made, 2, 0)
    }
    tuned = {"t-air", "t-sea", "u-air", "u-sea"}
    assert parts["k3", "tuned"] == ({"air", "sea"}, tuned)
    assert parts["k2", "without t-air"] == ({"air", "sea", "t-sea", "u-sea"}, {"t-air"})
    assert parts["k1", "without t-air"] == ({"air", "sea", "t-sea", "u-sea", "u-air"}, {"t-air"})
    assert len(parts) == 2 + 1 + 4 + 4
    alone = made[~made["model"].str.startswith("u-")]
    assert {level for level, *_ in attribution.splits(alone, 2, 0)} == {
        "k3",
        "k2",
    }  # k1 would be k2


def test_partners_are_other_prompts_of_the_same_set():
    made = zoo()
    beside = transformer.partners(made, made, 0)
    assert (beside != made["prompt_id"]).all() and (beside.str[0] == made["prompt_id"].str[0]).all()
    assert (beside.groupby(made["prompt_id"]).nunique() == 1).all()  # the same for all models
    assert (beside == transformer.partners(made, made, 0)).all() and (
        beside != transformer.partners(made, made, 1)
    ).any()
    known, asked = made[made["prompts"] != "set 0"], made[made["prompts"] == "set 0"]
    assert set(transformer.partners(known, asked, 0)) <= set(known["prompt_id"])


# What the scores say


def scored(*rows) -> pd.DataFrame:
    """rows: (model, base, tuned, member, prompts, scores over bases a, b, c) of one method."""
    return table(
        "model base tuned member prompts scores", *[(*r[:5], np.array(r[5], float)) for r in rows]
    ).assign(dataset="d", method="heuristics", level="k3", split="tuned")


ROWS = scored(
    ("x", "a", True, True, "D", [3, 2, 0]),
    ("x", "a", True, True, "other", [0, 4, 1]),
    ("y", "c", True, False, "D", [1, 1, 5]),
    ("y", "c", True, False, "other", [math.nan] * 3),
    ("z", "b", True, False, "D", [math.nan] * 3),
)


def test_the_highest_mean_score_decides():
    found = attribution_tables.attributed(ROWS, ["a", "b", "c"], ["model", "base"]).set_index(
        "model"
    )
    assert found["attributed"].tolist()[:2] == ["b", "c"] and pd.isna(found.loc["z", "attributed"])
    assert found["right"].tolist() == [False, True, False] and found["replies"].tolist() == [
        2,
        2,
        1,
    ]
    assert found.loc["x", "margin"] == 3 - 1.5 and found.loc["y", "margin"] == 4


def test_votes_are_shared_in_a_tie():
    votes = attribution_tables.first_places(
        scored(
            ("x", "a", True, True, "D", [3, 3, 0]),
            ("x", "a", True, True, "D", [1, 2, 0]),
            ("x", "a", True, True, "D", [math.nan] * 3),
        )
    )
    assert votes.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 0]]


def test_groups_and_votes():
    groups = attribution_tables.groups_table(ROWS, ["a", "b", "c"], "heuristics").set_index(
        ["prompts", "models"]
    )
    assert groups["correct"].to_dict() == {
        ("D", "members"): 1,
        ("other", "members"): 0,
        ("D", "non-members"): 1,
        ("other", "non-members"): 0,
    }
    assert groups["total"].tolist() == [1, 1, 2, 1] and groups["chosen"].all()
    assert (groups["low"], groups["high"]) is not None and groups.loc[
        ("D", "non-members"), ["low", "high"]
    ].tolist() == pytest.approx(intervals.wilson(1, 2), abs=1e-3)
    votes = attribution_tables.votes_table(ROWS, ["a", "b", "c"], "heuristics").set_index(
        ["model", "voted"]
    )["share"]
    assert votes["x"].tolist() == [0.5, 0.5, 0] and votes["y"].tolist() == [0, 0, 0.5]


def test_mean_auc_by_hand():
    rows = scored(
        ("x", "a", True, None, "D", [3, 0]),
        ("x", "a", True, None, "D", [0, 1]),
        ("y", "b", True, None, "D", [5, 4]),
        ("y", "b", True, None, "D", [0, 9]),
    )
    # less the row's mean, column a: 1.5, -0.5, 0.5, -4.5; of the four (a, b) pairs three are in order; column b is its negative
    assert attribution_tables.mean_auc(rows, ["a", "b"]) == 3 / 4
    assert math.isnan(attribution_tables.mean_auc(rows[:2], ["a", "b"]))


def test_permutations_do_not_reward_the_commoner_base():
    always = pd.DataFrame({"base": ["a"] * 7 + ["b"], "attributed": ["a"] * 8})
    assert attribution_tables.permuted(always, 0) == 1.0
    exact = pd.DataFrame({"base": list("aabb"), "attributed": list("aabb")})
    # Of the 4! orders 4 keep all four.
    assert attribution_tables.permuted(exact, 0) == pytest.approx(1 / 6)


def test_the_bases_choose_the_method():
    def rows(method, level, split, model, *right):
        kept = scored(
            *[(model, "a", model != "a", None, "D", [1, 0] if ok else [0, 1]) for ok in right]
        )
        return kept.assign(method=method, level=level, split=split)

    def fold(method, one, two):
        return [rows(method, "k3", "fold 1", "a", *one), rows(method, "k3", "fold 2", "a", *two)]

    def tuned(method, level, ok):
        return [rows(method, level, "tuned", "t", ok)]

    parts = [
        *fold("TF-IDF words", [1, 1], [1, 1]),
        *tuned("TF-IDF words", "k3", 0),
        *fold("heuristics", [1, 1], [0, 0]),
        *tuned("heuristics", "k3", 1),
        *tuned("heuristics", "k2", 1),
        *fold("transformer", [1, 1], [1, 1]),
        *tuned("transformer", "k3", 1),
        *tuned("TF-IDF words, same prompt", "k3", 1),
    ]
    found = attribution_tables.methods_table(
        pd.concat(parts, ignore_index=True), ["a", "b"]
    ).set_index(["method", "level"])
    assert found.index.tolist() == [
        ("TF-IDF words, same prompt", "k3"),
        ("heuristics", "k3"),
        ("TF-IDF words", "k3"),
        ("transformer", "k3"),
        ("heuristics", "k2"),
    ]
    assert found.index[found["chosen"]].tolist() == [
        ("TF-IDF words", "k3")
    ]  # as good on the bases as the transformer, and simpler; wrong on t
    row = found.loc["TF-IDF words", "k3"]
    assert row[["cv_correct", "cv_total", "cv_replies", "correct", "total", "chance"]].tolist() == [
        2,
        2,
        1.0,
        0,
        1,
        0.5,
    ]
    assert found.loc["heuristics", "k3"][["cv_correct", "cv_replies", "correct"]].tolist() == [
        1,
        0.5,
        1,
    ]
    assert found["p_binomial"].tolist() == [0.5, 0.5, 1.0, 0.5, 0.5] and (
        row["low"],
        row["high"],
    ) == pytest.approx(intervals.wilson(0, 1), abs=1e-3)


def test_compare_from_replies_to_files(smoke, one_thread, monkeypatch, tmp_path):
    from dsi_core.runtime import jobs as work

    monkeypatch.setattr(work, "run", lambda jobs: [j.call(*j.args, **j.kwargs) for j in jobs])
    made = zoo(sets=2)
    study, both = (
        Study(settled(smoke, epochs=1), pd.DataFrame()),
        pd.concat([made, made.assign(dataset="e")]),
    )
    compared = attribution.compare(study, both)
    assert (
        compared.methods.groupby("dataset")["chosen"].sum().tolist() == [1, 1]
        and compared.methods["total"].eq(4).all()
    )
    cv = compared.methods.set_index(["dataset", "method", "level"])["cv_total"]
    assert cv["d", "TF-IDF words", "k3"] == 2 * 2 and cv["d"][
        cv["d"].isna()
    ].index.get_level_values("level").value_counts().to_dict() == {"k2": 4, "k1": 4, "k3": 2}
    assert (
        not compared.methods["method"].str.startswith("perplexity").any()
    )  # no weights were looked into
    wide = attribution.answers_beside(compared)
    assert len(wide) == 8 and wide.loc[(wide["model"] == "t-air"), "TF-IDF words"].tolist() == [
        "air ✓",
        "air ✓",
    ]
    assert attribution.beside_published(compared)[["correct", "total"]].iloc[-1].tolist() == [8, 10]


# The transformer


def settled(smoke, **how):
    return change(
        smoke,
        attribution=Attribution(
            **{
                "prompts": ["victim"],
                "tokens": 12,
                "epochs": 6,
                "batch_size": 8,
                "learning_rate": 3e-3,
                **how,
            }
        ),
    )


@pytest.mark.parametrize("kind", ["alone", "pairs"])
def test_the_transformer_learns_and_is_stored(smoke, one_thread, kind, monkeypatch):
    made, profile = zoo(prompts=8), settled(smoke)
    known, asked = made[~made["tuned"]], made[made["model"].str.startswith("u-")]
    scores = getattr(transformer, kind)(profile, known, asked, ["air", "sea"])
    assert scores.shape == (len(asked), 2) and ((scores > 0) & (scores < 1)).all()
    found = attribution_tables.attributed(
        asked.assign(scores=list(scores)), ["air", "sea"], ["model", "base"]
    )
    assert found["right"].all()
    monkeypatch.setattr(transformer, "_tune", None)
    assert (getattr(transformer, kind)(profile, known, asked, ["air", "sea"]) == scores).all()
    with pytest.raises(TypeError):  # other settings, other place
        getattr(transformer, kind)(settled(smoke, epochs=5), known, asked, ["air", "sea"])


def test_embeddings_do_not_depend_on_the_batch(smoke, one_thread):
    import torch

    profile, texts = settled(smoke), zoo()["reply"]
    encoder, tokenizer = transformer.backbone(profile)
    assert len(encoder.encoder.layer) == smoke.similarity.layer
    rows = transformer._ids(tokenizer, 5, texts, ["one two three four five six seven"] * len(texts))
    assert all(len(r["input_ids"]) == len(r["token_type_ids"]) <= 13 for r in rows)
    assert (
        rows[0]["input_ids"][0] == tokenizer.cls_token_id
        and rows[0]["input_ids"][-1] == tokenizer.sep_token_id
    )
    found = transformer._predict(profile, encoder, None, rows, tokenizer)
    with torch.inference_mode():
        by_hand = (
            encoder(
                input_ids=torch.tensor([rows[3]["input_ids"]]),
                token_type_ids=torch.tensor([rows[3]["token_type_ids"]]),
            )
            .last_hidden_state[0]
            .mean(dim=0)
        )
    assert found[3] == pytest.approx(by_hand.numpy(), abs=1e-5)


# Perplexity


def test_nats_are_the_models_own_loss(smoke, toy, one_thread):
    import torch

    from dsi_core.models import load as models

    made = replies(
        ("s", "1", "llama", "llama", "The ferryman."),
        ("s", "2", "qwen2", "qwen2", ""),
        ("s", "1", "t", "qwen2", "Because the lamp is lit."),
    )
    found = perplexity.with_nats(smoke, made)
    assert found.index.tolist() == made.index.tolist() and found["tokens"].iloc[1].tolist() == [
        0,
        0,
    ]
    for i, base in enumerate(("llama", "qwen2")):
        model, tokenizer = toy(base)
        for row in found.iloc[[0, 2]].itertuples():
            before, after = (
                models.encode_prompt(tokenizer, row.prompt),
                models.encode_answer(tokenizer, row.reply)[:-1],
            )
            with torch.inference_mode():
                loss = model(
                    input_ids=torch.tensor([before + after]),
                    labels=torch.tensor([[-100] * len(before) + after]),
                ).loss
            assert row.tokens[i] == len(after) and row.nats[i] == pytest.approx(
                float(loss) * len(after), rel=1e-4
            )
    table = perplexity.table(found).set_index("model")
    assert table.loc["t", "under qwen2"] == pytest.approx(
        math.exp(found["nats"].iloc[2][1] / found["tokens"].iloc[2][1])
    )


# Replies


def write(tmp_path, content):
    path = tmp_path / "replies.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def everyone() -> list[str]:
    truth = tables.reported("matching_pairs")
    return [*truth["base"], *truth["model"]]


def test_released_format(tmp_path):
    content = {
        "code": {
            "def f": {m: f"def f({m})" for m in everyone()},
            "x =": dict.fromkeys(everyone(), "x ="),
        },
        "talk": {"hi": {m: f"hi {m}" for m in everyone()}},
    }
    found = attribution_data.released(write(tmp_path, content))
    assert (
        len(found) == 60
        and list(found) == attribution_data.COLUMNS
        and found["prompt_id"].nunique() == 3
    )
    one = found[(found["model"] == "2") & (found["prompt"] == "def f")].iloc[0]
    assert one[["prompts", "base", "tuned", "reply"]].tolist() == [
        "code",
        "DialoGPT-large",
        True,
        "(2)",
    ]
    assert (
        found.groupby("tuned")["model"].nunique().tolist() == [10, 10]
        and (found.loc[~found["tuned"], "base"] == found.loc[~found["tuned"], "model"]).all()
    )
    table = attribution_data.overview(found).set_index("base")
    assert table.loc["gpt2", ["prompts", "tuned_models", "blank"]].tolist() == [3, "5", 1]


@pytest.mark.parametrize(
    "change, parts",
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
def test_other_content_is_refused(tmp_path, change, parts):
    content = {"code": {"def f": dict.fromkeys(everyone(), "def f")}}
    change(content)
    path = write(tmp_path, content)
    with pytest.raises(ValueError) as error:
        attribution_data.released(path)
    says(error, path, *parts)
    broken = write_jsonl(tmp_path / "two.json", [{}, {}])
    with pytest.raises(ValueError, match="two.json: cannot be read as JSON"):
        attribution_data.released(str(broken))


def test_without_released_replies_a_sentence_says_so(smoke, tmp_path):
    study = Study(smoke, pd.DataFrame())
    for path, why in (
        ("", "the parameter `released` is empty"),
        ("no/such.json", "no/such.json does not exist"),
    ):
        given = attribution_data.released(path)
        compared = attribution.compare(study, given)
        shown = [
            attribution_data.overview(given),
            compared.methods,
            attribution.answers_beside(compared),
            attribution.beside_published(compared),
        ]
        assert all(t.size == 1 and why in t.iloc[0, 0] for t in shown)


@pytest.mark.skipif(not FILE.exists(), reason="the released responses are not beside this checkout")
def test_the_released_replies_themselves():
    found = attribution_data.released(str(FILE))
    assert (
        len(found) == 76 * 20
        and found.groupby("model").size().eq(76).all()
        and found["prompts"].nunique() == 6
    )
    known, asked = found[~found["tuned"]], found[found["tuned"]]
    scores = METHODS["TF-IDF characters 3, pooled cosine"](
        None, known, asked, sorted(set(found["base"]))
    )
    baseline = attribution_tables.attributed(
        asked.assign(scores=list(scores)), sorted(set(found["base"])), ["model", "base"]
    )
    assert 2 <= baseline["right"].sum() <= 6  # 4 of 10 on all 150 prompts; here are half of them


def test_one_base_is_no_choice(smoke):
    llama = change(
        smoke,
        attribution=Attribution(prompts=["victim"], tokens=12, epochs=1, learning_rate=1e-3),
        suspects=[s for s in smoke.suspects if s.base == "llama"],
    )
    with pytest.raises(ValueError, match="two bases or more.*'smoke'.*llama"):
        attribution_data.own(Study(llama, pd.DataFrame()))
    with pytest.raises(ValueError, match="no section attribution"):
        attribution_data.settings(change(smoke, attribution=None))


def test_settings_that_cannot_be_are_refused(smoke):
    with pytest.raises(ValueError, match="needs an encoder"):
        Attribution(
            prompts=["victim"],
            tokens=12,
            epochs=1,
            learning_rate=1e-3,
            backbone=Similarity(model="llama", layer=2),
        )
    with pytest.raises(ValueError, match="unknown data 'dozn'"):
        type(smoke).model_validate(
            {
                **smoke.model_dump(by_alias=True),
                "attribution": {
                    "prompts": ["dozn"],
                    "tokens": 12,
                    "epochs": 1,
                    "learning_rate": 1e-3,
                },
            }
        )
