"""Who learns from what, and the way from replies to tables."""

import pandas as pd
import pytest

from dsi_core.attribution import compare
from dsi_core.attribution.classifiers import METHODS
from dsi_core.method.study import Study
from dsi_core.runtime import jobs


def test_folds_keep_a_set_of_prompts_together(zoo):
    made = zoo(sets=4)
    folds = [s for s in compare.splits(made, 3, 0) if s.of_bases]
    assert [s.name for s in folds] == ["fold 1", "fold 2", "fold 3"]
    assert sorted(i for s in folds for i in s.queried) == made.index[~made["tuned"]].tolist()
    for split in folds:
        known, queried = made.loc[split.known], made.loc[split.queried]
        assert split.level == "k3"
        assert not set(known["prompts"]) & set(queried["prompts"])
        assert not pd.concat([known, queried])["tuned"].any()
        assert set(queried["model"]) == {"air", "sea"}
    one = [s for s in compare.splits(zoo(sets=1), 3, 0) if s.of_bases]
    assert len(one) == 3
    assert all(not set(s.known) & set(s.queried) for s in one)


@pytest.mark.parametrize("sets, prompts", [(1, 1), (1, 3), (2, 1)])
def test_too_few_prompts_are_refused(zoo, sets, prompts):
    with pytest.raises(ValueError, match=rf"{sets * prompts} prompts are too few.*questions"):
        compare.splits(zoo(sets, prompts), 2, 0)


def test_levels_of_knowledge(zoo):
    made = zoo()
    models = {
        (s.level, s.name): (set(made.loc[s.known, "model"]), set(made.loc[s.queried, "model"]))
        for s in compare.splits(made, 2, 0)
    }
    bases, tuned = {"air", "sea"}, {"t-air", "t-sea", "u-air", "u-sea"}
    assert models["k3", "tuned"] == (bases, tuned)
    assert models["k2", "without t-air"] == (bases | {"t-sea", "u-sea"}, {"t-air"})
    assert models["k1", "without t-air"] == (bases | tuned - {"t-air"}, {"t-air"})
    assert len(models) == 2 + 1 + 4 + 4
    alone = made[~made["model"].str.startswith("u-")]
    # k1 would be k2
    assert {s.level for s in compare.splits(alone, 2, 0)} == {"k3", "k2"}


def test_where_a_method_is_tried(zoo):
    fold, _, tuned, without, *_ = compare.splits(zoo(), 2, 0)

    def tried(split, with_nats=True):
        return {name for name, m in METHODS.items() if compare.applies(m, split, with_nats)}

    assert tried(without) == {
        "heuristics",
        "TF-IDF characters 2-5",
        "heuristics and TF-IDF",
        "same prompt, learnt",
    }
    assert tried(tuned) == set(METHODS) - {"same prompt, learnt"}
    beside_itself = {"TF-IDF characters 3, same prompt", "TF-IDF words, same prompt"}
    assert tried(tuned) - tried(fold) == beside_itself
    nats = {"perplexity per token", "perplexity per character", "perplexity above own"}
    assert tried(tuned) - tried(tuned, with_nats=False) == nats


def test_from_replies_to_tables(zoo, smoke, attribution, one_thread, monkeypatch):
    monkeypatch.setattr(jobs, "run", lambda work: [j.call(*j.args, **j.kwargs) for j in work])
    made = zoo(sets=2)
    study = Study(attribution(smoke, epochs=1), pd.DataFrame())
    compared = compare.compare(study, pd.concat([made, made.assign(dataset="e")]))
    assert compared.absent is None
    methods = compared.methods
    assert methods.groupby("dataset")["chosen"].sum().tolist() == [1, 1]
    assert methods["total"].eq(4).all()
    assert not methods["method"].str.startswith("perplexity").any()  # no weights were looked into
    cv = methods.set_index(["dataset", "method", "level"])["cv_total"]
    assert cv["d", "TF-IDF words", "k3"] == 2 * 2
    untried = cv["d"][cv["d"].isna()].index.get_level_values("level").value_counts()
    assert untried.to_dict() == {"k2": 4, "k1": 4, "k3": 2}
    wide = compare.answers_beside(compared)
    assert len(wide) == 8
    named = wide.loc[wide["model"] == "t-air", "TF-IDF words"]
    assert named.tolist() == ["air ✓", "air ✓"]
    published = compare.beside_published(compared)
    assert published[["correct", "total"]].iloc[-1].tolist() == [8, 10]
    assert published["from"].tolist()[:2] == ["this run", "this run"]


def test_perplexity_takes_part_where_there_are_nats(zoo, setup, one_thread, monkeypatch):
    monkeypatch.setattr(jobs, "run", lambda work: [j.call(*j.args, **j.kwargs) for j in work])
    monkeypatch.setattr(
        compare, "METHODS", {n: m for n, m in METHODS.items() if n == "perplexity per token"}
    )
    made = zoo(sets=2)
    own, other = (
        made["base"].map({"air": 1.0, "sea": 9.0}),
        made["base"].map({"air": 9.0, "sea": 1.0}),
    )
    made = made.assign(**{"nats under air": own, "nats under sea": other})
    made = made.assign(**{"tokens under air": 2, "tokens under sea": 3})
    rows = compare.judged(setup, made, ["air", "sea"])
    assert not {"reply", "prompt", "nats under air", "tokens under sea"} & set(rows)
    air = rows[(rows["base"] == "air") & rows["tuned"]]
    assert air[["score air", "score sea"]].drop_duplicates().to_numpy().tolist() == [[-0.5, -3.0]]
    assert (air["split"] == "tuned").all()


@pytest.mark.parametrize("column", ["methods", "models", "groups", "votes"])
def test_without_replies_every_table_says_so(smoke, column):
    nothing = pd.DataFrame()
    nothing.attrs["absent"] = "No released responses."
    compared = compare.compare(Study(smoke, pd.DataFrame()), nothing)
    assert compared.absent == "No released responses."
    shown = getattr(compared, column), compare.answers_beside(compared)
    for table in (*shown, compare.beside_published(compared)):
        assert table.to_numpy().tolist() == [["No released responses."]]
