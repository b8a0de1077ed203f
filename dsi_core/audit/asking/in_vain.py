"""Answers that can be no evidence: told while they come, as each is paid or waited for.

The warnings do not depend on the coin: whoever stops because of one learnt nothing of the evidence.
"""

import warnings
from collections.abc import Callable

import pandas as pd

from dsi_core.audit.asking.storage import answers
from dsi_core.audit.judging import judge
from dsi_core.audit.plan import Plan
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.evidence import controls

ALIKE = controls.MIN_SAMPLES  # replies after which it is told if all are of one kind
FEW = 24  # replies after which the share that can be evidence is looked at
# The smallest such share without a warning. Of an innocent model's replies 65% and more have
# something in common with the texts.
LEAST = 1 / 8
QUOTED = 60  # characters of an answer
ENDS = "Ctrl-C ends the asking, and keeps what came"


def look(plan: Plan, there: int, number: int, shown: Callable[[str], str] = str) -> None:
    """Warn where the answers so far come in vain: looked at after `ALIKE` and after `FEW` of them.

    After the last answer there is no warning any more: the conclusion says the same.

    Parameters
    ----------
    there, number
        Answers that were kept before this asking, and by it until now.
    shown
        Gives a line of a suspect's text without anything secret.
    """
    count = there + number
    if count not in (ALIKE, FEW) or count == plan.queries:
        return
    stored = answers(plan)
    if count == FEW and _alike(judge.at_sight(plan, stored.head(ALIKE))):
        return  # it was told then
    warn(plan, stored, shown)


def warn(plan: Plan, stored: pd.DataFrame, shown: Callable[[str], str] = str) -> None:
    """Warn where all answers are of one kind that is no evidence, or hardly any can be evidence."""
    seen = judge.at_sight(plan, stored)
    kind, enough = _alike(seen), len(seen) >= FEW
    if kind is not None:
        warnings.warn(_of_one_kind(kind, len(seen)), stacklevel=3)
    elif enough and seen["can_be_evidence"].mean() < LEAST:
        warnings.warn(_hardly_any(plan, seen, shown), stacklevel=3)


def _alike(seen: pd.DataFrame) -> AnswerStatus | None:
    """Of which kind all of enough replies are, if that is no evidence."""
    kinds = seen["status"].unique()
    alike = len(seen) >= ALIKE and len(kinds) == 1 and kinds[0] != AnswerStatus.ANSWERED
    return AnswerStatus(kinds[0]) if alike else None


def _of_one_kind(kind: AnswerStatus, replies: int) -> str:
    """Say that nothing that was paid for is evidence, and what helps."""
    if kind == AnswerStatus.THOUGHT:
        return (
            f"all {replies} replies so far are thoughts without an answer, which is no "
            "evidence: --reasoning-tokens gives thoughts room, in another audit (--out)"
        )
    return (
        f"all {replies} replies so far are of the kind '{kind}' ({kind.meaning}), which is no "
        f"evidence: {ENDS}"
    )


def _hardly_any(plan: Plan, seen: pd.DataFrame, shown: Callable[[str], str]) -> str:
    """Say what came instead of evidence, and what helps; quoted is no answer to a withheld prompt.

    seen: as `judge.at_sight`.
    """
    vain = seen[~seen["can_be_evidence"]]
    what, quotable = "are answers", vain
    if plan.kit is not None:
        what = "have anything in common with the texts of the data"
        rows = plan.kit.rows
        published = rows.loc[rows["published"].astype(bool), "sample_id"]
        quotable = vain[vain["sample_id"].isin(published)]
    kinds = ", ".join(f"{count} {kind}" for kind, count in vain["status"].value_counts().items())
    texts = [shown(text)[:QUOTED] for text in quotable["response"] if text.strip()]
    begins = f"; one begins {texts[0]!r}" if texts else ""
    template = " or another --chat-template" if plan.remote is None else ""
    return (
        f"{len(seen) - len(vain)} of {len(seen)} replies so far {what}; the others ({kinds}) are "
        f"no evidence{begins}. Is it the right model, and does it answer in the data's language? A "
        f"system prompt (--system-prompt){template} may help, in another audit (--out); {ENDS}"
    )
