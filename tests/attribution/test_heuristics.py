"""What an expert looks at in a reply."""

import math

import pandas as pd
import pytest

from dsi_core.attribution import heuristics


def test_marks_of_a_reply():
    texts = pd.Series(["Ann: the ÄÄÄ 42!\nhttp://x", "", "  "])
    one, empty, blank = heuristics.marks(texts).to_dict("records")
    assert one["log_length"] == pytest.approx(math.log(1 + 25))
    assert one["digits"] == 2 / 25
    assert one["newlines"] == 1 / 25
    assert one["capitals"] == 4 / 25
    assert one["latin_accents"] == one["not_ascii"] == 3 / 25
    assert one["longest_run"] == 3 / 25
    assert one["english"] == 1 / 5
    assert one["mean_word"] == (3 + 3 + 3 + 4 + 1) / 5  # ann the äää http x
    assert one["speaker_lines"] == 1 / 2 + 1 / 2  # "http:" has the form too
    assert (one["links"], one["ends_a_sentence"], one["blank"]) == (1, 0, 0)
    assert empty["blank"] == blank["blank"] == 1
    assert sum(empty.values()) == 1
    assert blank["starts_with_space"] == 1


def test_repetition_lowers_compressibility():
    sentence = "A wren sang over the quay, and nobody but the ferryman's aunt heard it."
    one, other = heuristics.marks(pd.Series(["la " * 60, sentence])).to_dict("records")
    assert one["compressibility"] < 0.2 < 0.8 < other["compressibility"]
    assert one["repeated_words"] == 1 - 1 / 60
    assert other["repeated_words"] == pytest.approx(1 - 14 / 15)  # "the" twice


def test_how_replies_begin_and_end():
    texts = pd.Series(["?", " \nYes", "No.", "Oh!", "so\n"])
    marks = heuristics.marks(texts)
    assert marks["ends_a_sentence"].tolist() == [1, 0, 1, 1, 0]
    assert marks["starts_new_line"].tolist() == [0, 1, 0, 0, 0]
    assert marks["longest_run"][0] == marks["punctuation"][0] == 1.0  # of its one character
