"""Methods that see more than text, beside black-box dataset inference: membership attacks on token probabilities, and DIA.

Each asks whether the suspect model finds D more familiar than *validation* pairs of the same distribution that nobody could train on. Here
these are a random remainder of D's own source, so that D and validation are a coin flip apart: on a model that saw neither, every method
must come to nothing. Functions take the studies (non-IID, IID, ...) whose suspects are judged; victims without a validation set are not.
"""

import numpy as np
import pandas as pd

from dsi_core.data import near_duplicates, pairs, text_classifier
from dsi_core.grey_box import mia_compare, mia_loss, mia_sampling
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.models import load as models
from dsi_core.models import responses, token_logprobs
from dsi_core.runtime import jobs as work
from dsi_core.runtime import store
from dsi_core.settings.extensions import GreyBox
from dsi_core.settings.schema import Trained

KEYS = ["dataset", "suspect", "group", "member"]


def settings(study: Study) -> GreyBox:
    """The profile's section `grey_box`. Raises `ValueError` where there is none."""
    if study.profile.grey_box is None:
        raise ValueError(
            f"profile {study.profile.name!r} has no section grey_box: it names the validation pairs and what the attacks need"
        )
    return study.profile.grey_box


def samples(study: Study) -> pd.DataFrame:
    """Who is compared: dataset, part ("D", "validation", or "prefix": ReCaLL's known non-members), sample_id, prompt, output, and whether
    the sample is among those read in other versions (compared) and those asked (asked), both chosen at random with the profile's seed.
    """
    how, tables = settings(study), []
    for victim in study.profile.victims:
        if victim not in how.validation:
            continue
        unseen = pairs.untouched(
            study.profile, f"{victim}'s validation set", how.validation[victim]
        ).sample(frac=1, random_state=study.profile.seed)
        if len(unseen) < how.shots + 2:
            raise ValueError(
                f"grey_box.validation of {victim!r} has {len(unseen)} pairs; {how.shots} go to the prefix (shots), and two at least "
                "must be left"
            )
        own = study.pairs[study.pairs["dataset"] == victim]
        own = own.sample(
            min(len(own), how.samples or len(own)), random_state=study.profile.seed
        ).sort_index()
        parts = {
            "D": own,
            "validation": unseen.iloc[how.shots :].sort_index(),
            "prefix": unseen.iloc[: how.shots],
        }
        tables += [
            _chosen(how, t, study.profile.seed).assign(dataset=victim, part=part)
            for part, t in parts.items()
        ]
    if not tables:
        raise ValueError(
            f"grey_box.validation has none of the victims {', '.join(study.profile.victims)}"
        )
    return pd.concat(tables, ignore_index=True)[
        ["dataset", "part", "sample_id", "prompt", "output", "compared", "asked"]
    ]


def _chosen(how: GreyBox, table: pd.DataFrame, seed: int) -> pd.DataFrame:
    rank = np.random.default_rng(seed).permutation(len(table))
    return table.assign(
        compared=rank < (how.compared or len(table)), asked=rank < (how.asked or len(table))
    )


def sets(study: Study) -> pd.DataFrame:
    """The two sets of each victim: dataset, samples (of D), validation, prefix, compared and asked (of each set), near_duplicates
    (validation samples that nearly repeat one of D), and the AUC, with its 95% interval, of a classifier that tells the sets apart by their
    text alone (0.5 = a fair benchmark).
    """
    rows = []
    for victim, table in samples(study).groupby("dataset", sort=False):
        d, unseen = table[table["part"] == "D"], table[table["part"] == "validation"]
        fair = text_classifier.blind_check(d, unseen, study.profile.seed)
        rows.append(
            {
                "dataset": victim,
                "samples": len(d),
                "validation": len(unseen),
                "prefix": (table["part"] == "prefix").sum(),
                "compared": unseen["compared"].sum(),
                "asked": unseen["asked"].sum(),
                "near_duplicates": near_duplicates.of(unseen, d, 0.8).sum(),
                "blind_auc": fair.auc,
                "low": fair.low,
                "high": fair.high,
            }
        )
    return pd.DataFrame(rows)


# What the suspects say to and think of the samples, through the store


def texts(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """What is read of one victim's samples: sample_id, prompt, variant ("original", "lowercase", "neighbour 1" ..., "recall"), answer."""
    how, rows = settings(study), []
    for t in table[table["part"] != "prefix"].itertuples():
        versions = {"original": t.output}
        if t.compared:
            nearby = {
                f"neighbour {i}": mia_compare.neighbour(
                    t.output, how.changed_share, study.profile.seed, t.sample_id, i
                )
                for i in range(1, how.neighbours + 1)
            }
            versions |= {"lowercase": t.output.lower(), **nearby, "recall": t.output}
        rows += [(t.sample_id, t.prompt, variant, answer) for variant, answer in versions.items()]
    return pd.DataFrame(rows, columns=["sample_id", "prompt", "variant", "answer"])


def token_values(studies: list[Study]) -> pd.DataFrame:
    """`losses.read` of every suspect and every reference (model called "reference <base>"): dataset, model, part, prompt, output, and its
    columns.

    Tunes and reads whatever the store lacks, in parallel.
    """
    jobs, places = {}, []
    for study in studies:
        for victim, mine in samples(study).groupby("dataset", sort=False):
            read, prefix = (
                texts(study, mine),
                mine.loc[mine["part"] == "prefix", ["prompt", "output"]].to_numpy().tolist(),
            )
            plain, other = (
                read[read["variant"].eq("original") == is_plain].reset_index(drop=True)
                for is_plain in (True, False)
            )
            suspects = steps.members(study).query("role == 'suspect' and dataset == @victim")
            suspects = list(zip(suspects["model_id"], suspects["trained"]))
            if remote := [
                name for name, model in suspects if models.base(study.profile, model.base).endpoint
            ]:
                raise ValueError(
                    f"{', '.join(remote)}: behind an endpoint; the probabilities of given texts cannot be seen there"
                )
            references = [(f"reference {b}", Trained(base=b)) for b in settings(study).references]
            for what, table, before, readers in (
                ("texts", plain, [], [*suspects, *references]),
                ("versions", other, prefix, suspects),
            ):
                for name, model in readers:
                    folder = token_logprobs.entry(study.profile, victim, model, table, before)
                    places.append((victim, name, mine, folder))
                    if store.manifest(folder) is None:
                        how = (study.profile, victim, model, table, before, folder)
                        jobs[folder] = work.Job(
                            f"{name} ({victim}, {what})", token_logprobs.score, how, len(table)
                        )
    work.run(list(jobs.values()))
    columns = ["sample_id", "part", "prompt", "output"]
    tables = [
        token_logprobs.read(folder)
        .merge(mine[columns], on="sample_id", validate="m:1")
        .assign(dataset=victim, model=name)
        for victim, name, mine, folder in places
    ]
    return pd.concat(tables, ignore_index=True).drop_duplicates(
        ["dataset", "model", "sample_id", "variant"], ignore_index=True
    )


def answers(studies: list[Study]) -> pd.DataFrame:
    """What the suspects say to the `asked` samples of D and validation: dataset, suspect, part, sample_id, output, draw (-1 = greedy),
    response. Asks what the store lacks, in parallel.
    """
    jobs, told = [], []
    for study in studies:
        table, sampled = (
            samples(study).query("asked and part != 'prefix'"),
            study.profile.responses.temperature,
        )
        for m in steps.members(study).query("role == 'suspect'").itertuples():
            questions = table[table["dataset"] == m.dataset]
            for temperature, draws in (
                (sampled, settings(study).draws if sampled else 1),
                (0.0, 1),
            ):
                who = (study.profile, m.dataset, m.model_id, m.trained)
                folder = responses.entry(*who, temperature, make=False)
                told.append((m, questions, folder, draws, temperature))
                if len(responses.missing(folder, questions, draws)):
                    jobs.append(
                        work.Job(
                            f"{m.model_id} ({m.dataset}) at {temperature:g}",
                            responses.ask,
                            (*who, questions),
                            len(questions) * draws,
                            {"draws": draws, "temperature": temperature},
                        )
                    )
    work.run(jobs)
    tables = []
    for m, questions, folder, draws, temperature in told:
        found = questions.merge(
            responses.read(folder).query("draw < @draws"), on="sample_id", validate="1:m"
        )
        assert len(found) == len(questions) * draws, (
            f"{m.model_id}: {len(found)} answers to {len(questions)} x {draws} questions"
        )
        tables.append(found.assign(suspect=m.model_id, draw=found["draw"] if temperature else -1))
    return pd.concat(tables, ignore_index=True)[
        ["dataset", "suspect", "part", "sample_id", "output", "draw", "response"]
    ]


# The attacks


def attacks(studies: list[Study], values: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """The score of every sample by every attack: dataset, suspect, group, member, view, attack, part, sample_id, score (higher = likelier a
    member).

    values: as `token_values`; told: as `answers`. Lowercase and neighbours change the answer alone and have the view "answer" only; SaMIA
    and CDD have the view "sampled".
    """
    how, people = (
        settings(studies[0]),
        pd.concat([steps.suspects(s) for s in studies], ignore_index=True),
    )
    known = {(d, m): part for (d, m), part in values.groupby(["dataset", "model"], sort=False)}
    tables = []
    for (victim, model), mine in known.items():
        if not model.startswith("reference "):
            theirs = {
                m: part
                for (d, m), part in known.items()
                if d == victim and m.startswith("reference ")
            }
            tables += [
                _seen(mine, theirs, view, how).assign(dataset=victim, suspect=model, view=view)
                for view in token_logprobs.VIEWS
            ]
    for (victim, suspect), part in told.groupby(["dataset", "suspect"], sort=False):
        tables.append(_sampled(part, how).assign(dataset=victim, suspect=suspect, view="sampled"))
    table = people.merge(pd.concat(tables, ignore_index=True), on=["dataset", "suspect"])
    return table[[*KEYS, "view", "attack", "part", "sample_id", "score"]]


def _seen(
    mine: pd.DataFrame, references: dict[str, pd.DataFrame], view: str, how: GreyBox
) -> pd.DataFrame:
    """Scores of the attacks that see token probabilities: attack, part, sample_id, score."""
    original = mine[mine["variant"] == "original"].reset_index(drop=True)
    x, mask = token_logprobs.padded(original, view)
    own = mia_loss.loss(x["logprobs"], mask)
    found = {
        "loss": own,
        "zlib": mia_loss.zlib(x["logprobs"], mask, whole(original, view)),
        "min_k": mia_loss.min_k(x["logprobs"], mask, how.k),
        "min_k_plus_plus": mia_loss.min_k_plus_plus(**x, mask=mask, k=how.k),
    }
    for name, table in references.items():
        found[name] = mia_compare.reference(
            own, _mean(original, table[table["variant"] == "original"], view)
        )
    tables = [
        original[["part", "sample_id"]].assign(attack=attack, score=score)
        for attack, score in found.items()
    ]
    some = mine[mine["variant"] == "recall"].reset_index(drop=True)
    if len(some):
        ours = pd.Series(own, index=original["sample_id"]).loc[some["sample_id"]].to_numpy()
        scores = {"recall": mia_compare.recall(ours, _mean(some, some, view))}
        if view == "answer":
            nearby = [v for v in mine["variant"].unique() if v.startswith("neighbour ")]
            changed = {
                v: _mean(some, mine[mine["variant"] == v], view) for v in ["lowercase", *nearby]
            }
            scores["lowercase"] = mia_compare.lowercase(ours, changed["lowercase"])
            scores["neighbours"] = mia_compare.neighbours(
                ours, np.stack([changed[v] for v in nearby], axis=1)
            )
        tables += [
            some[["part", "sample_id"]].assign(attack=attack, score=score)
            for attack, score in scores.items()
        ]
    return pd.concat(tables, ignore_index=True)


def _mean(samples: pd.DataFrame, table: pd.DataFrame, view: str) -> np.ndarray:
    """Mean log-probabilities of `table`, in the order of `samples`."""
    x, mask = token_logprobs.padded(
        samples[["sample_id"]].merge(table, on="sample_id", validate="1:1"), view
    )
    assert len(mask) == len(samples), f"{len(mask)} readings of {len(samples)} samples"
    return mia_loss.loss(x["logprobs"], mask)


def whole(table: pd.DataFrame, view: str) -> list[str]:
    """The plain text of a view, whose bytes zlib counts."""
    return (
        table["output"] if view == "answer" else table["prompt"] + "\n\n" + table["output"]
    ).tolist()


def _sampled(told: pd.DataFrame, how: GreyBox) -> pd.DataFrame:
    rows = []
    for (part, sample, truth), some in told.groupby(["part", "sample_id", "output"], sort=False):
        greedy = some.loc[some["draw"] < 0, "response"].iloc[0]
        drawn = some.loc[some["draw"] >= 0, "response"].tolist()
        rows += [
            (part, sample, "samia", mia_sampling.samia(drawn, truth)),
            (part, sample, "cdd", mia_sampling.cdd(drawn, greedy, how.peak)),
        ]
    return pd.DataFrame(rows, columns=["part", "sample_id", "attack", "score"])
