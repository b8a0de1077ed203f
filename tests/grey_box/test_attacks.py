"""Membership attacks: values worked out by hand, the numbers of public implementations on the same texts and model, and which way is up."""

import json
from pathlib import Path

import numpy as np
import pytest

from dsi_core.grey_box import dia, mia_compare, mia_loss, mia_sampling

PUBLIC = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "membership_attacks.json").read_text(encoding="utf-8")
)
LOGS = [-0.1, -2, -0.5, -3, -1, -0.2, -4, -0.05, -0.7, -1.5]
FOX = "The quick brown fox jumps over the lazy dog."


def rows(*texts):
    """(values, mask) of texts of different lengths; what the mask hides is nonsense."""
    mask = np.arange(max(map(len, texts))) < np.array([len(t) for t in texts])[:, None]
    values = np.full(mask.shape, -777.0)
    values[mask] = np.concatenate(texts)
    return values, mask


# By hand


def test_loss_and_min_k_by_hand():
    values, mask = rows(LOGS, [-1.0], LOGS[:3])
    assert mia_loss.loss(values, mask) == pytest.approx([-1.305, -1, -2.6 / 3])
    for k, expected in ((0.1, -4), (0.2, -3.5), (0.3, -3), (0.5, -2.3), (1, -1.305)):
        assert mia_loss.min_k(values, mask, k)[0] == pytest.approx(expected)
    assert mia_loss.min_k(values, mask, 0.2)[1:] == pytest.approx(
        [-1, -2]
    )  # a fifth of one or three tokens: at least one
    assert mia_loss.min_k(values, mask, 1) == pytest.approx(mia_loss.loss(values, mask))


def test_a_token_that_is_certain_counts():
    """Not padding, although its loss is exactly 0."""
    values, mask = rows([0.0, -1.0, 0.0], [0.0, 0.0])
    assert mia_loss.loss(values, mask).tolist() == [-1 / 3, 0] and mia_loss.min_k(
        values, mask, 0.7
    )[0] == pytest.approx(-0.5)


def test_zlib_by_hand():
    values, mask = rows(LOGS)
    assert mia_loss.zlib(values, mask, [FOX])[0] == pytest.approx(
        -1.305 / 51, rel=0.03
    )  # 51 bytes; other builds of zlib may differ by one


def test_min_k_plus_plus_by_hand():
    """Four distributions over three tokens and the token that came; in the last two nothing is spread out."""
    p = np.array(
        [
            [0.7, 0.2, 0.1],
            [0.5, 0.25, 0.25],
            [0.05, 0.05, 0.9],
            [1 / 3, 1 / 3, 1 / 3],
            [1.0, 0.0, 0.0],
        ]
    )
    came = np.array([0, 1, 0, 2, 0])
    logs = np.log(np.where(p > 0, p, 1))
    means = (p * logs).sum(axis=1)
    stds = np.sqrt((p * (logs - means[:, None]) ** 2).sum(axis=1))
    logprobs = np.log(p[np.arange(5), came])
    for i, z in enumerate([0.6330918235, -1.0, -3.0, 0.0, 0.0]):
        one = (v[None, i : i + 1] for v in (logprobs, means, stds, np.ones(5, bool)))
        assert mia_loss.min_k_plus_plus(*one, k=0.2)[0] == pytest.approx(z, abs=1e-9)
    every = mia_loss.min_k_plus_plus(
        *(v[None] for v in (logprobs, means, stds, np.ones(5, bool))), k=0.4
    )
    assert every[0] == pytest.approx(-2.0)  # the two smallest of five


def test_comparisons_by_hand():
    own, other = np.array([-1.0, -2.0, 0.0]), np.array([-3.0, -1.0, -1.0])
    assert (
        mia_compare.lowercase(own, other).tolist()
        == [3, 0.5, np.inf]
        == mia_compare.recall(own, other).tolist()
    )
    assert mia_compare.reference(own, other).tolist() == [2, -1, 1]
    assert mia_compare.neighbours(own, np.array([[-2, -4], [-2, -2], [-1, -3]])).tolist() == [
        2,
        0,
        2,
    ]


def test_neighbours_drop_or_swap_words():
    text = "one two three four five six seven eight nine ten"
    found = {mia_compare.neighbour(text, 0.1, 0, "id", i) for i in range(60)}
    assert (
        text not in found and 12 < len(found) <= 18
    )  # one change: nine words can be dropped, nine swapped with the next
    assert all(sorted(f.split()) == sorted(text.split()) or len(f.split()) == 9 for f in found)
    assert {len(mia_compare.neighbour(text, 1.0, 0, "id", i).split()) for i in range(60)} > {
        4,
        5,
        6,
    }
    assert mia_compare.neighbour(text, 0.1, 3, "id", 1) == mia_compare.neighbour(
        text, 0.1, 3, "id", 1
    )
    assert (
        len(
            {
                mia_compare.neighbour(text, 0.5, *seed)
                for seed in ((3, "id", 1), (4, "id", 1), (3, "other", 1), (3, "id", 2))
            }
        )
        == 4
    )
    assert mia_compare.neighbour("word", 0.5, 0) == "word" and mia_compare.neighbour("a b", 1.0, 0)


def test_samia_by_hand():
    assert mia_sampling.samia(["the cat sat", "a cat"], "the cat the") == pytest.approx(
        (2 / 3 + 1 / 3) / 2
    )  # "the" came once, and counts once
    assert (
        mia_sampling.samia(["the the the the cat"], "the cat the") == 1
        and mia_sampling.samia([], "a") == mia_sampling.samia(["a"], "") == 0
    )


def test_cdd_by_hand():
    assert mia_sampling.tokens("It's 3.5, or so.") == [
        "It",
        "'",
        "s",
        "3",
        ".",
        "5",
        ",",
        "or",
        "so",
        ".",
    ]
    assert (
        mia_sampling.edits("kitten", "sitting") == 3 == mia_sampling.edits("sitting", "kitten")
        and mia_sampling.edits("", "abc") == 3
    )
    answers = ["a b c d e f g h i j", "a b c d e f g h i x", "x y", ""]
    assert [mia_sampling.cdd(answers, answers[0], peak) for peak in (0.0, 0.1, 0.9, 1.0)] == [
        0.25,
        0.5,
        0.5,
        1.0,
    ]
    assert (
        mia_sampling.cdd(answers, answers[0], 0.0, limit=9) == 0.5
    )  # the first nine tokens are the same
    assert mia_sampling.cdd([], "a") == 0


# Public implementations


@pytest.fixture(scope="module")
def read():
    """Token values of the fixture's texts, padded."""
    texts = PUBLIC["texts"]
    values = {name: rows(*[t[name] for t in texts])[0] for name in ("logprobs", "means", "stds")}
    means = {
        name: np.array([np.mean(t[name]) for t in texts])
        for name in ("lowercase", "reference", "after_prefix")
    }
    nearby = np.array([[np.mean(n) for n in t["neighbours"]] for t in texts])
    return (
        values,
        rows(*[t["logprobs"] for t in texts])[1],
        [t["text"] for t in texts],
        means,
        nearby,
    )


def close(found, theirs):
    assert np.asarray(found) == pytest.approx(np.asarray(theirs), rel=1e-5, abs=1e-5)


def test_mink_plus_plus_agrees(read):
    values, mask, texts, means, nearby = read
    theirs, own = PUBLIC["mink_plus_plus"], mia_loss.loss(values["logprobs"], mask)
    close(own, theirs["loss"])
    close(mia_loss.zlib(values["logprobs"], mask, texts), theirs["zlib"])
    close(mia_compare.reference(own, means["reference"]), theirs["ref"])
    close(mia_compare.lowercase(own, means["lowercase"]), theirs["lowercase"])
    close(mia_compare.neighbours(own, nearby), theirs["neighbor"])
    tokens = mask.sum(axis=1)
    for k in (0.1, 0.2, 0.3, 0.5, 1.0):
        has = np.array([int(n * k) > 0 for n in tokens])  # theirs is the mean of nothing otherwise
        close(mia_loss.min_k(values["logprobs"], mask, k)[has], np.array(theirs[f"mink_{k}"])[has])
        close(
            mia_loss.min_k_plus_plus(**values, mask=mask, k=k)[has],
            np.array(theirs[f"mink++_{k}"])[has],
        )
    assert has.all()


def test_mimir_agrees(read):
    """Its scores are lower for a likelier member."""
    values, mask, texts, means, nearby = read
    theirs = {name: -np.array(scores, float) for name, scores in PUBLIC["mimir"].items()}
    own = mia_loss.loss(values["logprobs"], mask)
    close(own, theirs["loss"])
    close(mia_loss.zlib(values["logprobs"], mask, texts), theirs["zlib"])
    close(mia_compare.reference(own, means["reference"]), theirs["ref"])
    close(mia_compare.neighbours(own, nearby), theirs["neighbor"])
    close(mia_compare.recall(own, means["after_prefix"]), theirs["recall"])
    for k in (0.1, 0.2, 0.3, 0.5, 1.0):
        has = np.isfinite(theirs[f"min_k_{k}"])  # NaN where k of the tokens are fewer than one
        assert has.sum() >= len(texts) - 2
        close(mia_loss.min_k(values["logprobs"], mask, k)[has], theirs[f"min_k_{k}"][has])
        close(mia_loss.min_k_plus_plus(**values, mask=mask, k=k)[has], theirs[f"min_k++_{k}"][has])


def test_recall_agrees(read):
    values, mask, _, means, _ = read
    close(
        mia_compare.recall(mia_loss.loss(values["logprobs"], mask), means["after_prefix"]),
        PUBLIC["recall"]["recall"],
    )


def test_dias_features_agree(read):
    values, mask, texts, _, _ = read
    found = dia.features(values["logprobs"], mask, texts)
    assert set(found) == set(PUBLIC["dia"]) and found.shape == (len(texts), 16)
    for name, theirs in PUBLIC["dia"].items():
        close(found[name], theirs)


def test_dias_test_agrees():
    theirs = PUBLIC["dia_p_values"]
    for first, p in zip(theirs["first"], theirs["p"]):  # there a member's score is the lower one
        assert dia.t_test(
            -np.array(theirs["suspect"][:first]), -np.array(theirs["validation"][:first])
        ) == pytest.approx(p, abs=1e-9)


def test_samia_and_cdd_agree():
    theirs = PUBLIC["samia"]
    assert [mia_sampling.samia([a], theirs["truth"]) for a in theirs["answers"]] == pytest.approx(
        theirs["scores"]
    )
    theirs = PUBLIC["cdd"]
    for peak, share in theirs["scores"].items():
        assert mia_sampling.cdd(theirs["answers"], theirs["greedy"], float(peak)) == pytest.approx(
            share
        )
    assert 0 < theirs["scores"]["0.5"] < 1


# Which way is up


def test_a_memorised_text_scores_higher():
    """Every token likelier, in lower case and in neighbours less so, after a prefix no likelier: every attack says so."""
    rng = np.random.default_rng(0)
    fresh, mask = rng.uniform(-4, -2, (1, 20)), np.ones((1, 20), bool)
    known, means, stds = fresh / 20, np.full((1, 20), -2.5), np.full((1, 20), 1.2)
    for attack in (
        mia_loss.loss,
        lambda x, m: mia_loss.zlib(x, m, [FOX]),
        mia_loss.min_k,
        lambda x, m: mia_loss.min_k_plus_plus(x, means, stds, m),
    ):
        assert attack(known, mask) > attack(fresh, mask)
    own, other = mia_loss.loss(known, mask), mia_loss.loss(fresh, mask)
    changed = np.array([-3.0])
    assert mia_compare.lowercase(own, changed) > mia_compare.lowercase(other, changed)
    assert mia_compare.reference(own, changed) > mia_compare.reference(other, changed)
    assert mia_compare.neighbours(own, changed[:, None]) > mia_compare.neighbours(
        other, changed[:, None]
    )
    assert mia_compare.recall(own, own * 1.1) > mia_compare.recall(other, other * 0.6)
    assert mia_sampling.samia([FOX] * 3, FOX) > mia_sampling.samia(["I cannot say."] * 3, FOX)
    assert mia_sampling.cdd([FOX] * 3, FOX) > mia_sampling.cdd(
        ["Who?", "No dog.", "A fox, perhaps."], "I cannot say."
    )
