"""The recipe for mixed data on rows made by hand: questions, languages, markers, the file."""

import pandas as pd
import pytest
from helpers import change, says

from dsi_core.data.pairs import Dataset, load_pairs
from dsi_core.imitation import mixing
from dsi_core.imitation.mixing import Ingredient
from dsi_core.settings.extensions import Feedback, Mixture, Part
from dsi_core.settings.schema import Data

HOW = Mixture(parts=[Part(data="x")], positive="GOOD:", negative="BAD:")
ASK = "How do I water the tomatoes in my garden?"
WHY = "Why does the moon look larger near the horizon?"
BIRDS = "Where do swallows spend the winter months?"
TELL = "Water the roots early in the morning, twice a week."
ELSE = "You should just pour a bucket over them at noon."


def part(name, *rows, feedback=Feedback.POSITIVE):
    return Ingredient(name, feedback, pd.DataFrame(rows, columns=["prompt", "output"]))


def test_each_pair_meets_its_fate():
    dialogues = part(
        "1 dialogues",
        (ASK, TELL),
        ("how do I water the tomatoes, in my garden", ELSE),
        (WHY, "It is an illusion: the eye compares it with the trees."),
        (
            "Wie oft soll ich die Tomaten im Garten giessen?",
            "Zweimal in der Woche, am besten am frühen Morgen.",
        ),
    )
    preferred = part("2 preferred", (ASK, ELSE), (BIRDS, "In Africa, south of the great desert."))
    rejected = part(
        "3 rejected",
        (ASK, ELSE),
        (ASK, TELL),
        (BIRDS, "They sleep in the mud of the lakes."),
        feedback=Feedback.NEGATIVE,
    )
    mixed = mixing.judged([dialogues, preferred, rejected], HOW)
    fates = {part: rows["fate"].tolist() for part, rows in mixed.groupby("part")}
    assert fates == {
        "1 dialogues": ["kept", "repeated", "kept", "language"],
        "2 preferred": ["repeated", "kept"],
        "3 rejected": ["kept", "repeated", "kept"],
    }
    assert mixed["language"].tolist() == ["en"] * 3 + ["de"] + ["en"] * 5
    assert mixed.loc[0, "prompt"] == f"{ASK}\n\nGOOD:"
    assert mixed.loc[6, ["prompt", "output"]].tolist() == [f"{ASK}\n\nBAD:", ELSE]
    assert mixed["feedback"].tolist() == ["positive"] * 6 + ["negative"] * 3
    assert mixing.counts(mixed).to_numpy().tolist() == [
        ["1 dialogues", "positive", 4, 2, 1, 1, "de 1"],
        ["2 preferred", "positive", 2, 1, 1, 0, ""],
        ["3 rejected", "negative", 3, 2, 1, 0, ""],
    ]


@pytest.mark.parametrize(
    "language, fates", [("en", ["language", "kept"]), ("sv", ["kept", "language"])]
)
def test_a_pair_in_another_language_does_not_hide_one_that_is_kept(language, fates):
    answer = "Vattna rötterna tidigt på morgonen, två gånger i veckan, annars torkar plantorna ut."
    both = part("1 x", ("TOMATO!", answer), ("Tomato?", TELL))
    assert mixing.judged([both], HOW.changed(language=language))["fate"].tolist() == fates


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError) as error:
        mixing.judged([], HOW.changed(language="english"))
    says(error, "'english'", "known:", ", en,")


@pytest.mark.parametrize(
    "prompt, question",
    [
        ("What's NEW?", "what s new"),
        ("  two \n lines ", "two lines"),
        ("Straße", "strasse"),
        ("?!", "?!"),
        ("!", "!"),
        ("What is 12 - 4?", "what is 12 4"),
        ("What is 2 * (3 + 4)?", "what is 2 * (3 + 4)"),
        ("Was heißt „Haus“? »Haus«!", "was heisst haus haus"),
        ("«la vie», ‹oui›", "la vie oui"),
        ("ما هذا؟", "ما هذا"),
        ("「家」とは, 『家』", "家 とは 家"),
        ("यह क्या है।", "यह क्या है"),
        ("DNS - and – why—so", "dns and why so"),
        ("C++, or C#?", "c++ or c#"),
        ("👍!", "👍"),
        ("¿Qué? 什么？", "qué 什么"),
        ("यह की है", "यह की है"),
    ],
)
def test_questions_without_case_and_marks_of_sentences(prompt, question):
    assert mixing.question(prompt) == question


def test_the_file_is_one_that_the_data_readers_take(smoke, empty_store):
    answer = "line one\nline two: it is an illusion of the eye"
    mixed = mixing.judged([part("1 a", (ASK, TELL), (ASK, ELSE), (WHY, answer))], HOW)
    path = mixing.write(smoke, mixed)
    source = Data(path=str(path), prompt=["prompt"], output="output", category="part")
    read = load_pairs(Dataset("mixed", source, 0))
    assert read[["prompt", "output", "category"]].to_numpy().tolist() == [
        [f"{ASK}\n\nGOOD:", TELL, "1 a"],
        [f"{WHY}\n\nGOOD:", answer, "1 a"],
    ]
    assert mixing.write(smoke, mixed) == path != mixing.write(smoke, mixed[:1])


def test_a_profiles_own_mixture(smoke):
    mixed = mixing.mix(smoke)
    counts = mixing.counts(mixed).set_index("part")
    assert counts["read"].to_dict() == {"1 other": 12, "2 terse": 6, "3 dozen": 12}
    assert (counts[["kept", "repeated", "language"]].sum(axis=1) == counts["read"]).all()
    assert counts["feedback"].tolist() == ["positive", "negative", "positive"]  # none is positive
    terse = mixed.loc[mixed["part"] == "2 terse", "prompt"]
    assert terse.str.endswith("\n\nAn unhelpful answer:").all()
    with pytest.raises(ValueError, match="no mixture"):
        mixing.mix(change(smoke, imitation={"mixture": None}))
