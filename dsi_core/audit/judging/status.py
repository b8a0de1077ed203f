"""What became of each answer: whether it can be evidence."""

from collections.abc import Iterable
from dataclasses import fields

import pandas as pd

from dsi_core.audit import suspect
from dsi_core.audit.judging.judgement import once
from dsi_core.audit.plan import Plan
from dsi_core.audit.suspect import AnswerFacts, AnswerStatus

FACTS = [field.name for field in fields(AnswerFacts)]


def status_of(plan: Plan, answers: pd.DataFrame, oracles: Iterable[str]) -> pd.Series:
    """Say of each answer, beside the text its sample's prompt asks for, what became of it."""
    statuses = []
    for answer, oracle in zip(answers.to_dict("records"), oracles, strict=True):
        said = AnswerFacts(**{name: answer[name] for name in FACTS})
        limit = plan.responses.max_new_tokens
        status = suspect.status(answer["response"], oracle, plan.subject.mu, said, limit)
        statuses.append(str(status))
    return pd.Series(statuses, index=answers.index, dtype=object)


def counted(table: pd.DataFrame) -> dict[AnswerStatus, int]:
    """Count answers by what became of them, each once; every status has its count."""
    counts = once(table)["status"].value_counts()
    return {status: int(counts.get(str(status), 0)) for status in AnswerStatus}
