"""The plan: every job of a profile's study with its hours, memory and disk on a named card, before anything is run.

A rate comes from the store where the same base was measured on such a device, and else from `params/plan.yaml`, which
says why. Nothing is loaded from the hub: the sizes of its datasets and models are stated there, too.
"""

import pandas as pd

from dsi_core.method import study
from dsi_core.planning import assumptions, neighbours
from dsi_core.planning import jobs as plan_jobs
from dsi_core.settings.profile import Profile

PHASES = [
    "offline",
    "online",
    "set-up",
    "beside",
]  # set-up = somebody else's work: suspects' tuning, and downloads; beside: notebooks 07-09
COLUMNS = [
    "id",
    "step",
    "phase",
    "dataset",
    "model_id",
    "base",
    "billions",
    "pairs",
    "tokens",
    "gpu_memory_gb",
    "fits",
    "hours",
    "basis",
    "disk_gb",
    "card",
]


def jobs(profile: Profile, card: str = "A100-80GB") -> pd.DataFrame:
    """One row per job: step (download | tune | answer | read | similarity), phase, dataset, model_id, base, billions (parameters), pairs,
    tokens, gpu_memory_gb (on a CPU: main memory), fits (into the card), hours, basis (of the rate: measured | assumed), disk_gb,
    card, and id (jobs with the same id are one piece of work).

    pairs: trained on, asked, read or compared. tokens (estimated): trained on in all epochs, newly generated, read or embedded. hours: of one
    worker. phase: offline = references; online = suspects' answers and their similarity; set-up = suspects' tuning and downloads.
    Raises `ValueError` for an unknown card and for a dataset or model of unknown size.
    """
    on, speeds, rows = *_machine(card), []
    for victim, people in study.members(study.Study(profile, pd.DataFrame())).groupby(
        "dataset", sort=False
    ):
        rows += [plan_jobs.download(profile, m) for m in people.itertuples()]
        rows += [
            plan_jobs.tune(profile, victim, m, on, speeds)
            for m in people.itertuples()
            if m.trained.data
        ]
        answers = [plan_jobs.answer(profile, victim, m, on, speeds) for m in people.itertuples()]
        rows += answers + plan_jobs.similarity(profile, victim, answers, on)
    return _table(rows, card)


def _machine(card: str) -> tuple[dict, dict]:
    return assumptions.card(card), plan_jobs.speeds_of(card)


def _table(rows: list[dict], card: str) -> pd.DataFrame:
    nothing = {"pairs": 0, "tokens": 0, "gpu_memory_gb": 0.0, "basis": "assumed", "disk_gb": 0.0}
    table = pd.DataFrame(
        [{**nothing, **r} for r in rows if r], columns=None if any(rows) else COLUMNS
    )
    table["tokens"] = table["tokens"].round().astype(int)
    return unique(
        table.assign(card=card, fits=table["gpu_memory_gb"] <= assumptions.card(card)["memory_gb"])[
            COLUMNS
        ]
    )


def everything(name: str, card: str = "A100-80GB") -> pd.DataFrame:
    """`jobs` of the whole study of the profile `name`, each piece of work once, with a column notebook: which one needs it first.

    Members that are tuned again on a share of D (§6.4.4), and once more on what an adversary leaves (at most all but its `at_most`),
    are the local members' own tunings at that share. DPDLLM's small reference models are left out: minutes on a GPU. Phase "beside" = what
    only notebooks 07 to 09 need, whichever phase it is there; the control models of an audit (notebook 10) are left out.
    """
    main = study.plan_only(name).profile
    iid = {s: study.plan_only(name, s).profile for s in main.suites}
    parts = [("02", jobs(main, card)), *((f"03 {s}", jobs(p, card)) for s, p in iid.items())]
    if main.more_references:
        base = next(iter(iid.values()), main)
        parts.append(
            (
                "04",
                jobs(
                    base.model_copy(
                        update={
                            "references": [*base.references, *main.more_references],
                            "suspects": [],
                            "wild": {},
                        }
                    ),
                    card,
                ),
            )
        )
    if main.robustness:
        theirs = main.model_copy(
            update={"references": main.robustness.adversary.references, "suspects": [], "wild": {}}
        )
        members = [
            s
            for s in main.suspects
            if s.member and s.name in (main.robustness.suspects or [s.name])
        ]
        again = jobs(main.model_copy(update={"suspects": members, "wild": {}}), card).query(
            "phase != 'offline' and step != 'download'"
        )
        shares = [s for s in main.robustness.shares if s < 1] + [
            (1 - main.robustness.adversary.at_most) or 1
        ]
        parts += [("05", jobs(theirs, card)), *(("05", _again(again, share)) for share in shares)]
    parts += [
        (book, table.assign(phase="beside"))
        for book, table in _beside(main, [main, *iid.values()], card)
    ]
    return unique(pd.concat([table.assign(notebook=book) for book, table in parts if len(table)]))


def _beside(main: Profile, suites: list[Profile], card: str) -> list[tuple[str, pd.DataFrame]]:
    """(notebook, jobs) of the neighbours."""
    how, parts = _machine(card), []
    for book, section, rows in (
        ("07", main.grey_box, neighbours.grey_box),
        ("08", main.attribution, neighbours.attribution),
    ):
        if section:
            parts.append((book, _table([r for p in suites for r in rows(p, *how)], card)))
    if main.imitation:
        parts.append(
            (
                "09",
                pd.concat(
                    [
                        _table(neighbours.imitation_data(main, *how), card),
                        jobs(neighbours.imitation_profile(main), card),
                    ]
                ),
            )
        )
    return parts


def _again(jobs: pd.DataFrame, share: float) -> pd.DataFrame:
    """The same jobs for members tuned on a share of D: tuning shrinks with it, answers and their comparison do not."""
    tune = jobs["step"] == "tune"
    shrunk = {
        c: jobs[c].where(~tune, (jobs[c] * share).astype(jobs[c].dtype))
        for c in ("pairs", "tokens", "hours")
    }
    return jobs.assign(
        **shrunk, id=jobs["id"] + f" share {share:g}", model_id=jobs["model_id"] + f", {share:.0%}"
    )


def unique(jobs: pd.DataFrame) -> pd.DataFrame:
    """Every id once, in the first phase that needs it: a suspect tuned exactly as a reference costs nothing more."""
    jobs = jobs.reset_index(drop=True)
    by_phase = jobs.loc[jobs["phase"].map(PHASES.index).sort_values(kind="stable").index]
    return by_phase.drop_duplicates("id").sort_index().reset_index(drop=True)


def totals(jobs: pd.DataFrame) -> pd.DataFrame:
    """Sums per dataset and phase, and over everything; `jobs` may join the tables of several profiles.

    Columns dataset ("all" = shared by the datasets), phase, jobs, models, hours (of the jobs one after another), hours_per_worker
    (the card's workers share them), hours_per_model, gpu_memory_gb (the largest), too_large (jobs that do not fit), disk_gb.
    """
    once = unique(jobs)
    once = once.assign(
        worker_hours=once["hours"] / once["card"].map(lambda c: assumptions.card(c)["workers"]),
        model=(once["dataset"] + " " + once["model_id"]).where(once["model_id"] != "-"),
    )
    order = sorted(once["dataset"].unique(), key=lambda d: d == "all")
    parts = [(d, p, once.query("dataset == @d and phase == @p")) for d in order for p in PHASES] + [
        ("sum", "sum", once)
    ]
    table = pd.DataFrame(
        [
            {
                "dataset": d,
                "phase": p,
                "jobs": len(t),
                "models": t["model"].nunique(),
                "hours": t["hours"].sum(),
                "hours_per_worker": t["worker_hours"].sum(),
                "gpu_memory_gb": t["gpu_memory_gb"].max(),
                "too_large": int((~t["fits"]).sum()),
                "disk_gb": t["disk_gb"].sum(),
            }
            for d, p, t in parts
            if len(t)
        ]
    )
    table.insert(6, "hours_per_model", table["hours"] / table["models"].where(table["models"] > 0))
    return table


def beside_paper(jobs: pd.DataFrame) -> pd.DataFrame:
    """Table 9 beside the plan: dataset, offline_hours, online_hours (the mean suspect's), paper_offline_hours, paper_online_hours.

    The paper's are NaN for a dataset that is not its own.
    """
    from dsi_core.paper import tables

    ours = totals(jobs)
    offline = ours.query("phase == 'offline'")[["dataset", "hours"]].rename(
        columns={"hours": "offline_hours"}
    )
    online = ours.query("phase == 'online'")[["dataset", "hours_per_model"]].rename(
        columns={"hours_per_model": "online_hours"}
    )
    theirs = tables.reported("table9")[["dataset", "offline_hours", "online_hours"]]
    theirs = theirs.rename(columns={c: f"paper_{c}" for c in ("offline_hours", "online_hours")})
    return offline.merge(online, on="dataset", how="left").merge(theirs, on="dataset", how="left")
