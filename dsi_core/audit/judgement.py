"""What the answers so far say of a suspect: the vote (Eq. 2), the rank among the controls, the private twin."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd

from dsi_core.audit import prepared as preparation
from dsi_core.audit import suspect
from dsi_core.audit.plan import FACTS, Plan
from dsi_core.audit.prepared import Prepared
from dsi_core.evidence import controls, sequential, twin
from dsi_core.method import study, verdict
from dsi_core.method.participants import Membership

FIRST = "first_plan.json"  # how many samples were planned when the audit began


def judge(plan: Plan, told: pd.DataFrame) -> dict:
    """Everything that the answers so far say: vote, controls, twin (None where there is none), p (of the twin, else of the controls),
    decided_by, statuses (counts), evidence and curve (tables). Only samples in the order asked, up to the first that lacks an answer, count.
    """
    prepared, settings = plan.prepared, plan.profile
    asked = _asked(plan, told)
    table = _with_gaps(plan, told.merge(asked[["sample_id", "prompt", "output"]], on="sample_id"))
    evidence = asked.merge(
        verdict.evidence(table, prepared.study.delta_s, settings.decision.mu)[
            ["sample_id", "evidence", "status"]
        ],
        on="sample_id",
        how="left",
    )
    counts = (
        evidence["status"]
        .value_counts()
        .reindex(["positive", "negative", "filtered"], fill_value=0)
    )
    vote = (
        "inconclusive"
        if not counts["positive"] + counts["negative"]
        else str(Membership.of(bool(counts["positive"] > counts["negative"])))
    )
    known = known_evidence(prepared, plan.samples, plan.draws)
    leans = controls.final_statistics(known[~known["member"]])
    against = (
        asdict(controls.test(evidence["evidence"].to_numpy(), leans, plan.alpha))
        if len(leans)
        else None
    )
    parts = (
        prepared.tainted["part"].value_counts().reindex(preparation.PARTS, fill_value=0).tolist()
    )
    planned = first_planned(plan)
    labelled = evidence.assign(published=evidence["part"] == preparation.PARTS[0])
    told_apart = (
        asdict(
            twin.test(
                labelled,
                tuple(parts),
                planned,
                settings.seed,
                may_stop=plan.stop or planned != len(plan.samples),
            )
        )
        if parts[1]
        else None
    )
    first = told_apart or against
    return {
        "samples_asked": len(asked),
        "answers": len(told),
        "vote": {"verdict": vote, **counts.to_dict()},
        "controls": against,
        "twin": told_apart,
        "p": first and first["p"],
        "decided_by": "twin" if told_apart else "controls" if against else None,
        "statuses": table.drop_duplicates(["sample_id", "draw"])["status"]
        .value_counts()
        .reindex(list(suspect.STATUSES), fill_value=0)
        .to_dict(),
        "answers_table": table,
        "evidence": evidence,
        "leans": leans,
        "curve": curve(plan, evidence, leans, parts),
    }


def _asked(plan: Plan, told: pd.DataFrame) -> pd.DataFrame:
    counts = (
        told.groupby("sample_id")["draw"].nunique().reindex(plan.samples["sample_id"], fill_value=0)
    )
    return plan.samples[(counts >= plan.draws).to_numpy().cumprod().astype(bool)]


def _with_gaps(plan: Plan, told: pd.DataFrame) -> pd.DataFrame:
    """Answers (columns sample_id, draw, response, output, FACTS) with status and their gap to each reference."""
    mu, limit = plan.profile.decision.mu, plan.profile.responses.max_new_tokens
    status = [
        suspect.status(r.response, r.output, mu, r.finish, r.refused, r.tokens, limit)
        for r in told.itertuples()
    ]
    told = told.assign(
        dataset=plan.prepared.facts["name"],
        suspect=plan.name,
        status=pd.Series(status, index=told.index, dtype=object),
    )
    return (
        study.gaps_to(plan.prepared.study, plan.prepared.scores, told[[*preparation.TOLD, *FACTS]])
        if len(told)
        else told.assign(reference=None, gap=np.nan)
    )


def known_evidence(prepared: Prepared, samples: pd.DataFrame, draws: int) -> pd.DataFrame:
    """The known models' evidence on these samples, in their order, from so many answers each: columns model, member, group, sample_id, part,
    evidence, status.
    """
    known = prepared.known
    known = known[(known["draw"] < draws) & known["sample_id"].isin(samples["sample_id"])]
    if known.empty:
        return pd.DataFrame(
            columns=["model", "member", "group", "sample_id", "part", "evidence", "status"]
        ).astype({"member": bool})
    found = verdict.evidence(known, prepared.study.delta_s, prepared.study.profile.decision.mu)
    people = known[["suspect", "member", "group"]].drop_duplicates()
    table = people.merge(samples[["sample_id", "part"]], how="cross").merge(
        found, on=["suspect", "sample_id"], how="left", validate="1:1"
    )
    return table.rename(columns={"suspect": "model"}).astype({"member": bool})


def curve(plan: Plan, evidence: pd.DataFrame, leans: pd.Series, parts: list[int]) -> pd.DataFrame:
    """After each sample: sample (1, 2, ...), queries, positive, negative, p_controls and wealth (None where there is no such test)."""
    count = np.arange(1, len(evidence) + 1)
    table = pd.DataFrame(
        {
            "sample": count,
            "queries": count * plan.draws,
            "positive": (evidence["status"] == "positive").cumsum().to_numpy(),
            "negative": (evidence["status"] == "negative").cumsum().to_numpy(),
        }
    )
    values = evidence["evidence"].to_numpy()
    table["p_controls"] = (
        controls.p_values(controls.running_statistic(values), leans.to_numpy())
        if len(leans)
        else np.nan
    )
    table["wealth"] = (
        sequential.wealth(values, evidence["part"] == preparation.PARTS[0], tuple(parts))
        if parts[1]
        else np.nan
    )
    return table


def first_planned(plan: Plan) -> int:
    """How many samples were planned when this audit began. The permutation test is over these: were it made again after each raise of
    the budget, its error would grow with every look.
    """
    path = plan.folder / FIRST
    return json.loads(path.read_text())["samples"] if path.exists() else len(plan.samples)
