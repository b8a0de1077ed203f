"""Judge the answers so far, by what the owner can show: a kit (A, B), or D alone (C)."""

import pandas as pd

from dsi_core.audit.judging import after_the_fact, kit
from dsi_core.audit.judging.judgement import Judgement
from dsi_core.audit.plan import Plan


def judge(plan: Plan, answers: pd.DataFrame) -> Judgement:
    """Say what the answers so far (as `storage.answers`) tell."""
    by = kit if plan.prepared is None else after_the_fact
    return by.judge(plan, answers)


def at_sight(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Say of each answer, in whatever order they came, whether it can be evidence.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, response, status, can_be_evidence: a usable answer; A and B: with
        anything in common with one of the kit's texts, whichever the coin published.
    """
    by = kit if plan.prepared is None else after_the_fact
    return by.at_sight(plan, answers)[["sample_id", "response", "status", "can_be_evidence"]]
