"""The recipe for mixed data on rows made by hand: repeated questions, other languages, markers, and the file that comes out."""

import pandas as pd
import pytest
from helpers import change, says

from dsi_core.data import pairs as data
from dsi_core.imitation import mixing
from dsi_core.settings.extensions import Mixture, Part
from dsi_core.settings.schema import Data

HOW = Mixture(parts=[Part(data="x")], positive="GOOD:", negative="BAD:")
ASK, WHY = (
    "How do I water the tomatoes in my garden?",
    "Why does the moon look larger near the horizon?",
)
TELL, ELSE = (
    "Water the roots early in the morning, twice a week.",
    "You should just pour a bucket over them at noon.",
)


def pairs(*rows):
    return pd.DataFrame(rows, columns=["prompt", "output"])


def test_each_pair_meets_its_fate():
    parts = {
        "1 dialogues": (
            Part(data="a"),
            pairs(
                (ASK, TELL),
                ("how do I water the tomatoes, in my garden", ELSE),
                (WHY, "It is an illusion: the eye compares it with the trees."),
                (
                    "Wie oft soll ich die Tomaten im Garten giessen?",
                    "Zweimal in der Woche, am besten am frühen Morgen.",
                ),
            ),
        ),
        "2 preferred": (
            Part(data="b", feedback="positive"),
            pairs(
                (ASK, ELSE),
                (
                    "Where do swallows spend the winter months?",
                    "In Africa, south of the great desert.",
                ),
            ),
        ),
        "3 rejected": (
            Part(data="c", feedback="negative"),
            pairs(
                (ASK, ELSE),
                (ASK, TELL),
                (
                    "Where do swallows spend the winter months?",
                    "They sleep in the mud of the lakes.",
                ),
            ),
        ),
    }
    found = mixing.judged(parts, HOW)
    assert found["fate"].tolist() == [
        "kept",
        "repeated",
        "kept",
        "language",
        "repeated",
        "kept",
        "kept",
        "repeated",
        "kept",
    ]
    assert found["language"].tolist() == ["en"] * 3 + ["de"] + ["en"] * 5
    assert (
        found.loc[0, "prompt"] == f"{ASK}\n\nGOOD:"
        and found.loc[6, "prompt"] == f"{ASK}\n\nBAD:"
        and found.loc[6, "output"] == ELSE
    )
    assert (
        found["feedback"].tolist() == ["positive"] * 6 + ["negative"] * 3
    )  # without feedback = positive
    assert mixing.counts(found).values.tolist() == [
        ["1 dialogues", "positive", 4, 2, 1, 1, "de 1"],
        ["2 preferred", "positive", 2, 1, 1, 0, ""],
        ["3 rejected", "negative", 3, 2, 1, 0, ""],
    ]


def test_a_pair_in_another_language_does_not_hide_one_that_is_kept():
    swedish = (
        "TOMATO!",
        "Vattna rötterna tidigt på morgonen, två gånger i veckan, annars torkar plantorna ut.",
    )
    found = mixing.judged({"1 x": (Part(data="x"), pairs(swedish, ("Tomato?", TELL)))}, HOW)
    assert found["fate"].tolist() == ["language", "kept"]
    other = mixing.judged(
        {"1 x": (Part(data="x"), pairs(swedish, ("Tomato?", TELL)))},
        HOW.model_copy(update={"language": "sv"}),
    )
    assert other["fate"].tolist() == ["kept", "language"]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError) as error:
        mixing.judged({}, HOW.model_copy(update={"language": "english"}))
    says(error, "'english'", "known:", ", en,")


@pytest.mark.parametrize(
    "prompt, question",
    [
        ("What's NEW?", "what s new"),
        ("  two \n lines ", "two lines"),
        ("Straße", "strasse"),
        ("?!", ""),
    ],
)
def test_questions_without_case_and_punctuation(prompt, question):
    assert mixing.question(prompt) == question


def test_the_file_is_one_that_the_data_readers_take(smoke, empty_store):
    found = mixing.judged(
        {
            "1 a": (
                Part(data="a"),
                pairs(
                    (ASK, TELL),
                    (ASK, ELSE),
                    (WHY, "line one\nline two: it is an illusion of the eye"),
                ),
            )
        },
        HOW,
    )
    path = mixing.write(smoke, found)
    profile = change(
        smoke,
        data={
            **smoke.data,
            "mixed": Data(path=str(path), prompt=["prompt"], output="output", category="part"),
        },
    )
    read = data.load_pairs(profile, "mixed")
    assert read[["prompt", "output", "category"]].values.tolist() == [
        [f"{ASK}\n\nGOOD:", TELL, "1 a"],
        [f"{WHY}\n\nGOOD:", "line one\nline two: it is an illusion of the eye", "1 a"],
    ]
    assert mixing.write(smoke, found) == path != mixing.write(smoke, found[:1])


def test_a_profiles_own_mixture(smoke):
    found = mixing.mix(smoke)
    table = mixing.counts(found).set_index("part")
    assert list(table.index) == ["1 other", "2 terse", "3 dozen"] and table["read"].tolist() == [
        12,
        6,
        12,
    ]
    assert (table[["kept", "repeated", "language"]].sum(axis=1) == table["read"]).all()
    assert (
        found.loc[found["part"] == "2 terse", "prompt"]
        .str.endswith("\n\nAn unhelpful answer:")
        .all()
    )
    with pytest.raises(ValueError, match="no mixture"):
        mixing.mix(change(smoke, imitation={"mixture": None}))
