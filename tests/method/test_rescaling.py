"""The scale of similarities: bert-score's own rescaling, and both kinds of baseline."""

import json

import bert_score
import numpy as np
import pandas as pd
import pytest
from helpers import WORDS, telling, write_jsonl
from scoring import no_scorer, scorer

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import rescaling, similarity, study
from dsi_core.method.similarity import backbone
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data, Similarity


def test_rescaling_is_bert_scores_own(smoke, one_thread, tmp_path):
    baseline = tmp_path / "baseline.csv"
    baseline.write_text("LAYER,P,R,F\n0,0.1,0.1,0.1\n1,0.2,0.2,0.2\n2,0.31,0.32,0.3141\n")
    rows = [("The lamp is lit.", "The lamp is out."), ("Yes", "Why does bread rise?")]
    full = pd.DataFrame(rows, columns=["a", "b"])
    theirs = scorer(
        smoke, lang="en", rescale_with_baseline=True, baseline_path=str(baseline)
    ).score(full["a"].tolist(), full["b"].tolist())[2]
    ours = rescaling.rescale(similarity.raw_scores(backbone(smoke), full), 0.3141)
    assert np.abs(ours - theirs.numpy()).max() < 1e-6
    assert rescaling.rescale([1.0, 0.5, 0.0], 0.5).tolist() == [1.0, 0.0, -1.0]


def test_the_estimated_baseline_is_the_mean_of_random_pairs(
    smoke, one_thread, empty_store, tmp_path, monkeypatch
):
    """Sixty answers allow 1,770 pairs, enough for 1,000 random ones of the whole file.

    Not only of its sampled rows.
    """
    outputs = [f"{i} {' '.join(WORDS[i * k % 13] for k in range(1, 2 + i % 7))}" for i in range(60)]
    path = write_jsonl(
        tmp_path / "d.jsonl", [{"q": f"Q{i}", "a": t} for i, t in enumerate(outputs)]
    )
    sixty = Data(path=str(path), prompt=["q"], output="a", rows=10)
    profile = smoke.changed(data={**smoke.data, "sixty": sixty})
    victim = dataset(profile, "sixty")
    scored, own = [], similarity.raw_scores
    monkeypatch.setattr(
        similarity, "raw_scores", lambda p, pairs: scored.append(pairs) or own(p, pairs)
    )
    found = rescaling.baseline(backbone(profile), victim)
    (pairs,) = scored
    assert len(pairs) == 1000
    assert (pairs["a"] != pairs["b"]).all() and set(pairs["a"]) | set(pairs["b"]) == set(outputs)
    assert pairs["a"].value_counts().max() < 40  # binomial(1000, 1/60): mean 17, sd 4
    by_hand = (
        scorer(profile)
        .score(pairs["a"].tolist(), pairs["b"].tolist())[2]
        .numpy()
        .astype(float)
        .mean()
    )
    assert found == pytest.approx(by_hand, abs=1e-6)

    monkeypatch.setattr(similarity, "raw_scores", no_scorer)
    assert rescaling.baseline(backbone(profile), victim) == found
    (stored,) = similarity.folder_of(backbone(profile)).glob("baseline-*.json")
    assert json.loads(stored.read_text())["spec"]["pairs"] == 1000


def test_a_small_victim_borrows_the_other_datasets(smoke, one_thread, empty_store, monkeypatch):
    """Twelve answers make 66 pairs: the answers of all datasets are used."""
    scored = []
    monkeypatch.setattr(
        similarity,
        "raw_scores",
        lambda _, pairs: scored.append(pairs) or np.linspace(0, 1, len(pairs)),
    )
    assert study.baseline(study.start("smoke"), "dozen") == pytest.approx(0.5)
    every = {t for n in smoke.data for t in load_pairs(dataset(smoke, n))["output"]}
    assert len(every) >= 30 and set(scored[0]["a"]) | set(scored[0]["b"]) == every
    assert (scored[0]["a"] != scored[0]["b"]).all()


@pytest.fixture
def of_a_template(smoke, tmp_path):
    """of_a_template(words) = a dataset in which twelve words of thirteen are the same."""

    def make(*words: str):
        said = "{} is open on every working day from nine until five in summer"
        rows = [{"q": f"{word}?", "a": said.format(word)} for word in words]
        path = write_jsonl(tmp_path / f"{words[0]}.jsonl", rows)
        data = {**smoke.data, "hours": Data(path=str(path), prompt=["q"], output="a")}
        return dataset(smoke.changed(data=data), "hours")

    return make


def test_rows_of_one_template_are_paired_with_unrelated_texts(
    smoke, one_thread, empty_store, of_a_template, monkeypatch
):
    """Not with each other, nor with more of their kind: their likeness is not that of strangers."""
    scored = []
    monkeypatch.setattr(
        similarity, "raw_scores", lambda _, pairs: scored.append(pairs) or np.ones(len(pairs))
    )
    victim = of_a_template(*(f"hall {i}" for i in range(60)))
    others = [victim, of_a_template(*(f"barn {i}" for i in range(60))), dataset(smoke, "other")]
    rescaling.check(backbone(smoke), victim, others)
    rescaling.baseline(backbone(smoke), victim, others)
    (pairs,) = scored
    assert pairs["a"].str.startswith("hall").all() and pairs["a"].nunique() == 60
    assert set(pairs["b"]) == set(load_pairs(others[2])["output"])
    rescaling.baseline(backbone(smoke), victim, others)
    assert len(scored) == 1  # it is kept, for these texts beside it
    rescaling.baseline(backbone(smoke), victim, [*others[:2], dataset(smoke, "dozen")])
    assert len(scored) == 2


@pytest.mark.parametrize(
    ("others", "are_alike"),
    [
        (["one two x y"], True),  # a half of either
        (["one two x y z"], False),  # 4 / 9
        ([*(f"one two three {i}" for i in range(6)), *"abcd"], False),  # 0.6 x 3 / 4
        (["one two three four"], True),  # the same text alone: there is no pair
    ],
)
def test_texts_are_alike_from_a_mean_of_half_of_their_words_on(others, are_alike):
    assert rescaling.alike(["one two three four"], others, seed=0) == are_alike


def test_a_template_without_other_texts_is_warned_of(smoke, of_a_template):
    """Not where the baseline is set."""
    victim, similarity = of_a_template("hall", "barn"), smoke.similarity.changed(baseline=0.4)
    with telling() as told:
        rescaling.check(backbone(smoke), victim, [victim])
        rescaling.check(backbone(smoke, similarity), victim, [victim])
    (warned,) = told
    assert "hours: its outputs are alike" in str(warned.message)
    assert "similarity.baseline" in str(warned.message)


def test_one_text_alone_is_refused_before_a_model_is_tuned(smoke, of_a_template):
    victim = of_a_template("hall")
    with pytest.raises(ValueError, match=r"hours: all .* are one text.*similarity\.baseline"):
        rescaling.check(backbone(smoke), victim, [victim])
    rescaling.check(backbone(smoke), victim, [dataset(smoke, "other")])


def test_the_published_baseline_needs_no_model(smoke, empty_store, monkeypatch):
    monkeypatch.setattr(bert_score, "BERTScorer", no_scorer)
    monkeypatch.setattr(similarity, "raw_scores", no_scorer)
    paper = load_profile("paper")
    roberta = paper.similarities["roberta-large"]
    assert (roberta.hub, roberta.layer) == ("roberta-large", 17)
    expected = rescaling.baseline(backbone(paper, roberta), dataset(paper, "dolly"))
    assert expected == 0.83122575
    assert (
        expected
        == pd.read_csv(f"{bert_score.__path__[0]}/rescale_baseline/en/roberta-large.tsv").iloc[17][
            "F"
        ]
    )
    assert (
        bert_score.utils.model2layers["roberta-large"] == 17
    )  # the layer that bert-score itself would take


def test_a_layer_that_a_backbone_has_not_is_refused():
    with pytest.raises(ValueError, match=r"layer: 30; roberta-large has 0 to 24"):
        rescaling.published(Similarity(hub="roberta-large", layer=30))
