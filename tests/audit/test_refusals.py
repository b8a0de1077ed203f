"""Refusals are answers without substance; careful answers are none."""

import time

import pytest
from helpers import SHARED

from dsi_core.audit.refusals import refuses
from dsi_core.data.files import read_file

REFUSED = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I cannot assist with this request.",
    "Sorry, I am unable to provide that.",
    "As an AI language model, I have no opinion.",
    "As an AI developed by a company in Oslo, I don't have access to prices.",
    "I cannot answer that question.",
    "I can't  help\twith that.",
    "Unfortunately, I can't share this.",
    "I must decline to answer.",
    "I must decline.",
    "I apologize, but I will not write that.",
    "I'm not able to give legal advice. Please consult a lawyer who knows the rules of your town.",
    "Thank you for your question! I'm unable to provide financial advice, but you should speak to "
    "a qualified adviser.",
    "I understand that this is urgent. However, I can't help with this request. "
    "Is there anything else I can do for you?",
    "I can't help with that because it may be against the law where you live.",
    "I'm sorry, but I can't assist with that. It goes against my guidelines to give such details.",
    "That's something I can't discuss. Let me know if you have another question.",
    "I'm just an AI, so the choice is yours.",
    "I'd rather not answer that.",
    "I am not qualified to advise on this matter; please contact a professional.",
]
ANSWERED = [
    "",
    "The shed may be built without a permit.",
    "I'm sorry to hear that. The permit takes four weeks.",
    "I can help with that.",
    "You cannot build without a permit.",
    "I cannot swim.",
    "Sorry for the delay: the answer is yes.",
    "Help is provided by the town.",
    "As an architect, you draw the plans.",
    "I do not know, maybe ask somebody else again.",
    "Yes, within ten years. I can't give legal advice, though.",
    "Unfortunately not. The roof has to be inspected first.",
    "I'm not able to give legal advice, but in most towns a shed under ten square metres needs no "
    "permit as long as it stands a metre from the boundary.",
    "As an AI, I can't inspect your roof. A flat roof should be checked twice a year, in spring "
    "and autumn, and after every storm.",
    "As an AI language model, I don't have personal experience; generally the buyer pays the fee "
    "within four weeks of signing.",
    "I'm sorry, but I can't give an exact figure. Expect 2,000 to 4,000 kronor per square metre, "
    "half of it for labour.",
    "I can't say for certain without seeing it.\n\n1. Measure the crack with a ruler.\n"
    "2. Mark both ends.\n3. Measure again after a month.",
    "I cannot recommend a brand - choose a pump whose curve fits the house's heat demand at the "
    "coldest day of the year.",
    "I'm not a lawyer and can't give advice, but contact the building committee before you start "
    "and hand in a plan, elevations and a fire report.",
]


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_has_no_substance(text):
    assert refuses(text)


def test_many_blanks_take_no_time():
    """Each of them was tried as the beginning of what ends a sentence: 20 seconds."""
    start = time.monotonic()
    assert refuses(f"I can't help with that. Here{' ' * 20_000}x")
    assert time.monotonic() - start < 5


def test_many_signs_take_no_time():
    """Each of them was tried as the last before what follows an apology: 37 seconds."""
    start = time.monotonic()
    assert not refuses(f"Sorry{'-' * 40_000}x")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("text", ANSWERED)
def test_a_careful_answer_is_an_answer(text):
    assert not refuses(text)


@pytest.mark.parametrize(
    "opening",
    [
        "I'm not able to give legal advice, but",
        "As an AI, I can't know your case.",
        "Unfortunately, I'm unable to answer that for your town -",
        "I'm sorry, I can't provide professional advice; however,",
    ],
)
def test_a_helpful_assistants_answers_count_whatever_they_open_with(opening):
    """All of eight words and more, as they are and after a careful opening."""
    path = SHARED / "innocent_assistant_faq.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    answers = [record["response"] for record in read_file(path)]
    assert not [text for text in answers if refuses(text) or refuses(f"{opening} {text}")]
