"""Membership attacks: values by hand, numbers of public implementations, and which way is up."""

import json
from pathlib import Path

import numpy as np
import pytest

from dsi_core.grey_box import attacks, dia

FIXTURE = Path(__file__).parents[1] / "fixtures" / "membership_attacks.json"
PUBLIC = json.loads(FIXTURE.read_text(encoding="utf-8"))
LOGS = [-0.1, -2, -0.5, -3, -1, -0.2, -4, -0.05, -0.7, -1.5]
FOX = "The quick brown fox jumps over the lazy dog."
SHARES = (0.1, 0.2, 0.3, 0.5, 1.0)


def rows(*texts):
    """(values, mask) of texts of different lengths; what the mask hides is nonsense."""
    mask = np.arange(max(map(len, texts))) < np.array([len(t) for t in texts])[:, None]
    values = np.full(mask.shape, -777.0)
    values[mask] = np.concatenate(texts)
    return values, mask


def test_each_attack_is_explained_in_a_line():
    explained = attacks.explained()
    assert explained["attack"].tolist() == list(attacks.Attack)
    assert explained["a text has a high score if"].is_unique


# By hand


def test_mean_and_min_k_by_hand():
    values, mask = rows(LOGS, [-1.0], LOGS[:3])
    assert attacks.mean_logprob(values, mask) == pytest.approx([-1.305, -1, -2.6 / 3])
    for k, expected in ((0.1, -4), (0.2, -3.5), (0.3, -3), (0.5, -2.3), (1, -1.305)):
        assert attacks.min_k(values, mask, k)[0] == pytest.approx(expected)
    # A fifth of one or three tokens: at least one
    assert attacks.min_k(values, mask, 0.2)[1:] == pytest.approx([-1, -2])


def test_a_token_that_is_certain_counts():
    """Not padding, although its loss is exactly 0."""
    values, mask = rows([0.0, -1.0, 0.0], [0.0, 0.0])
    assert attacks.mean_logprob(values, mask).tolist() == [-1 / 3, 0]
    assert attacks.min_k(values, mask, 0.7)[0] == pytest.approx(-0.5)


def test_zlib_by_hand():
    values, mask = rows(LOGS)
    # 51 bytes; other builds of zlib may differ by one
    assert attacks.per_zlib_byte(values, mask, [FOX])[0] == pytest.approx(-1.305 / 51, rel=0.03)


def test_min_k_plus_plus_by_hand():
    """Five distributions over three tokens; in the last two nothing is spread out."""
    p = np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.05, 0.05, 0.9], [1 / 3] * 3, [1, 0, 0]])
    came = np.array([0, 1, 0, 2, 0])
    logs = np.log(np.where(p > 0, p, 1))
    means = (p * logs).sum(axis=1)
    stds = np.sqrt((p * (logs - means[:, None]) ** 2).sum(axis=1))
    arrays = np.log(p[np.arange(5), came]), means, stds, np.ones(5, bool)
    for i, z in enumerate([0.6330918235, -1.0, -3.0, 0.0, 0.0]):
        one = (v[None, i : i + 1] for v in arrays)
        assert attacks.min_k_plus_plus(*one, k=0.2)[0] == pytest.approx(z, abs=1e-9)
    every = attacks.min_k_plus_plus(*(v[None] for v in arrays), k=0.4)
    assert every[0] == pytest.approx(-2.0)  # the two smallest of five


def test_comparisons_by_hand():
    own, other = np.array([-1.0, -2.0, 0.0]), np.array([-3.0, -1.0, -1.0])
    assert attacks.lowercase(own, other).tolist() == [3, 0.5, np.inf]
    assert attacks.recall(own, other).tolist() == [3, 0.5, np.inf]
    assert attacks.reference(own, other).tolist() == [2, -1, 1]
    nearby = np.array([[-2, -4], [-2, -2], [-1, -3]])
    assert attacks.neighbourhood(own, nearby).tolist() == [2, 0, 2]


def test_windows_by_hand():
    moved, mask = rows([1.0, -2, 3, 1], [-1.0, 0.5], [0.0, 0.0])
    # Of runs of two +1 and +4 of three go up, of three +2 and +2, and the whole
    assert attacks.windows(moved, mask, sizes=(2,)) == pytest.approx([2 / 3, 0, 0])
    assert attacks.windows(moved, mask, sizes=(1, 2, 3, 9)) == pytest.approx(
        [(3 / 4 + 2 / 3 + 1 + 1) / 4, 1 / 8, 0]
    )
    assert attacks.windows(10 * moved, mask) == pytest.approx(attacks.windows(moved, mask))


def test_error_zone_by_hand():
    moved, mask = rows([2.0, -1, 5, -3], [1.0, 2], [-1.0], [0.0, 3], [4.0])
    wrong = rows([1, 1, 0, 0], [1, 1], [1], [1, 0], [0])[0].astype(bool) & mask
    # Up 2 and down 1; nothing down; nothing up; nothing moves; nothing is mispredicted
    assert attacks.error_zone(moved, wrong) == pytest.approx([2 / 3, 1, 0, 0.5, 1])


def test_what_moments_prove_of_the_likeliest_token():
    """Of 500 distributions over 20 tokens: who is below the mean is never the likeliest one."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(20, 0.3), 500)
    logs = np.log(p)
    means = (p * logs).sum(axis=1, keepdims=True)
    mispredicted = attacks.surely_mispredicted(logs, means)
    likeliest = p == p.max(axis=1, keepdims=True)
    assert not (mispredicted & likeliest).any()
    assert mispredicted[p < 0.01].all()


def test_neighbours_drop_or_swap_words():
    text = "one two three four five six seven eight nine ten"
    texts = {attacks.neighbour(text, 0.1, 0, "id", i) for i in range(60)}
    assert text not in texts
    # One change: nine words can be dropped, nine swapped with the next
    assert 12 < len(texts) <= 18
    assert all(sorted(t.split()) == sorted(text.split()) or len(t.split()) == 9 for t in texts)
    lengths = {len(attacks.neighbour(text, 1.0, 0, "id", i).split()) for i in range(60)}
    assert lengths > {4, 5, 6}
    again = [attacks.neighbour(text, 0.1, 3, "id", 1) for _ in range(2)]
    assert again[0] == again[1]
    seeds = ((3, "id", 1), (4, "id", 1), (3, "other", 1), (3, "id", 2))
    assert len({attacks.neighbour(text, 0.5, *seed) for seed in seeds}) == 4
    assert attacks.neighbour("word", 0.5, 0) == "word"
    assert attacks.neighbour("a b", 1.0, 0) in ("a b", "b a", "b")


def test_samia_by_hand():
    # "the" came once, and counts once
    both = attacks.samia(["the cat sat", "a cat"], "the cat the")
    assert both == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert attacks.samia(["the the the the cat"], "the cat the") == 1
    assert attacks.samia([], "a") == attacks.samia(["a"], "") == 0


def test_cdd_by_hand():
    words = "It ' s 3 . 5 , or so ."
    assert attacks.tokens("It's 3.5, or so.") == words.split()
    answers = ["a b c d e f g h i j", "a b c d e f g h i x", "x y", ""]
    shares = [attacks.cdd(answers, answers[0], peak) for peak in (0.0, 0.1, 0.9, 1.0)]
    assert shares == [0.25, 0.5, 0.5, 1.0]
    # The first nine tokens are the same
    assert attacks.cdd(answers, answers[0], 0.0, limit=9) == 0.5
    assert attacks.cdd([], "a") == 0


def test_cdd_counts_insertions_deletions_and_replacements():
    """From "kitten" to "sitting" it takes three edits; of seven tokens that is a share of 3/7."""
    greedy, answer = " ".join("kitten"), " ".join("sitting")
    assert attacks.cdd([answer], greedy, 2.99 / 7) == 0
    assert attacks.cdd([answer], greedy, 3.01 / 7) == 1


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
    mask = rows(*[t["logprobs"] for t in texts])[1]
    return values, mask, [t["text"] for t in texts], means, nearby


def close(ours, theirs):
    assert np.asarray(ours) == pytest.approx(np.asarray(theirs), rel=1e-5, abs=1e-5)


def test_mink_plus_plus_agrees(read):
    values, mask, texts, means, nearby = read
    theirs, logprobs = PUBLIC["mink_plus_plus"], values["logprobs"]
    own = attacks.mean_logprob(logprobs, mask)
    close(own, theirs["loss"])
    close(attacks.per_zlib_byte(logprobs, mask, texts), theirs["zlib"])
    close(attacks.reference(own, means["reference"]), theirs["ref"])
    close(attacks.lowercase(own, means["lowercase"]), theirs["lowercase"])
    close(attacks.neighbourhood(own, nearby), theirs["neighbor"])
    tokens = mask.sum(axis=1)
    for k in SHARES:
        has = np.array([int(n * k) > 0 for n in tokens])  # theirs is the mean of nothing otherwise
        assert has.sum() >= len(texts) - 2
        close(attacks.min_k(logprobs, mask, k)[has], np.array(theirs[f"mink_{k}"])[has])
        plus = attacks.min_k_plus_plus(**values, mask=mask, k=k)
        close(plus[has], np.array(theirs[f"mink++_{k}"])[has])


def test_mimir_agrees(read):
    """Its scores are lower for a likelier member."""
    values, mask, texts, means, nearby = read
    theirs = {name: -np.array(scores, float) for name, scores in PUBLIC["mimir"].items()}
    logprobs = values["logprobs"]
    own = attacks.mean_logprob(logprobs, mask)
    close(own, theirs["loss"])
    close(attacks.per_zlib_byte(logprobs, mask, texts), theirs["zlib"])
    close(attacks.reference(own, means["reference"]), theirs["ref"])
    close(attacks.neighbourhood(own, nearby), theirs["neighbor"])
    close(attacks.recall(own, means["after_prefix"]), theirs["recall"])
    for k in SHARES:
        has = np.isfinite(theirs[f"min_k_{k}"])  # NaN where k of the tokens are fewer than one
        assert has.sum() >= len(texts) - 2
        close(attacks.min_k(logprobs, mask, k)[has], theirs[f"min_k_{k}"][has])
        plus = attacks.min_k_plus_plus(**values, mask=mask, k=k)
        close(plus[has], theirs[f"min_k++_{k}"][has])


def test_recall_agrees(read):
    values, mask, _, means, _ = read
    own = attacks.mean_logprob(values["logprobs"], mask)
    close(attacks.recall(own, means["after_prefix"]), PUBLIC["recall"]["recall"])


def test_dias_features_agree(read):
    values, mask, texts, _, _ = read
    features = dia.features(values["logprobs"], mask, texts)
    assert set(features) == set(PUBLIC["dia"])
    assert features.shape == (len(texts), 16)
    for name, theirs in PUBLIC["dia"].items():
        close(features[name], theirs)


def test_dias_test_agrees():
    theirs = PUBLIC["dia_p_values"]
    suspect, validation = -np.array(theirs["suspect"]), -np.array(theirs["validation"])
    for first, p in zip(theirs["first"], theirs["p"], strict=True):
        # There a member's score is the lower one
        ours = dia.t_test(suspect[:first], validation[:first])
        assert ours == pytest.approx(p, abs=1e-9)


def test_samia_and_cdd_agree():
    theirs = PUBLIC["samia"]
    ours = [attacks.samia([answer], theirs["truth"]) for answer in theirs["answers"]]
    assert ours == pytest.approx(theirs["scores"])
    theirs = PUBLIC["cdd"]
    for peak, share in theirs["scores"].items():
        ours = attacks.cdd(theirs["answers"], theirs["greedy"], float(peak))
        assert ours == pytest.approx(share)
    assert 0 < theirs["scores"]["0.5"] < 1


# Which way is up


def test_a_memorised_text_scores_higher():
    """Every token likelier; in lower case and in neighbours less so, after a prefix no likelier."""
    rng = np.random.default_rng(0)
    fresh, mask = rng.uniform(-4, -2, (1, 20)), np.ones((1, 20), bool)
    known, means, stds = fresh / 20, np.full((1, 20), -2.5), np.full((1, 20), 1.2)
    for attack in (
        attacks.mean_logprob,
        lambda x, m: attacks.per_zlib_byte(x, m, [FOX]),
        attacks.min_k,
        lambda x, m: attacks.min_k_plus_plus(x, means, stds, m),
    ):
        assert attack(known, mask) > attack(fresh, mask)
    member, stranger = attacks.mean_logprob(known, mask), attacks.mean_logprob(fresh, mask)
    changed = np.array([-3.0])
    assert attacks.lowercase(member, changed) > attacks.lowercase(stranger, changed)
    assert attacks.reference(member, changed) > attacks.reference(stranger, changed)
    nearby = changed[:, None]
    assert attacks.neighbourhood(member, nearby) > attacks.neighbourhood(stranger, nearby)
    assert attacks.recall(member, member * 1.1) > attacks.recall(stranger, stranger * 0.6)
    assert attacks.samia([FOX] * 3, FOX) > attacks.samia(["I cannot say."] * 3, FOX)
    others = ["Who?", "No dog.", "A fox, perhaps."]
    assert attacks.cdd([FOX] * 3, FOX) > attacks.cdd(others, "I cannot say.")
