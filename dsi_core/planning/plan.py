"""The plan: every job of a study with hours, memory and disk on a card, before anything is run.

A rate comes from the store or a release where the same base was measured on such a device, and
else from `params/plan.yaml`, which says why. Nothing is loaded from the hub: the sizes of its
datasets and models are stated there, too.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from dsi_core.data.pairs import dataset
from dsi_core.method import study
from dsi_core.method.participants import participants
from dsi_core.method.rates import Step
from dsi_core.method.similarity import backbone
from dsi_core.models.sampling import Sampling
from dsi_core.paper import tables
from dsi_core.planning import assumptions, neighbours
from dsi_core.planning.jobs import (
    JobEstimate,
    Phase,
    answer,
    download,
    servers,
    similarity,
    start,
    tune,
)
from dsi_core.planning.machine import Machine, machine_of
from dsi_core.planning.sizes import prompts_of
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Reference, Suspect
from dsi_core.settings.suspects import evading
from dsi_core.settings.words import rewordings_of

PHASES = list(Phase)
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


def jobs(profile: Profile, card: str) -> pd.DataFrame:
    """Estimate the jobs of the paper's own study with a profile, each piece of work once.

    Returns
    -------
    pandas.DataFrame
        As `table` gives it.

    Raises
    ------
    ValueError
        For an unknown card, and for a dataset or model of unknown size.
    """
    machine = machine_of(card)
    return _of(profile, table(estimates(profile, machine), machine))


def _of(profile: Profile, jobs: pd.DataFrame) -> pd.DataFrame:
    """The jobs, whose attrs say which of their datasets are the paper's."""
    jobs.attrs["papers_own"] = tables.papers_own(profile)
    return jobs


def estimates(profile: Profile, machine: Machine) -> list[JobEstimate]:
    """Estimate what `jobs` shows."""
    usual = Sampling.of(profile.responses, profile.seed)
    of_references = usual.for_references()
    some = profile.responses.ask == "tainted"
    found: list[JobEstimate] = []
    everyone = participants(profile)
    for name in profile.victims:
        victim = dataset(profile, name)
        models = [m for m in everyone if m.dataset == name]
        every, asked = prompts_of(victim), prompts_of(victim, tainted=some)
        downloads = [download(model) for model in models]
        found += [estimate for estimate in downloads if estimate is not None]
        found += [tune(model, machine) for model in models if model.training.datasets]
        how = [(model, of_references if model.is_reference else usual) for model in models]
        found += servers(how, machine)
        answers = [
            answer(model, every if model.is_reference else asked, sampling, machine)
            for model, sampling in how
        ]
        found += answers
        found += similarity(victim, answers, backbone(profile), machine)
    return once(found)


def table(estimates: Sequence[JobEstimate], machine: Machine) -> pd.DataFrame:
    """Show jobs, one a row.

    Returns
    -------
    pandas.DataFrame
        The fields of `JobEstimate` except draws (gpu_memory_gb is its memory_gb), fits (whether
        that is no more than the card has) and card.
    """
    rows = [
        {
            "id": e.id,
            "step": str(e.step),
            "phase": str(e.phase),
            "dataset": e.dataset,
            "model_id": e.model_id,
            "base": e.base,
            "billions": e.billions,
            "pairs": e.pairs,
            "tokens": round(e.tokens),
            "gpu_memory_gb": e.memory_gb,
            "fits": e.memory_gb <= machine.card.memory_gb,
            "hours": e.hours,
            "basis": str(e.basis),
            "disk_gb": e.disk_gb,
            "card": machine.name,
        }
        for e in estimates
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def everything(name: str, card: str) -> pd.DataFrame:
    """Estimate the whole study of the profile `name`, each piece of work once.

    More references (§6.3.2), evasions and notebooks 07 and 08 count only for the victims
    `in_depth`. Members that are tuned again on a share of D (§6.4.4), on what an adversary leaves
    (at
    most all but its `at_most`; a share that §6.4.4 has, too, counts once) or on D rephrased, are
    the local members' own tunings at that share. Left out: the rephraser's calls and the answers at
    further temperatures (§6.4.1-6.4.2); DPDLLM's small reference models, which take minutes on a
    GPU; the control models of an audit (notebook 10). Phase "beside" = what only notebooks 07 to
    09 need, whichever phase it is there.

    Returns
    -------
    pandas.DataFrame
        As `table` gives it, with a column notebook: the first one that needs the job in its phase.
    """
    machine = machine_of(card)
    main = study.plan_only(name).profile
    suites = {suite: study.plan_only(name, suite).profile for suite in main.suites}
    parts = [("02", estimates(main, machine))]
    parts += [(f"03 {suite}", estimates(p, machine)) for suite, p in suites.items()]
    if main.more_references:
        base = _in_depth(next(iter(suites.values()), main))
        more = _only(base, references=[*base.references, *main.more_references])
        parts.append(("04", estimates(more, machine)))
    some = _in_depth(main)
    parts += [("05", part) for part in _robustness(some, machine)]
    in_depth = [some, *(_in_depth(profile) for profile in suites.values())]
    for book, part in _beside(main, in_depth, machine):
        parts.append((book, [replace(estimate, phase=Phase.BESIDE) for estimate in part]))
    found = [
        table([*start(book, machine), *part], machine).assign(notebook=book)
        for book, part in parts
        if part
    ]
    return _of(main, unique(pd.concat(found)))


def _in_depth(profile: Profile) -> Profile:
    return profile.changed(victims=profile.victims_in_depth())


def _only(
    profile: Profile,
    *,
    references: Sequence[Reference] | None = None,
    suspects: Sequence[Suspect] = (),
) -> Profile:
    """The profile with these references (None = its own) and suspects, and no others."""
    return profile.changed(
        references=profile.references if references is None else references,
        more_references=[],
        reference_sets={},
        suspects=suspects,
        non_members_from=[],
        controls=[],
        wild={},
        robustness=None,
        imitation=None,
    )


def _robustness(main: Profile, machine: Machine) -> list[list[JobEstimate]]:
    """The adversary's references, and members that are tuned again (§6.4.1, §6.4.3-6.4.4)."""
    how = main.robustness
    if how is None:
        return []
    members = evading(main, how.suspects)
    again = [
        estimate
        for estimate in estimates(_only(main, suspects=members), machine)
        if estimate.phase is not Phase.OFFLINE and estimate.step is not Step.DOWNLOAD
    ]
    shares = [share for share in how.shares if share < 1]
    shares.append((1 - how.adversary.at_most) or 1)
    adversary = estimates(_only(main, references=how.adversary.references), machine)
    rephrased = [
        [_renamed(e, name) for e in again if e.dataset == victim]
        for victim in main.victims
        for name in rewordings_of(main.data, victim)
    ]
    rephrased += [
        [_renamed(e, f"D rephrased at {t:g}") for e in again]
        for t in how.rephraser.temperatures_of_data
    ]
    return [adversary, *([_at_share(e, share) for e in again] for share in shares), *rephrased]


def _renamed(estimate: JobEstimate, on: str) -> JobEstimate:
    """The same job for a member tuned on something else of D's size."""
    return replace(estimate, id=f"{estimate.id} {on}", model_id=f"{estimate.model_id}, {on}")


def _at_share(estimate: JobEstimate, share: float) -> JobEstimate:
    """The same job for a member tuned on a share of D.

    Tuning shrinks with it, answers and their comparison do not.
    """
    other = replace(
        estimate,
        id=f"{estimate.id} share {share:g}",
        model_id=f"{estimate.model_id}, {share:.0%}",
    )
    if estimate.step is not Step.TUNE:
        return other
    return replace(
        other,
        pairs=int(estimate.pairs * share),
        tokens=int(round(estimate.tokens) * share),
        hours=estimate.hours * share,
    )


def _beside(
    main: Profile, suites: Sequence[Profile], machine: Machine
) -> list[tuple[str, list[JobEstimate]]]:
    """(notebook, jobs) of the neighbours."""
    parts = []
    if main.grey_box:
        every = [e for profile in suites for e in neighbours.grey_box(profile, machine)]
        parts.append(("07", once(every)))
    if main.attribution:
        every = [e for profile in suites for e in neighbours.attribution(profile, machine)]
        parts.append(("08", once(every)))
    if main.imitation:
        data = once(neighbours.imitation_data(main, machine))
        accusation = estimates(neighbours.imitation_profile(main), machine)
        parts.append(("09", [*data, *accusation]))
    return parts


def once(estimates: Sequence[JobEstimate]) -> list[JobEstimate]:
    """Give every piece of work once, in the first phase that needs it.

    A suspect tuned exactly as a reference costs nothing more.
    """
    places = _first([e.id for e in estimates], [e.phase for e in estimates])
    return [estimates[place] for place in places]


def unique(jobs: pd.DataFrame) -> pd.DataFrame:
    """Give every id once, as `once` does; `jobs` may join several tables."""
    places = _first(jobs["id"].tolist(), [Phase(phase) for phase in jobs["phase"]])
    return jobs.iloc[places].reset_index(drop=True)


def _first(ids: Sequence[str], phases: Sequence[Phase]) -> list[int]:
    """The places, in order, where each id stands in its first phase."""
    places: dict[str, int] = {}
    for place in sorted(range(len(ids)), key=lambda i: PHASES.index(phases[i])):
        places.setdefault(ids[place], place)
    return sorted(places.values())


def totals(jobs: pd.DataFrame) -> pd.DataFrame:
    """Sum up per dataset and phase, and over everything.

    Parameters
    ----------
    jobs
        As `table` gives it; it may join the tables of several profiles.

    Returns
    -------
    pandas.DataFrame
        Columns dataset ("all" = shared by the datasets), phase, jobs, models, hours (of the jobs
        one after another), hours_per_worker (the card's workers share them), hours_per_model,
        gpu_memory_gb (the largest), too_large (jobs that do not fit), disk_gb. The last row sums up
        everything: its dataset and phase are "sum".
    """
    work = unique(jobs)
    victims = [d for d in work["dataset"].unique() if d != "all"]
    rows = []
    for victim in [*victims, "all"]:
        for phase in PHASES:
            part = work[(work["dataset"] == victim) & (work["phase"] == phase)]
            if len(part):
                rows.append({"dataset": victim, "phase": str(phase), **_sums(part)})
    rows.append({"dataset": "sum", "phase": "sum", **_sums(work)})
    return pd.DataFrame(rows)


def sentence(jobs: pd.DataFrame) -> str:
    """Say what all of a plan takes, on its card."""
    whole, card = _sums(unique(jobs)), jobs["card"].iloc[0]
    workers = assumptions.card(card).workers
    large = whole["too_large"]
    return (
        f"{whole['jobs']} jobs for {whole['models']} models on one {card}: "
        f"{whole['hours_per_worker']:.1f} hours with {workers} worker{'s' if workers > 1 else ''}, "
        f"up to {whole['gpu_memory_gb']:.1f} GB of memory, {whole['disk_gb']:.1f} GB of disk"
        + (f"; {large} jobs do not fit this card" if large else "")
    )


def _sums(jobs: pd.DataFrame) -> dict:
    workers = jobs["card"].map(lambda card: assumptions.card(card).workers)
    models = jobs.loc[jobs["model_id"] != "-", ["dataset", "model_id"]].drop_duplicates()
    hours = jobs["hours"].sum()
    return {
        "jobs": len(jobs),
        "models": len(models),
        "hours": hours,
        "hours_per_worker": (jobs["hours"] / workers).sum(),
        "hours_per_model": hours / len(models) if len(models) else float("nan"),
        "gpu_memory_gb": jobs["gpu_memory_gb"].max(),
        "too_large": int((~jobs["fits"]).sum()),
        "disk_gb": jobs["disk_gb"].sum(),
    }


def beside_paper(jobs: pd.DataFrame) -> pd.DataFrame:
    """Show Table 9 beside the plan: of `everything`, what notebooks 02 and 03 need.

    Parameters
    ----------
    jobs
        As `jobs` or `everything` gives it; its attrs say which datasets are the paper's own;
        without attrs none is.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, offline_hours, online_hours (the mean suspect's), paper_offline_hours and
        paper_online_hours, which are NaN for a dataset that is not the paper's own.
    """
    own = jobs.attrs.get("papers_own", [])
    if "notebook" in jobs:
        jobs = jobs[jobs["notebook"].str.match("0[23]")]
    ours = totals(jobs)
    offline = ours.loc[ours["phase"] == Phase.OFFLINE, ["dataset", "hours"]]
    online = ours.loc[ours["phase"] == Phase.ONLINE, ["dataset", "hours_per_model"]]
    offline = offline.rename(columns={"hours": "offline_hours"})
    online = online.rename(columns={"hours_per_model": "online_hours"})
    reported = tables.reported("table9")[["dataset", "offline_hours", "online_hours"]]
    reported = reported[reported["dataset"].isin(own)].rename(
        columns={"offline_hours": "paper_offline_hours", "online_hours": "paper_online_hours"}
    )
    both = offline.merge(online, on="dataset", how="left")
    return both.merge(reported, on="dataset", how="left")
