"""What the answers so far say of a suspect, as a record."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.audit.reach import Reach
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.data.common_words import in_order, seen
from dsi_core.evidence.controls import RankTest
from dsi_core.evidence.looks import ExactTest
from dsi_core.method.participants import Membership

ANSWER = ["sample_id", "draw"]
SAME = 3  # prompts that bring the same answer by chance, as data of one template may


class Answer(StrEnum):
    """What an audit answers."""

    FOUND = "found"
    NO_FINDING = "no finding"
    CANNOT = "cannot find"  # no answers could have been a finding


@dataclass(frozen=True)
class Vote:
    """Eq. 2 over the samples: positive, negative and filtered (no usable answer) ones."""

    verdict: Membership
    positive: int
    negative: int
    filtered: int


@dataclass(frozen=True)
class Judgement:
    """All that the answers so far say.

    The samples that count are those, in the order of asking, before the first without an answer.

    Attributes
    ----------
    samples, answers
        How many samples count, and how many answers there are in all.
    answer, p
        What is concluded, and the p-value that decides; None = there is no test.
    reach
        What the samples that count and have evidence allow.
    exact
        A and B: the test.
    vote, rank
        C: the two numbers; rank is None where there are no controls.
    rank_of_all
        C: the rank once more over all samples that count, those without a usable answer at the
        smallest evidence that any model has on any (`controls.at_least`); its p is never smaller.
        It decides nothing.
    statuses
        Answers by what became of them.
    table
        Answers with status and, A and B, their closeness to the kit's texts; C, their gap to each
        reference.
    evidence
        Of each sample that counts: A and B as `_of_samples`; C sample_id, evidence, status (a
        `verdict.Status`).
    curve
        How the evidence grew: A and B a row per look; C as `curve` gives it.
    """

    samples: int
    answers: int
    answer: Answer
    p: float | None
    reach: Reach
    exact: ExactTest | None
    vote: Vote | None
    rank: RankTest | None
    rank_of_all: RankTest | None
    statuses: dict[AnswerStatus, int]
    table: pd.DataFrame
    evidence: pd.DataFrame
    curve: pd.DataFrame

    @property
    def found(self) -> bool:
        """Whether it is a finding."""
        return self.answer is Answer.FOUND

    @property
    def says_nothing(self) -> bool:
        """A and B: whether samples have usable answers enough, but too few that are evidence."""
        return self.answer is Answer.CANNOT and self.reach.can_reach_alpha

    @property
    def leans(self) -> int:
        """A and B: how many samples have evidence other than 0."""
        return int(with_evidence(self.evidence).sum())

    @property
    def canned(self) -> int:
        """How many usable answers are texts that came to more than `SAME` prompts."""
        return len(repeated(self))

    @property
    def answered(self) -> int:
        """How many of the samples that count have an answer: of a file perhaps not all."""
        return self.table["sample_id"].nunique()


def leaning(judged: Judgement) -> np.ndarray:
    """Tell which samples that count lean by themselves, whatever controls do (A and B).

    Shape (samples,), bool. A text that came to prompt after prompt (`repeated`) leans by chance.
    """
    usable = _usable(judged)
    own = usable.drop(repeated(judged).index)["sample_id"]
    leans = judged.evidence["value"].fillna(0.0) != 0
    return (leans & judged.evidence["sample_id"].isin(own)).to_numpy()


def repeated(judged: Judgement) -> pd.DataFrame:
    """Give the usable answers whose words came to more than `SAME` prompts, a row each."""
    usable = _usable(judged)
    words = usable["response"].map(lambda text: " ".join(in_order(seen(text))))
    prompts = usable["sample_id"].groupby(words).transform("nunique")
    return usable[prompts > SAME]


def once(table: pd.DataFrame) -> pd.DataFrame:
    """Give the first row of each answer: of C a table has one for each of its gaps."""
    return table.drop_duplicates(ANSWER)


def _usable(judged: Judgement) -> pd.DataFrame:
    """A row for each answer that can be evidence."""
    usable = judged.table[judged.table["status"] == AnswerStatus.ANSWERED]
    return once(usable)


def with_evidence(evidence: pd.DataFrame) -> np.ndarray:
    """Tell which samples have evidence that speaks for or against, shape (samples,), bool."""
    return evidence["evidence"].fillna(0.0).to_numpy() != 0
