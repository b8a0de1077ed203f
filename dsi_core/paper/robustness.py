"""Evasions (§6.4): what a member that wants to stay hidden can do to its answers or its training data, and whether it is caught.

Each function returns the verdicts of `study.verdicts` with columns evasion and setting in front.
"""

import numpy as np
import pandas as pd

from dsi_core.method import similarity, tainted
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import responses
from dsi_core.runtime import jobs as work
from dsi_core.runtime import store
from dsi_core.settings.schema import Robustness, Suspect, Trained


def settings(study: Study) -> Robustness:
    """The profile's section `robustness`. Raises `ValueError` where there is none."""
    if study.profile.robustness is None:
        raise ValueError(
            f"profile {study.profile.name!r} has no section robustness: it says which evasions are tried, and how"
        )
    return study.profile.robustness


def only_members(study: Study) -> Study:
    """The same study with its member suspects alone, local and wild: only they have something to evade."""
    wild = {v: w.model_copy(update={"non_members": []}) for v, w in study.profile.wild.items()}
    local = [s for s in study.profile.suspects if s.member]
    return Study(study.profile.model_copy(update={"suspects": local, "wild": wild}), study.pairs)


def rephrased(study: Study, told: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11a's answers: `told` once per rephraser with the column response rewritten by it, the suspect's own words in column
    original, the rephraser's name and temperature in column setting, and moved = 1 - raw BERTScore F1 of the two (0 = the same text).

    told: dataset, suspect, sample_id, draw, response. A blank answer stays blank: there is nothing to rewrite.
    """
    how = settings(study).rephraser
    table = pd.concat(
        [
            _rewritten(study, told, t).assign(setting=f"{how.base} at {t:g}")
            for t in how.temperatures
        ],
        ignore_index=True,
    )
    moved = 1 - similarity.raw_scores(
        study.profile, table.rename(columns={"original": "a", "response": "b"})[["a", "b"]]
    )
    return table.assign(
        moved=np.where(table["original"] == table["response"], 0.0, moved)
    )  # two blank texts score 0, and are the same


def _rewritten(study: Study, told: pd.DataFrame, temperature: float) -> pd.DataFrame:
    how = settings(study).rephraser
    profile = study.profile.model_copy(
        update={"responses": study.profile.responses.model_copy(update={"draws": 1})}
    )
    trained = Trained(base=how.base)
    texts = told.loc[told["response"].str.strip() != "", ["suspect", "response"]].drop_duplicates()
    if texts.empty:
        return told.assign(original=told["response"])
    texts = texts.assign(prompt=[how.prompt.replace("{text}", t) for t in texts["response"]])
    texts = texts.assign(sample_id=[store.key(p) for p in texts["prompt"]])
    jobs, tables = [], []
    for suspect, part in texts.groupby("suspect", sort=False):
        name = f"rephraser of {suspect}"
        folder = responses.entry(profile, "", name, trained, temperature, make=False)
        if len(responses.missing(folder, part, 1)):
            jobs.append(
                work.Job(
                    name,
                    responses.ask,
                    (profile, "", name, trained, part),
                    len(part),
                    {"draws": 1, "temperature": temperature},
                )
            )
        tables.append((part, folder))
    work.run(jobs)
    new = pd.concat(
        [
            part.merge(
                responses.read(folder)[["sample_id", "response"]].rename(
                    columns={"response": "rewritten"}
                ),
                on="sample_id",
                validate="1:1",
            )
            for part, folder in tables
        ]
    )
    table = told.rename(columns={"response": "original"}).merge(
        new[["suspect", "response", "rewritten"]].rename(columns={"response": "original"}),
        how="left",
        on=["suspect", "original"],
        validate="m:1",
    )
    assert len(table) == len(told), f"{len(table)} rewritten answers to {len(told)}"
    return table.assign(response=table["rewritten"].fillna(table["original"])).drop(
        columns="rewritten"
    )


def examples(moved: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """`count` answers beside their rewritings, from the least to the most moved: moved, original, rewritten."""
    texts = (
        moved[moved["original"].str.strip() != ""]
        .drop_duplicates(["original", "response"])
        .sort_values("moved", kind="stable")
    )
    chosen = (
        texts.iloc[np.unique(np.linspace(0, len(texts) - 1, count).round().astype(int))]
        if len(texts)
        else texts
    )
    return chosen[["moved", "original", "response"]].rename(columns={"response": "rewritten"}).round(3)


def rephrasing(
    study: Study, scores: pd.DataFrame, told: pd.DataFrame, answers: pd.DataFrame
) -> pd.DataFrame:
    """Fig. 11a: the verdicts on the suspects' own words (`told`, setting "none") and on those of each rephraser (`answers`, as `rephrased`)."""
    versions = {
        "none": told,
        **{name: part[told.columns] for name, part in answers.groupby("setting", sort=False)},
    }
    return pd.concat(
        [
            _judged(study, scores, steps.gaps_to(study, scores, words), "rephrasing", name)
            for name, words in versions.items()
        ],
        ignore_index=True,
    )


def temperatures(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11b: the members answer at other temperatures; the references stay at 1.0."""
    tables = []
    for t in settings(study).temperatures:
        profile = study.profile.model_copy(
            update={"responses": study.profile.responses.model_copy(update={"temperature": t})}
        )
        other = Study(profile, study.pairs)
        tables.append(
            _judged(other, scores, steps.suspect_gaps(other, scores), "temperature", f"{t:.1f}")
        )
    return pd.concat(tables, ignore_index=True)


def adversary_scores(study: Study) -> pd.DataFrame:
    """`study.reference_scores` of the adversary's own references, on all of D (§6.4.3)."""
    profile = study.profile.model_copy(update={"references": settings(study).adversary.references})
    return steps.reference_scores(Study(profile, study.pairs))


def removed(study: Study, theirs: pd.DataFrame) -> pd.DataFrame:
    """What the adversary removes from D: of the samples that its references find tainted (Eq. 1), the share `at_most` of D with the
    largest weakest gap. Columns dataset, sample_id, min_gap, tainted (by the adversary's references), removed.
    """
    found = tainted.tainted(theirs, study.profile.decision.delta_t)
    rank = (
        found.where(found["tainted"])["min_gap"]
        .groupby(found["dataset"])
        .rank(ascending=False, method="first")
    )
    allowed = (
        found.groupby("dataset")["sample_id"].transform("size") * settings(study).adversary.at_most
    )
    return found.assign(removed=rank <= allowed)


def removal(study: Study, scores: pd.DataFrame, gone: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11c: members tuned on what is left of D. gone: as `removed` returns. Setting "none removed" = trained on all of D."""
    left = {
        "none removed": (),
        f"{gone['removed'].mean():.0%} removed": tuple(gone.loc[gone["removed"], "sample_id"]),
    }
    return _retrained(study, scores, "removing tainted", left)


def subsets(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11d: members tuned on a random share of D; a smaller share is a part of every larger one."""
    left = {
        f"{share:.0%}": tuple(
            i
            for _, d in study.pairs.groupby("dataset", sort=False)
            for i in _left_out(d["sample_id"], share, study.profile.seed)
        )
        for share in settings(study).shares
    }
    return _retrained(study, scores, "subset", left)


def overlap(
    study: Study, scores: pd.DataFrame, answers: pd.DataFrame, gone: pd.DataFrame
) -> pd.DataFrame:
    """Fig. 12: what the adversary removed, among the arbiter's tainted samples of each member (trained on all of D).

    Returns dataset, suspect, status (positive | negative: how the arbiter counts the sample), removed, samples.
    """
    evidence = steps.evidence(study, scores, answers).merge(
        gone[["dataset", "sample_id", "removed"]], on=["dataset", "sample_id"], validate="m:1"
    )
    counted = evidence[evidence["status"] != "filtered"]
    return (
        counted.groupby(["dataset", "suspect", "status", "removed"], sort=False)
        .size()
        .rename("samples")
        .reset_index()
    )


def _left_out(ids: pd.Series, share: float, seed: int) -> list[str]:
    """The samples that a random `share` of D leaves out; at least one sample stays."""
    order = np.random.default_rng(seed).permutation(len(ids))
    return ids.iloc[order[max(1, round(share * len(ids))) :]].tolist()


def _retrained(
    study: Study, scores: pd.DataFrame, evasion: str, left_out: dict[str, tuple]
) -> pd.DataFrame:
    """The verdicts on the local members, each tuned once more for every entry of `left_out`: setting -> sample_ids it does not see."""
    local = [s for s in study.profile.suspects if s.member]
    chosen = settings(study).suspects or [s.name for s in local]
    if wrong := set(chosen) - {s.name for s in local}:
        raise ValueError(
            f"robustness.suspects: no local member {', '.join(sorted(wrong))}; known: {', '.join(s.name for s in local)}"
        )
    local = [s for s in local if s.name in chosen]
    again = [
        (s.name if not ids else f"{s.name}, {setting}", s, setting, ids)
        for setting, ids in left_out.items()
        for s in local
    ]
    suspects = {
        name: Suspect(**{**s.model_dump(), "name": name, "leave_out": ids})
        for name, s, _, ids in again
    }
    other = Study(
        study.profile.model_copy(update={"suspects": list(suspects.values()), "wild": {}}),
        study.pairs,
    )
    table = _judged(other, scores, steps.suspect_gaps(other, scores), evasion, "")
    return pd.concat(
        [
            table[table["suspect"] == name].assign(setting=setting, suspect=s.name)
            for name, s, setting, _ in again
        ],
        ignore_index=True,
    )


def _judged(
    study: Study, scores: pd.DataFrame, answers: pd.DataFrame, evasion: str, setting: str
) -> pd.DataFrame:
    table = steps.verdicts(study, scores, answers)
    table.insert(0, "evasion", evasion)
    table.insert(1, "setting", setting)
    return table
