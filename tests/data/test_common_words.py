"""The longest common subsequence of words, by hand and against the textbook's programme."""

import random
import unicodedata

import pytest

from dsi_core.data.common_words import WORDS, common, in_order, is_blank, pieces, rouge_l, seen


@pytest.mark.parametrize(
    "oracle, response, shared",
    [
        ("the cat sat on the mat", "a cat that sat on mats", ["cat", "sat", "on"]),
        ("Yes, no.", "yes , NO !", ["yes", ",", "NO"]),  # case and spacing do not matter
        ("one two", "two  one two", ["one", "two"]),
        ("one", "", []),
        ("", "one", []),
        ("a_b c-d", "c-d", ["c", "-", "d"]),
        ("naïve 東京", "Naïve 東京", ["Naïve", "東", "京"]),
        ("我想退货。", "我不想退货", ["我", "想", "退", "货"]),
    ],
)
def test_shared_words_by_hand(oracle, response, shared):
    marked = common(oracle, response)
    assert "".join(piece for piece, _ in marked) == response
    assert [piece for piece, is_shared in marked if is_shared and not piece.isspace()] == shared


def test_one_of_several_longest_is_taken():
    shared = [piece for piece, is_shared in common("a b c d", "d c b a") if is_shared]
    assert len(shared) == 1


def test_a_blank_is_shared_between_two_shared_words():
    assert common("x y z", "x y, z") == [
        ("x", True),
        (" ", True),
        ("y", True),
        (",", False),
        (" ", False),
        ("z", True),
    ]


def test_pieces_joined_are_the_text():
    text = "  Two lines,\n\tand a tab; 3.5% …"
    assert "".join(pieces(text)) == text
    assert pieces("it's 3.5") == ["it", "'", "s", " ", "3", ".", "5"]


def test_a_character_of_an_unspaced_script_is_a_word():
    assert in_order("退货30天, メモA1は한국어") == [
        *"退货", "30", "天", *"メモ", "a1", "は", "한국어",
    ]  # fmt: skip
    assert rouge_l(in_order("我想退货"), in_order("我不想退货")) == pytest.approx(8 / 9)


@pytest.mark.parametrize(
    "text, words",
    [
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("Cafe\u0301, x\u030cy", ["caf\u00e9", "x\u030cy"]),
        ("\u0301 a \u0301b", ["a", "b"]),  # a mark alone is no word
        ("ไทย a\u0301ไ", ["ไ", "ท", "ย", "\u00e1", "ไ"]),
    ],
)
def test_a_mark_belongs_to_the_letter_before_it(text, words):
    assert in_order(text) == words
    assert "".join(pieces(text)) == text


def test_marks_that_nobody_sees_are_shown_and_not_compared():
    oracle, response = "Caf\u2060e\u0301 au\u00ad lait", "the ca\u200bfé\ufe0f \u2060au lait"
    shared = [piece for piece, is_shared in common(oracle, response) if is_shared]
    assert "".join(piece for piece, _ in common(oracle, response)) == response
    assert [piece for piece in shared if seen(piece).strip()] == ["ca\u200bfé\ufe0f", "au", "lait"]
    assert seen("m\u00b2 \ufb01 \uff4f e\u0301\t\n\x85") == "m² ﬁ ｏ e\u0301\t\n\x85"  # all is seen


def test_two_forms_of_an_accent_are_the_same_word():
    text = "Le café était fermé à cause de la grève"
    assert rouge_l(in_order(text), in_order(unicodedata.normalize("NFD", text))) == 1


def test_words_in_ascii_are_the_same_by_the_shorter_way():
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(map(chr, rng.choices(range(128), k=200)))
        assert in_order(text) == WORDS.findall(text.lower()) == in_order(f"{text} \u00e9")[:-1]


def test_rouge_l_by_hand():
    # cat, on: 2 of 3 words and 2 of 4; to the last bit, as tables are made of it
    a, b = in_order("Cat on mat."), in_order("A CAT, on it!")
    assert rouge_l(a, b) == rouge_l(b, a) == 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4) != 4 / 7
    assert rouge_l(a, a) == 1
    assert rouge_l(a, []) == rouge_l([], []) == rouge_l(a, ["else"]) == 0


def longest(left, right):
    """The length of the longest common subsequence, by the classic dynamic programme."""
    best = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            best[i + 1][j + 1] = best[i][j] + 1 if a == b else max(best[i][j + 1], best[i + 1][j])
    return best[-1][-1]


def is_subsequence(some, of):
    rest = iter(of)
    return all(word in rest for word in some)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_longer_is_common(seed):
    rng = random.Random(seed)
    oracle, response = (rng.choices("abcde", k=rng.randint(0, 30)) for _ in range(2))
    marked = common(" ".join(oracle), " ".join(response))
    shared = [piece for piece, is_shared in marked if is_shared and not piece.isspace()]
    assert is_subsequence(shared, oracle)
    assert is_subsequence(shared, response)
    assert len(shared) == longest(oracle, response)


def test_of_a_blank_text_nobody_sees_anything():
    assert all(map(is_blank, ["", " \n\t", "\u200b\ufeff", " \u00ad\x1c\x85\u3000"]))
    assert not any(map(is_blank, ["a", " .", "\u200ba"]))
