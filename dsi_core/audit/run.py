"""The online phase for a suspect that one can only query (§5.4): ask, keep every answer as it comes, judge, stop when sure.

Every answer is written when it arrives: an interrupted audit goes on where it was, and neither asks nor pays for an answer twice.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dsi_core.audit import judgement
from dsi_core.audit.plan import FACTS, SUSPECT, Plan, answers, spent, worst
from dsi_core.evidence import controls
from dsi_core.models import endpoint, responses
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained


def run(plan: Plan) -> dict:
    """Ask until sure, until all is asked, or until the money is spent; returns `judging.judge`'s result, cost and ended (sure | all asked | money spent).

    Raises `endpoint.EndpointError` when a question stays unanswered: what came before is stored, and a rerun goes on.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not (plan.folder / judgement.FIRST).exists():
        store.write_text(
            plan.folder / judgement.FIRST,
            json.dumps({"samples": len(plan.samples), "at": store.now()}),
        )
    everything, told = len(plan.samples) * plan.draws, answers(plan)
    with (
        store.lock(plan.folder),
        tqdm(
            total=everything,
            initial=min(len(told), everything),
            desc=plan.name,
            unit=" answers",
            disable=None,
        ) as bar,
    ):
        while True:
            told = answers(plan)
            result = {
                **judgement.judge(plan, told),
                "cost": spent(plan, told) if any(plan.prices) else None,
            }
            if plan.stop and result["p"] is not None and result["p"] <= plan.alpha:
                return {**result, "ended": "sure"}
            questions = next_questions(plan, told)
            if questions.empty:
                ended = (
                    "all asked" if result["samples_asked"] == len(plan.samples) else "money spent"
                )
                return {**result, "ended": ended}
            _ask(plan, questions, bar)


def next_questions(plan: Plan, told: pd.DataFrame) -> pd.DataFrame:
    """The next block of questions (sample_id, prompt, draw), as many samples as keep all connections busy; empty at the end, or
    when the next sample might cost more than is left.
    """
    remote = plan.profile.models[SUSPECT].endpoint
    wanted = responses.unanswered(told, plan.samples, plan.draws)
    block = (
        max(controls.MIN_SAMPLES, -(-remote.concurrency // plan.draws))
        if remote and plan.stop
        else len(plan.samples)
    )
    chosen = wanted[wanted["sample_id"].isin(wanted["sample_id"].unique()[:block])]
    if plan.money is not None:
        cost = [np.dot(worst(plan, p), plan.prices) / 1e6 for p in chosen["prompt"]]
        fits = spent(plan, told) + np.cumsum(cost) <= plan.money
        whole = pd.Series(fits, index=chosen["sample_id"]).groupby(level=0, sort=False).all()
        chosen = chosen[chosen["sample_id"].isin(whole.index[whole.cummin()])]
    return chosen


def _ask(plan: Plan, questions: pd.DataFrame, bar: tqdm) -> None:
    if remote := plan.profile.models[SUSPECT].endpoint:
        told = endpoint.answers(remote, questions, plan.profile.responses.temperature, plan.profile)
        keep(plan.folder, ((row, answer.text, vars(answer)) for row, answer in told), bar.update)
    else:
        jobs.run([jobs.Job(plan.name, ask_local, (plan.folder, plan.profile, questions))])
        bar.update(len(questions))


def ask_local(folder: Path, profile: Profile, questions: pd.DataFrame) -> None:
    """In a worker: load the suspect, let it answer, keep each answer."""
    told = responses.local_answers(
        profile, "", SUSPECT, Trained(base=SUSPECT), questions, profile.responses.temperature
    )
    keep(folder, ((row, text, {}) for rows, texts, _ in told for row, text in zip(rows, texts)))


def keep(folder: Path, told, kept=lambda: None) -> None:
    """Append each (row, text, facts) to the answers as it comes, and call `kept`."""
    with responses.appending(folder) as write:
        for row, text, facts in told:
            write(
                [
                    {
                        "sample_id": row.sample_id,
                        "draw": int(row.draw),
                        "response": text,
                        **{k: facts[k] for k in FACTS if k in facts},
                        "at": store.now(),
                    }
                ]
            )
            kept()
