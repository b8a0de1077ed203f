"""Two sets of answers: are they of one model? By hand, against published code, by simulation."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.evidence.same_model import ALPHA, compare

SKIES = [("sky", "blue sky"), ("sky", "blue sea"), ("sky", "red sky")]
NUMBERS = [("number", "one two"), ("number", "one ten"), ("number", "six")]
OTHERS = [("sky", "blue sky"), ("sky", "grey sky"), ("sky", "blue")]
OTHER_NUMBERS = [("number", "ten two"), ("number", "one two"), ("number", "one")]


def said(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["prompt", "response"])


def statistic(found) -> float:
    return 2 * (found.within - found.between)


def test_by_hand():
    """Aa and ab agree by half, bb with itself fully; between the sets 0, 0, 1/2 and 1/2.

    Of the six ways to deal four answers two come so far: this one and its mirror image.
    """
    found = compare(said(("p", "aa"), ("p", "ab")), said(("p", "bb"), ("p", "bb")), characters=2)
    assert (found.within, found.between) == (0.75, 0.25)
    assert found.p == pytest.approx(2 / 6) and not found.changed
    assert (found.answers, found.prompts) == ((2, 2), 1)
    assert found.noticed == -np.inf  # six deals allow no p of 0.01


def test_two_prompts_by_hand():
    """With two prompts like that each is dealt by itself: of 36 ways 4 come so far."""
    first = said(("p", "aa"), ("p", "ab"), ("q", "aa"), ("q", "ab"))
    second = said(("p", "bb"), ("p", "bb"), ("q", "bb"), ("q", "bb"))
    assert compare(first, second, characters=2).p == pytest.approx(4 / 36)


@pytest.mark.parametrize(
    ("second", "published"),
    [
        ([*OTHERS, *OTHER_NUMBERS], -0.25),
        (
            [("sky", "abcdefgh"), ("sky", "abcdefgx"), ("number", "zzzz"), ("number", "zzzy")],
            0.9166666666666664,
        ),
    ],
)
def test_the_statistic_is_that_of_the_authors(second, published):
    """Model-equality-testing at commit fd2ee24, mmd_hamming of texts padded to eight characters."""
    found = compare(said(*SKIES, *NUMBERS), said(*second), characters=8)
    assert statistic(found) == pytest.approx(published)


def test_the_order_of_answers_and_of_the_sets_says_nothing():
    first, second = said(*SKIES, *NUMBERS), said(*OTHERS, *OTHER_NUMBERS)
    found = compare(first, second)
    assert compare(first[::-1], second).p == found.p
    assert compare(second, first).p == found.p


@pytest.mark.parametrize(
    ("prompts", "draws", "differing"),
    [(1, 3, None), (2, 3, 2), (6, 3, 3), (6, 5, 1), (6, 2, 5)],
)
def test_to_how_many_prompts_answers_must_differ(prompts, draws, differing):
    """Of a service that never varies.

    Of C(6, 3) = 20 ways to deal a changed prompt's answers 2 come so far: 0.1 for one, 0.01 for
    two, which 400 ways show exactly and random ones not surely. Of C(10, 5) = 252 it is 0.008 for
    one; of C(4, 2) = 6 it is 0.012 for four and 0.004 for five.
    """
    names = [str(i) for i in range(prompts)]
    first = said(*[(name, "as ever") for name in names for _ in range(draws)])
    same = compare(first, first)
    assert (same.p, same.noticed, same.between) == (1, 1 if differing else -np.inf, 1)
    for changed in range(1, prompts + 1):
        other = [(n, "as evex" if int(n) < changed else "as ever") for n in names] * draws
        found = compare(first, said(*other), seed=1)
        if (draws, prompts, changed) != (3, 6, 2):  # 0.01, more or less
            assert found.changed == (differing is not None and changed >= differing)
    assert same.differing == differing


def test_the_same_texts_are_the_same_model():
    found = compare(said(*SKIES, *NUMBERS), said(*SKIES, *NUMBERS))
    assert found.p == 1 and found.between > found.within


def test_a_prompt_of_one_set_alone_is_left_out():
    found = compare(said(*SKIES, ("alone", "x")), said(*OTHERS))
    assert found.prompts == 1 and found.answers == (3, 3)


def test_answers_are_counted_by_set():
    found = compare(said(*SKIES[:2]), said(*OTHERS))
    assert found.answers == (2, 3)


def test_one_answer_to_each_prompt_says_nothing():
    with pytest.raises(ValueError, match="needs one with two answers in each"):
        compare(said(("p", "a")), said(("p", "b")))


def _answers(rng, of_each, likely=0.5, prompts=8, draws=5):
    """Answers of three words from five, of which one is likelier than the others."""
    words = np.array([*"abcde"])
    rest = (1 - likely) / 4
    rows = []
    for prompt in range(prompts):
        odds = np.full(5, rest)
        odds[(prompt + of_each) % 5] = likely
        texts = rng.choice(words, (draws, 3), p=odds)
        rows += [(prompt, " ".join(text)) for text in texts]
    return said(*rows)


def test_one_model_is_rarely_called_two():
    """Type I error of 0.05 over 200 pairs of rounds: 10, give or take three standard errors."""
    rng = np.random.default_rng(3)
    p = [
        compare(_answers(rng, 0), _answers(rng, 0), permutations=199, characters=5).p
        for _ in range(200)
    ]
    assert 2 <= sum(one <= 0.05 for one in p) <= 20
    assert 0.4 < np.mean(p) < 0.6


def test_another_model_is_noticed():
    rng = np.random.default_rng(4)
    found = [
        compare(_answers(rng, 0), _answers(rng, 1), permutations=199, characters=5)
        for _ in range(20)
    ]
    assert all(one.changed for one in found)
    assert ALPHA == 0.01 and sum(one.between < one.noticed for one in found) >= 12
