"""Said before a page's work begins: all models that it tunes and asks here, and how long."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pandas as pd

from dsi_core.method import asking, participants, pending
from dsi_core.method.asking import Query
from dsi_core.method.pending import Work
from dsi_core.method.study import Study
from dsi_core.paper.dpdllm import scores
from dsi_core.paper.dpdllm.roles import Mode


def announce(study: Study) -> None:
    """Say on stderr what the vote and the baseline lack (notebooks 02 and 03), if anything."""
    most = "at most" if study.profile.responses.ask == "tainted" else "in all"
    pending.announce(work(study), f"this page {most}")


def work(study: Study) -> list[Work]:
    """Give what has to be done for the vote and, if the profile has the baseline, for DPDLLM.

    Where the vote lacks nothing, DPDLLM is not looked at, which takes seconds: its own step says
    what it lacks. Where suspects are asked only tainted samples (`ask: tainted`), these count as if
    they were all of D.
    """
    profile, pairs, usual = study.profile, study.pairs, study.sampling
    voting = [
        *asking.queries(participants.references(profile), pairs, usual.for_references()),
        *asking.queries(participants.suspects(profile), pairs, usual),
    ]
    lacking = _of_each_model(voting)
    if not lacking or profile.dpdllm is None:
        return lacking
    clean, faithful = (scores.needed(study, mode) for mode in Mode)
    further = [_without(query, voting) for query in [*clean.queries, *faithful.queries]]
    lms = clean.untuned | faithful.untuned
    return _of_each_model(voting, further) + [Work(lm.name, lm) for lm in lms.values()]


def _of_each_model(*queries: list[Query]) -> list[Work]:
    """What is lacking, each model once; lists differ in how many answers they want to a sample."""
    found: dict[Path, Work] = {}
    for query in chain.from_iterable(map(asking.lacking, queries)):
        before = found.get(query.folders[0])
        answers = query.work.answers + (before.answers if before else 0)
        found[query.folders[0]] = replace(before or query.work, answers=answers)
    return list(found.values())


def _without(query: Query, others: Sequence[Query]) -> Query:
    """The query without the questions that the same model is asked in another one."""
    same = [other.questions["sample_id"] for other in others if other.folders == query.folders]
    asked = query.questions["sample_id"].isin(pd.concat(same) if same else [])
    return replace(query, questions=query.questions[~asked])
