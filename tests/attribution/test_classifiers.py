"""How much a reply looks like a base: against values by hand and scikit-learn's own."""

import math

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from dsi_core.attribution import classifiers, heuristics, tables
from dsi_core.attribution.classifiers import METHODS

OF_TEXT = [
    name
    for name, method in METHODS.items()
    if not method.needs_nats and name not in ("transformer", "transformer, pairs")
]


def test_nearest_heuristics_is_the_distance_of_mean_marks(replies):
    known = replies(
        ("s", "1", "loud", "loud", "AAA BBB"),
        ("s", "2", "loud", "loud", "CC DD EE"),
        ("s", "1", "calm", "calm", "a dog 1"),
        ("s", "2", "calm", "calm", "it is ok."),
    )
    queried = replies(("s", "1", "t", "loud", "FF GG"), ("s", "2", "t", "loud", "hm HH"))
    scores = classifiers.nearest_heuristics(None, known, queried, ["calm", "loud"]).mean(axis=0)
    marks, of_queried = (heuristics.marks(t["reply"]) for t in (known, queried))
    unit = marks.std(ddof=0).replace(0, 1)
    means = [marks[(known["base"] == b)].mean() for b in ("calm", "loud")]
    far = [(((of_queried.mean() - mean) / unit) ** 2).sum() for mean in means]
    assert np.diff(scores) == pytest.approx(-np.diff(far))
    assert scores.argmax() == 1


def test_pooled_cosine_is_the_cosine_of_all_replies_pooled(replies):
    known = replies(
        ("s", "1", "a", "a", "red red dog"),
        ("s", "2", "a", "a", "red cat"),
        ("s", "1", "b", "b", "blue cat"),
        ("s", "2", "b", "b", "blue sky"),
    )
    queried = replies(("s", "1", "t", "a", "red"), ("s", "2", "t", "a", "blue red cat"))
    scores = classifiers.pooled_cosine("words", None, known, queried, ["a", "b"])
    # Of base a's grams: how often they stand in its replies, and in how many of the four replies
    grams = [(3, 2), (1, 1), (1, 2), (1, 1), (1, 1), (1, 1)]  # red dog cat "red red" "red dog" ...
    weighted = [count * (math.log(5 / (1 + replies)) + 1) for count, replies in grams]
    red = weighted[0] / 3
    assert scores[0, 0] == pytest.approx(red * weighted[0] / math.hypot(*weighted))
    # And, model by model, scikit-learn's cosine of the pooled texts with the same weights
    vectors = TfidfVectorizer(analyzer="word", ngram_range=(1, 2), norm=None).fit(known["reply"])
    texts = [known.loc[known["base"] == b, "reply"] for b in ("a", "b")]
    pooled = [np.asarray(vectors.transform(t).sum(axis=0))[0] for t in texts]
    whole = np.asarray(vectors.transform(queried["reply"]).sum(axis=0))
    expected = cosine_similarity(whole, np.stack(pooled))[0]
    assert scores.sum(axis=0) / np.linalg.norm(whole) == pytest.approx(expected)


def test_same_prompt_cosine(replies):
    known = replies(
        ("s", "1", "a", "a", "red dog"),
        ("s", "2", "a", "a", "old cat"),
        ("s", "1", "b", "b", "blue sky"),
        ("s", "2", "b", "b", "red dog"),
    )
    queried = replies(("s", "2", "t", "a", "red dog"), ("s", "1", "t", "a", "red dog"))
    scores = classifiers.same_prompt_cosine("words", None, known, queried, ["a", "b"])
    assert scores == pytest.approx(np.array([[0, 1], [1, 0]]))


def test_naive_bayes_by_hand(replies):
    known = replies(("s", "1", "a", "a", "xx"), ("s", "1", "b", "b", "xy"))
    queried = replies(("s", "1", "t", "a", "x"))
    scores = classifiers.naive_bayes(None, known, queried, ["b", "a"])
    grams = 4  # x, y, xx, xy; a: x x xx, b: x y xy
    a, b = (2 + 0.1) / (3 + 0.1 * grams), (1 + 0.1) / (3 + 0.1 * grams)
    assert scores == pytest.approx(np.log(np.array([[b / (a + b), a / (a + b)]])))


def test_perplexity_rules_by_hand(replies):
    def with_nats(table, nats, tokens):
        columns = {f"nats under {b}": values for b, values in zip("ab", nats, strict=True)}
        columns |= {f"tokens under {b}": values for b, values in zip("ab", tokens, strict=True)}
        return table.assign(**columns)

    own = replies(("s", "1", "a", "a", "abcd"), ("s", "1", "b", "b", "ab"))
    known = with_nats(own, ([2.0, 8.0], [9.0, 4.0]), ([2, 2], [3, 1]))
    others = replies(("s", "1", "t", "b", "abcdefgh"), ("s", "2", "t", "b", ""))
    queried = with_nats(others, ([6.0, 0.0], [8.0, 0.0]), ([4, 0], [2, 0]))
    token, character, above = (
        METHODS[f"perplexity {p}"].scores(None, known, queried, ["a", "b"])
        for p in ("per token", "per character", "above own")
    )
    assert token[0] == pytest.approx([-1.5, -4.0])
    assert character[0] == pytest.approx([-6 / 8, -1.0])
    assert above[0] == pytest.approx([-(1.5 - 1.0), -(4.0 - 4.0)])
    assert np.isnan([token[1], character[1], above[1]]).all()  # no token, no score


@pytest.mark.parametrize("method", OF_TEXT)
def test_every_method_tells_birds_from_ships(zoo, setup, one_thread, method):
    made, scores_of = zoo(), METHODS[method].scores
    if method.startswith("heuristics"):  # these do not know a bird from a ship
        loud = made["reply"].str.upper() + "!"
        made["reply"] = made["reply"].where(made["base"] != "air", loud)
    if not METHODS[method].on_bases:  # these need more than a topic: the base's own words
        own = made[~made["tuned"]].set_index(["base", "prompt_id"])["reply"]
        keys = zip(made["base"], made["prompt_id"], strict=True)
        made["reply"] = [own[key] for key in keys]
    teachers = ["air", "sea"] if METHODS[method].from_bases else ["air", "sea", "t-air", "t-sea"]
    known, queried = made[made["model"].isin(teachers)], made[made["model"].str.startswith("u-")]
    queried = queried.iloc[1:]  # in other places than the known ones
    scores = scores_of(setup, known, queried, ["air", "sea"])
    assert scores.shape == (len(queried), 2)
    columns = dict(zip(tables.score_columns(["air", "sea"]), scores.T, strict=True))
    calls = tables.attributed(queried.assign(**columns), ["air", "sea"], ["model", "base"])
    assert calls["right"].all()
    assert sorted(calls["replies"]) == [11, 12]
    # Nobody looks at the truth of those queried
    blind = queried.assign(base="?", model="?")
    assert scores_of(setup, known, blind, ["air", "sea"]) == pytest.approx(scores)
