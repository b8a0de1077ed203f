"""What the method costs (§6.5, Table 9), from the store's own records of each step."""

import pandas as pd

from dsi_core.method import similarity
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import responses, tuning
from dsi_core.runtime import store

PHASE = {"reference": "offline", "suspect": "online"}


def costs(study: Study, scores: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Seconds of each step, once per dataset and model: dataset, phase, step, model_id, tokens, seconds, device.

    phase: offline (references and their scores, once per dataset), online (asking a suspect and comparing its answers), or set-up
    (tuning our own suspects: in an audit somebody else has done that). Seconds are of one process: a core, or a GPU. scores: of
    `study.reference_scores`; told: of `study.suspect_answers`.
    """
    rows = []
    for m in steps.members(study).itertuples():
        group = "reference" if m.group == "reference" else "suspect"
        temperature = 1.0 if group == "reference" else study.profile.responses.temperature
        if m.trained.data:
            rows.append(
                (
                    m.dataset,
                    "offline" if group == "reference" else "set-up",
                    "tune",
                    m.model_id,
                    store.manifest(
                        tuning.folder_of(study.profile, m.dataset, m.trained, make=False)
                    ),
                )
            )
        folder = responses.entry(
            study.profile, m.dataset, m.model_id, m.trained, temperature, make=False
        )
        rows.append((m.dataset, PHASE[group], "answer", m.model_id, store.manifest(folder)))
    if gone := [f"{s} {i}" for _, _, s, i, r in rows if r is None]:
        raise ValueError(
            f"the store has no record of: {', '.join(gone)}; run notebooks 1 and 2 first"
        )
    table = pd.DataFrame(
        [
            {
                "dataset": d,
                "phase": p,
                "step": s,
                "model_id": i,
                "tokens": r["tokens"],
                "seconds": r["seconds"],
                "device": r.get("device"),
            }
            for d, p, s, i, r in rows
        ]
    )
    compared = [
        _compared(study, d, "offline", "all references", steps.beside_oracle(part))
        for d, part in scores.groupby("dataset", sort=False)
    ]
    beside = told.merge(
        scores[["dataset", "sample_id", "response_before", "response_after"]],
        on=["dataset", "sample_id"],
    )
    compared += [
        _compared(study, d, "online", suspect, steps.beside_references(part))
        for (d, suspect), part in beside.groupby(["dataset", "suspect"], sort=False)
    ]
    return pd.concat([table, pd.DataFrame(compared)], ignore_index=True)


def _compared(study: Study, dataset: str, phase: str, model_id: str, pairs: pd.DataFrame) -> dict:
    return {
        "dataset": dataset,
        "phase": phase,
        "step": "similarity",
        "model_id": model_id,
        "seconds": similarity.seconds(study.profile, pairs),
    }


def table9(costs: pd.DataFrame) -> pd.DataFrame:
    """Table 9: dataset, offline_hours, online_hours (mean of a suspect), online_percent of offline; hours of one core or one GPU."""
    rows = []
    for dataset, part in costs.groupby("dataset", sort=False):
        offline = part.loc[part["phase"] == "offline", "seconds"].sum() / 3600
        online = part[part["phase"] == "online"].groupby("model_id")["seconds"].sum().mean() / 3600
        rows.append(
            {
                "dataset": dataset,
                "offline_hours": round(offline, 4),
                "online_hours": round(online, 4),
                "online_percent": round(100 * online / offline, 2),
            }
        )
    return pd.DataFrame(rows)


def by_step(costs: pd.DataFrame) -> pd.DataFrame:
    """Minutes and tokens per second of each phase and step: dataset, phase, step, models, minutes, tokens_per_second (one process)."""
    sums = costs.groupby(["dataset", "phase", "step"], sort=False).agg(
        models=("model_id", "nunique"), tokens=("tokens", "sum"), seconds=("seconds", "sum")
    )
    table = sums.reset_index()
    speed = table["tokens"] / table["seconds"].where(table["tokens"] > 0)
    return table.assign(
        minutes=(table["seconds"] / 60).round(2), tokens_per_second=speed.round(1)
    ).drop(columns=["tokens", "seconds"])
