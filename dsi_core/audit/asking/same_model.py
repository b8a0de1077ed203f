"""Is it still the same model? A few neutral questions at the start and at the end of an audit.

They have nothing to do with any dataset, are asked in one way whatever the audit's is, and their
answers are kept in the audit's folder: audits of the same suspect compare theirs with them. Their
prompts are public: a service may recognise them and treat other questions differently, unnoticed.
"""

from collections.abc import Sequence
from dataclasses import asdict
from math import floor

import pandas as pd

from dsi_core.audit.readable import Readable
from dsi_core.evidence import permutation, same_model
from dsi_core.models.sampling import Sampling

FOLDER = "same_model"  # in the audit's, for the answers
DRAWS = 3  # answers to each prompt in a round
NEW_TOKENS = 12  # of which `evidence.same_model.CHARACTERS` are compared
PROMPTS = {
    "story": "Write the first sentence of a story about a lighthouse.",
    "beach": "Name three things that people take to the beach.",
    "cafe": "What would be a good name for a small café?",
    "green": "Describe the colour green to somebody who cannot see.",
    "early": "Give one reason to get up early.",
    "rain": "Write a line of a poem about rain.",
    "dinner": "What should I cook tonight?",
    "animals": "Tell me something about elephants.",
    "city": "Think of a city and describe it without naming it.",
    "advice": "What would you tell somebody who starts a new job?",
    "list": "Write down five words that come to your mind.",
    "joke": "Tell me a short joke.",
}
DEFAULT = 6  # prompts
UNNOTICED = (
    "A service that tells these questions from the dataset's, and answers the dataset's by another "
    "model, is not noticed."
)


class Compared(Readable):
    """What `evidence.same_model` says of two sets of answers."""

    p: float
    within: float
    between: float
    noticed: float | None
    differing: int | None = None  # None in older records, too
    answers: tuple[int, int]
    prompts: int


class SameModelFacts(Readable):
    """Whether the suspect seems to have been one model.

    Attributes
    ----------
    asked
        Answers to neutral questions in this audit.
    during
        Its first round against its last; None = not more than one round brought texts.
    earlier
        Its texts against those of earlier audits of this suspect; None = there are none.
    differs
        Whether one of the two says that it was not.
    said
        The same in words.
    """

    asked: int
    during: Compared | None
    earlier: Compared | None
    differs: bool
    said: str


def sampling(seed: int) -> Sampling:
    """Say how these questions are put, whatever the audit's own way is.

    seed: a secret one, so that the seeds sent do not tell whose questions these are.
    """
    return Sampling(
        seed=seed, temperature=1.0, draws=DRAWS, max_new_tokens=NEW_TOKENS, batch_size=1
    )


def questions(prompts: int, number: int, there: pd.DataFrame) -> pd.DataFrame:
    """Give what a round still asks: columns sample_id, prompt, draw, called.

    Parameters
    ----------
    prompts
        How many of `PROMPTS`, from the first on.
    number
        Of the round, from 0; its draws follow those of the rounds before.
    there
        The answers so far: columns sample_id, draw.
    """
    known = set(zip(there["sample_id"], there["draw"], strict=True))
    draws = range(number * DRAWS, (number + 1) * DRAWS)
    chosen = list(PROMPTS.items())[:prompts]
    rows = [(name, prompt, draw) for draw in draws for name, prompt in chosen]
    rows = [row for row in rows if (row[0], row[2]) not in known]
    table = pd.DataFrame(rows, columns=["sample_id", "prompt", "draw"])
    return table.assign(called="neutral question")


def due(prompts: int, there: pd.DataFrame, audit: pd.DataFrame) -> pd.DataFrame:
    """Give what is still to ask at the end of an audit, as `questions`.

    The last round that began, if it is not complete; another one, if the audit got answers since;
    nothing where there was no first round.

    there, audit: the answers to these questions and to the audit's, with the time (at) of each.
    """
    if there.empty or audit.empty:
        return questions(0, 0, there)
    last = int(there["draw"].max()) // DRAWS
    missing = questions(prompts, last, there)
    if len(missing):
        return missing
    if last and audit["at"].max() <= there["at"].max():
        return missing
    return questions(prompts, last + 1, there)


def rounds(there: pd.DataFrame) -> list[pd.DataFrame]:
    """Give the answers of each round: columns prompt, response."""
    table = there.assign(prompt=there["sample_id"])
    number = there["draw"].astype(int) // DRAWS
    return [table.loc[number == one, ["prompt", "response"]] for one in sorted(set(number))]


def judge(there: pd.DataFrame, earlier: Sequence[pd.DataFrame]) -> SameModelFacts | None:
    """Compare the rounds of an audit with each other, and with those of earlier audits.

    Only texts are compared: empty replies, or thoughts without an answer, are always alike and say
    nothing of a model. Returns None where nothing was asked.
    """
    if there.empty:
        return None
    own = _texts(there)
    before = [one for table in earlier for one in _texts(table)]
    during = _compared(own[0], own[-1]) if len(own) > 1 else None
    other = _compared(pd.concat(before), pd.concat(own)) if before and own else None
    changed = [one is not None and one.p <= same_model.ALPHA for one in (during, other)]
    return SameModelFacts(
        asked=len(there),
        during=during,
        earlier=other,
        differs=any(changed),
        said=_said(during, other, changed),
    )


def _texts(there: pd.DataFrame) -> list[pd.DataFrame]:
    return rounds(there[there["response"] != ""])


def _compared(first: pd.DataFrame, second: pd.DataFrame) -> Compared | None:
    try:
        found = same_model.compare(first, second)
    except ValueError:  # too few answers in common
        return None
    noticed = found.noticed if found.noticed > 0 else None
    return Compared(**{**asdict(found), "noticed": noticed})


def _said(during: Compared | None, earlier: Compared | None, changed: list[bool]) -> str:
    if any(changed):
        what = "while it was asked" if changed[0] else "since an earlier audit"
        found = during if changed[0] else earlier
        assert found is not None
        so = (
            "The answers that count here come from more than one model, and the numbers say "
            "something of their mixture only"
            if changed[0]
            else "What was found then says nothing of the model that was asked now"
        )
        return (
            f"The model behind the name seems to have changed {what}: answers to neutral questions "
            f"differ more than those of one model do (p = {found.p:.2g}, agreement "
            f"{found.between:.2f} between, {found.within:.2f} within). {so}."
        )
    parts = []
    for found, what in ((during, "from the first to the last"), (earlier, "to earlier audits")):
        if found is None:
            continue
        parts.append(
            f"{what} p = {found.p:.2g} (agreement {found.between:.2f}, within "
            f"{found.within:.2f}; {_would_have_been_noticed(found)})"
        )
    if not parts:
        return (
            "There is nothing to compare: neutral questions were asked once, or brought too few "
            "texts."
        )
    return f"No sign that the model behind the name changed: {'; '.join(parts)}. {UNNOTICED}"


def _would_have_been_noticed(found: Compared) -> str:
    if found.noticed is None or found.differing is None:
        return "too few answers to notice anything"
    less = f"an agreement of {floor(100 * found.noticed) / 100:.2f} or less"
    if found.noticed >= found.between - permutation.TIE:  # answers do not vary
        less = f"an agreement below {found.between:.2f}"
    return f"{less}, with other answers to {found.differing} prompts or more, would be noticed"
