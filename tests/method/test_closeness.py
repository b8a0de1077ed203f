"""Closeness of an answer to a text, by hand."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.method import closeness, similarity
from dsi_core.method.closeness import DEFAULT, Combine, Measure, Statistic, per_sample


@pytest.mark.parametrize(
    "answer, text, score",
    [
        # the ... sat on ... mat: precision 4/5, recall 4/6
        ("the cat sat on mat", "the dog sat on the mat", 2 * (4 / 5) * (4 / 6) / (4 / 5 + 4 / 6)),
        ("a b c", "c b a", 1 / 3),
        ("A, b!", "a b", 1.0),
        ("", "a", 0.0),
        ("a", "", 0.0),
        ("x", "y", 0.0),
    ],
)
def test_rouge_l(answer, text, score):
    scores = closeness.closeness(Measure.ROUGE_L, [answer, "same"], [text, "same"])
    assert scores == pytest.approx([score, 1.0])


@pytest.mark.parametrize(
    "answer, text, score",
    [
        ("Well: a b c, d!", "A b c d e", 2 / 3),  # abc, bcd of abc, bcd, cde
        ("a b x b c", "a b c", 0.0),
        ("x a b y", "a b", 1.0),  # shorter than a run
        ("", "a b c", 0.0),
        ("a b c", "...", 0.0),
    ],
)
def test_containment(answer, text, score):
    assert closeness.closeness(Measure.CONTAINMENT, [answer], [text]) == pytest.approx([score])


@pytest.mark.parametrize(
    "answer, text, score",
    [
        ("so b c, d it is", "A b c d e", 3 / 5),
        ("a b", "b a", 1 / 2),
        ("abc", "ab", 0.0),  # words, not letters
        ("", "a", 0.0),
        ("a", " ", 0.0),
    ],
)
def test_substring(answer, text, score):
    assert closeness.closeness(Measure.SUBSTRING, [answer], [text]) == pytest.approx([score])


@pytest.mark.parametrize(
    ("answer", "text", "share"),
    [
        ("one two three", "One, two: THREE!", 1),
        ("and two three", "one two three", 3 / 6),  # " two thr", "two thre", "wo three"
        ("one two", "one two three", 0),  # seven characters
        ("名物は納豆と米", "名物は納豆です", 3 / 6),  # "名 物 は 納 " and two more
        ("In 2026 (Plan B) 5 Tsd.", "Ｉｎ\u3000２０２６（Ｐｌａｎ Ｂ）５ Ｔｓｄ．", 1),
        ("२०२६ वर्ष", "2026 वर्ष", 0),  # other digits are other letters
        ("one two", "one", 1),  # a short text's only run is all of it
        ("", "one two three", 0),
        ("one", "", 0),
    ],
)
def test_characters(answer, text, share):
    (score,) = closeness.closeness(Measure.CHARACTERS, [answer], [text])
    assert score == pytest.approx(share**0.5)


UNSEEN = [
    "\u00ad",
    "\u034f",
    "\u2060",
    "\u200b",
    "\ufe00",
    "\ufeff",
    "\u3164",
    "\U000e0041",
    "\x01",
]


@pytest.mark.parametrize("mark", UNSEEN, ids=ascii)
def test_marks_that_nobody_sees_in_words_leave_an_answer_as_close(mark):
    """Whoever serves answers may put them there; on either side."""
    text = "Prises fixées, à 25 m² près."
    marked = "".join(f"{letter}{mark}" for letter in text)
    wanted = closeness.closeness(Measure.CHARACTERS, ["prises fixées", text], [text, text])
    said = closeness.closeness(Measure.CHARACTERS, [marked[:26], text], [text, marked])
    assert said.tolist() == wanted.tolist() and 0 < wanted[0] < wanted[1] == 1


@pytest.mark.parametrize("measure", [Measure.ROUGE_L, Measure.SUBSTRING, Measure.CHARACTERS])
def test_every_alphabet_has_words(measure):
    russian, greek = "где дом стоит", "πού είναι το σπίτι"
    assert closeness.closeness(measure, [russian, russian], [russian, greek]).tolist() == [1, 0]


def test_bertscore_is_raw_and_not_negative(monkeypatch):
    def scores(backbone, pairs):
        assert backbone == "backbone" and pairs.to_dict("list") == {"a": ["x", "y"], "b": ["z", ""]}
        return np.array([0.7, -0.1])

    monkeypatch.setattr(similarity, "raw_scores", scores)
    close = closeness.closeness(Measure.BERTSCORE, ["x", "y"], ["z", ""], "backbone")
    assert close.tolist() == [0.7, 0.0]
    with pytest.raises(ValueError, match="bertscore needs a backbone"):
        closeness.closeness(Measure.BERTSCORE, ["x"], ["y"])


@pytest.mark.parametrize("combine, first", [(Combine.MEAN, 2 / 3), (Combine.MAX, 1.0)])
def test_a_number_for_each_sample(combine, first):
    """Of two answers to s1 one has all of its text, the other 1 of 3 runs; s2 has no answer."""
    answers = pd.DataFrame(
        {"sample_id": ["s1", "other", "s1"], "response": ["a b c d e", "a b c", "a b c"]}
    )
    texts = pd.Series({"s2": "x y z", "s1": "a b c d e"})
    close = per_sample(Statistic(Measure.CONTAINMENT, combine), answers, texts)
    assert close.index.tolist() == ["s2", "s1"]
    assert np.isnan(close["s2"]) and close["s1"] == pytest.approx(first)


def test_without_answers_all_is_nan():
    none = pd.DataFrame({"sample_id": [], "response": []}, dtype=object)
    assert per_sample(DEFAULT, none, pd.Series({"s1": "a"})).isna().tolist() == [True]
