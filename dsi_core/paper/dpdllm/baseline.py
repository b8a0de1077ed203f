"""DPDLLM, the baseline of Tables 6-7 and Fig. 5, 7: how probable does a reference language model find a suspect's answers? (§6.1)

Samples known to be members of the suspect's training data, and samples known not to be, train a classifier: its features are the
probabilities that a small language model (LM), itself tuned on the known members, gives to the tokens of the suspect's answers.
It then calls each sample of D member or non-member, and the majority decides. The baseline is told what no Arbiter knows:
whether the suspect is a member, and otherwise what it trained on. A non-member whose training data we do not know is tuned once
more, on data we do know, and that model is judged in its place (§6.1; the paper does so with every non-member).

Mode "clean": the LM learns answers given prompts, of the known members alone (§6.1). Features: the probabilities of the first
`length` tokens of the answer given the prompt; a shorter answer is filled up with the mean of its own. Known members are never
judged. An answer without a token has no features: it is counted as unscored.

Mode "faithful": what the released code does, as far as it makes sense here. Quirks kept: prompt and answer are one text of `length`
tokens, so that a long prompt leaves none of the answer; padding counts as text; one LM is tuned on all calibration texts,
non-members too, and another on the judged ones, the oracle's outputs included; calibration members are judged as well. Not kept:
the original text in place of an answer that failed (it gives the label away); the first half of a text as prompt (here: the
question); Keras' GPT-2 and its best epoch by training perplexity (here: the profile's LM and recipe, last epoch); no seeds (here:
the profile's).
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data import pairs as data
from dsi_core.method import verdict
from dsi_core.method.study import Study, members, suspects
from dsi_core.models import load as models
from dsi_core.models import responses, tuning
from dsi_core.paper.dpdllm import features
from dsi_core.runtime import jobs as work
from dsi_core.runtime import store
from dsi_core.settings.profile import Profile, dataset_of
from dsi_core.settings.schema import Trained

MODES = ("clean", "faithful")
PARTS = ("calibration", "judged")


@dataclass(frozen=True)
class Roles:
    """Who is who for one suspect. The tables have columns sample_id, prompt; lms: what scores the answers of either part."""

    dataset: str
    suspect: str
    model_id: str  # who answers: the suspect, or its copy tuned to have known members
    trained: Trained
    members_from: str
    non_members_from: str
    members: pd.DataFrame
    non_members: pd.DataFrame
    judged: pd.DataFrame
    lms: dict[str, Trained]

    def samples(self, part: str) -> pd.DataFrame:
        return (
            self.judged
            if part == "judged"
            else pd.concat([self.members, self.non_members], ignore_index=True)
        )


def run(study: Study, mode: str = "clean") -> pd.DataFrame:
    """What each judged sample of D is called, for every suspect; tunes, asks and scores whatever the store lacks, in parallel.

    Returns dataset, suspect, sample_id, called ("member", "non-member" or "unscored"), probability (of member; NaN if
    unscored). Raises `ValueError` for an unknown mode or a profile whose section dpdllm is missing or does not fit a suspect.
    """
    tables = []
    for roles, known, labels, judged in _features(study, mode):
        probability = features.classify(known, labels, judged)
        called = np.select(
            [np.isnan(probability), probability > 0.5], ["unscored", "member"], "non-member"
        )
        tables.append(
            pd.DataFrame(
                {
                    "dataset": roles.dataset,
                    "suspect": roles.suspect,
                    "called": called,
                    "probability": probability,
                },
                index=roles.judged["sample_id"],
            ).reset_index()
        )
    return pd.concat(tables, ignore_index=True)[
        ["dataset", "suspect", "sample_id", "called", "probability"]
    ]


def verdicts(study: Study, calls: pd.DataFrame) -> pd.DataFrame:
    """The vote over `run`'s calls: dataset, suspect, group, member, positive, negative, filtered, verdict, correct.

    positive = samples called member, negative = called non-member, filtered = unscored; the rule is `verdict.verdicts`'.
    """
    status = calls["called"].map(
        {"member": "positive", "non-member": "negative", "unscored": "filtered"}
    )
    table = verdict.verdicts(calls.assign(status=status), suspects(study))
    return table.assign(
        correct=table["verdict"] == np.where(table["member"], "member", "non-member")
    )


def calibration(study: Study, mode: str = "clean") -> pd.DataFrame:
    """What the classifier of each suspect had to learn from, and how well it tells known members from known non-members.

    Columns dataset, suspect, answers_from (the model asked), members_from, non_members_from (datasets), calibration_members,
    calibration_non_members, calibration_unscored (of these), judged, unscored (of these; counts of samples),
    balanced_accuracy (the released "AUC": of hard labels, (TPR + TNR) / 2) and ranking_auc, 0.5 = chance, from
    `quality`. D's own samples cannot give these: for one suspect they are all of one class.
    """
    rows = []
    for roles, known, labels, judged in _features(study, mode):
        accuracy, ranking = features.quality(known, labels, study.profile.seed)
        rows.append(
            {
                "dataset": roles.dataset,
                "suspect": roles.suspect,
                "answers_from": roles.model_id,
                "members_from": roles.members_from,
                "non_members_from": roles.non_members_from,
                "calibration_members": len(roles.members),
                "calibration_non_members": len(roles.non_members),
                "calibration_unscored": int(np.isnan(known[:, 0]).sum()),
                "judged": len(judged),
                "unscored": int(np.isnan(judged[:, 0]).sum()),
                "balanced_accuracy": accuracy,
                "ranking_auc": ranking,
            }
        )
    return pd.DataFrame(rows)


# Who is who


def cast(study: Study, mode: str = "clean") -> list[Roles]:
    """The roles for every suspect; nothing is trained. Raises `ValueError` as `run` does."""
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    if study.profile.dpdllm is None:
        raise ValueError(
            f"profile {study.profile.name!r} has no section dpdllm: it names the reference LM (base, recipe, length), "
            "the calibration samples (calibration, non_members) and data for unknown suspects (members, members_recipe)"
        )
    return [
        _roles(study.profile, s, mode)
        for s in members(study).query("role == 'suspect'").itertuples()
    ]


def _roles(profile: Profile, suspect, mode: str) -> Roles:
    settings, victim, trained, model_id = (
        profile.dpdllm,
        suspect.dataset,
        suspect.trained,
        suspect.model_id,
    )
    if not suspect.member and not trained.data:
        if models.base(profile, trained.base).endpoint:
            raise ValueError(
                f"suspect {model_id!r} is behind an endpoint: DPDLLM has to tune it further to have known members"
            )
        elsewhere = [n for n in settings.members if dataset_of(profile, victim, n) != victim]
        if not elsewhere:
            raise ValueError(
                f"suspect {model_id!r}: dpdllm.members {settings.members} has no dataset but the victim {victim!r}"
            )
        trained = Trained(base=trained.base, data=elsewhere[:1], recipe=settings.members_recipe)
        model_id = f"{model_id} tuned for DPDLLM"
    known = [dataset_of(profile, victim, n) for n in trained.data]
    source = victim if suspect.member else known[0]
    home = data.origin(
        profile.data[victim]
    )  # more of D's own source would be no sample of "a dataset not used"
    others = [
        n
        for n in (dataset_of(profile, victim, n) for n in settings.non_members)
        if n not in known and data.origin(profile.data[n]) != home
    ]
    if not others:
        raise ValueError(
            f"suspect {model_id!r}: dpdllm.non_members {settings.non_members} has no dataset but those it trained on "
            f"({', '.join(known) or victim}) and the victim {victim!r}"
        )
    pairs = {
        n: data.load_pairs(profile, n)[["sample_id", "prompt"]]
        for n in dict.fromkeys([victim, *known, others[0]])
    }
    inside = pairs[source][~pairs[source]["sample_id"].isin(trained.leave_out)]
    seen = pd.concat([p["sample_id"] for n, p in pairs.items() if n != others[0]])
    outside = pairs[others[0]][~pairs[others[0]]["sample_id"].isin(seen)]
    # As many of each, or naive Bayes' prior would lean to one side; in mode clean half of D is left to judge
    most = (
        len(inside)
        if source != victim or mode == "faithful"
        else min(len(inside), len(pairs[victim]) // 2)
    )
    count = min(settings.calibration, most, len(outside))
    if count < 2:
        raise ValueError(
            f"suspect {model_id!r}: {most} known members from {source!r} and {len(outside)} known non-members from "
            f"{others[0]!r}; needs two of each"
        )
    chosen = {
        n: p.sample(count, random_state=profile.seed).sort_index()
        for n, p in ((source, inside), (others[0], outside))
    }
    judged = pairs[victim]
    if mode == "clean":
        judged = judged[~judged["sample_id"].isin(chosen[source]["sample_id"])]
        lms = dict.fromkeys(PARTS, _lm(profile, {source: chosen[source]}, "answer"))
    else:
        lms = {
            "calibration": _lm(profile, chosen, "text"),
            "judged": _lm(profile, {victim: judged}, "text"),
        }
    return Roles(
        victim,
        suspect.model_id,
        model_id,
        trained,
        source,
        others[0],
        chosen[source],
        chosen[others[0]],
        judged,
        lms,
    )


def _lm(profile: Profile, samples: dict[str, pd.DataFrame], loss_on: str) -> Trained:
    """The reference LM tuned on these samples of these datasets. The datasets are in order of name: roles swapped, same LM."""
    chosen = {i for table in samples.values() for i in table["sample_id"]}
    rest = {i for name in samples for i in data.load_pairs(profile, name)["sample_id"]} - chosen
    return Trained(
        base=profile.dpdllm.base,
        data=sorted(samples),
        recipe=profile.dpdllm.recipe,
        leave_out=tuple(sorted(rest)),
        loss_on=loss_on,
    )


# Answers and their probabilities, through the store


def _features(study: Study, mode: str) -> list[tuple[Roles, np.ndarray, np.ndarray, np.ndarray]]:
    """For every suspect: roles, features of the calibration samples, their labels (1 = member) and features of the judged."""
    profile, everyone = study.profile, cast(study, mode)
    first = _tunings_and_questions(profile, everyone)
    bases = {(j.args[2] if j.call is tuning.tune else j.args[3]).base for j in first} - set(
        models.ready(profile)
    )
    local = [
        b for b in sorted(bases) if models.base(profile, b).package or models.base(profile, b).toy
    ]
    work.run([work.Job(f"prepare {b}", models.prepare, (profile, b)) for b in local])
    work.run(sorted(first, key=lambda j: -j.cost))
    entries = [{part: _entry(profile, r, mode, part) for part in PARTS} for r in everyone]
    work.run(
        [
            work.Job(
                f"{r.suspect} ({r.dataset}): {part}",
                score,
                (profile, r.dataset, r.lms[part], mode, texts, folder),
                len(texts),
            )
            for r, own in zip(everyone, entries)
            for part, (texts, folder) in own.items()
            if store.manifest(folder) is None
        ]
    )
    result = []
    for r, own in zip(everyone, entries):
        known, judged = (
            features.filled(_read(*own[part]), profile.dpdllm.length) for part in PARTS
        )
        result.append((r, known, np.repeat([1, 0], [len(r.members), len(r.non_members)]), judged))
    return result


def _tunings_and_questions(profile: Profile, everyone: list[Roles]) -> list[work.Job]:
    """One job for each LM and each suspect's answers that the store lacks."""
    jobs = {}
    for r in everyone:
        for lm in r.lms.values():
            folder = tuning.folder_of(profile, r.dataset, lm, make=False)
            if store.manifest(folder) is None:
                jobs[folder] = work.Job(
                    folder.name,
                    tuning.tune,
                    (profile, r.dataset, lm),
                    _passes(profile, r.dataset, lm),
                )
        questions = pd.concat([r.samples(part) for part in PARTS]).drop_duplicates("sample_id")
        folder = responses.entry(
            profile, r.dataset, r.model_id, r.trained, profile.responses.temperature, make=False
        )
        if len(responses.missing(folder, questions, 1)):
            jobs[folder] = work.Job(
                f"{r.model_id} ({r.dataset})",
                responses.ask,
                (profile, r.dataset, r.model_id, r.trained, questions),
                len(questions) + _passes(profile, r.dataset, r.trained),
                {"draws": 1, "temperature": profile.responses.temperature},
            )
    return list(jobs.values())


def _passes(profile: Profile, victim: str, trained: Trained) -> float:
    """The rough size of a tuning, in answers: three a pair and epoch."""
    return (
        3
        * profile.recipes[trained.recipe].epochs
        * len(tuning.training_pairs(profile, victim, trained))
        if trained.data
        else 0
    )


def _entry(profile: Profile, roles: Roles, mode: str, part: str) -> tuple[pd.DataFrame, Path]:
    """The answers to score (columns sample_id, prompt, response; draw 0) and the store's folder of their probabilities."""
    source = responses.entry(
        profile, roles.dataset, roles.model_id, roles.trained, profile.responses.temperature
    )
    samples = roles.samples(part)
    texts = samples.merge(
        responses.read(source).query("draw == 0")[["sample_id", "response"]],
        on="sample_id",
        validate="1:1",
    )
    assert len(texts) == len(samples), (
        f"{roles.model_id}: {len(texts)} answers to {len(samples)} questions"
    )
    spec = {
        "lm": tuning.spec(profile, roles.dataset, roles.lms[part]),
        "answers": json.loads((source / "spec.json").read_text("utf-8")),
        "texts": store.key(texts.to_numpy().tolist()),
        "mode": mode,
        "length": profile.dpdllm.length,
    }
    return texts, store.entry("dpdllm", f"{roles.suspect} {mode} {part}", spec)


def score(
    profile: Profile, victim: str, lm: Trained, mode: str, texts: pd.DataFrame, folder: Path
) -> Path:
    """Store what probabilities the reference LM gives to the tokens of each text: `scores.parquet` (sample_id, probabilities)."""
    with store.lock(folder):
        if store.manifest(folder) is None:
            tuned, recipe = tuning.tune(profile, victim, lm), tuning.recipe_of(profile, lm)
            started = time.time()  # tuning has its own record
            model, tokenizer = models.load(
                profile, lm.base, tuned=tuned, quantized=recipe.method == "qlora"
            )
            size = mode, profile.dpdllm.length, recipe.max_tokens
            rows = [
                features.tokens(tokenizer, t.prompt, t.response, *size) for t in texts.itertuples()
            ]
            table = texts[["sample_id"]].assign(
                probabilities=features.token_probabilities(model, tokenizer, rows)
            )
            store.write_table(folder / "scores.parquet", table)
            store.finish(
                folder,
                samples=len(table),
                tokens=sum(len(s) for _, s in rows),
                seconds=round(time.time() - started, 1),
            )
    return folder


def _read(texts: pd.DataFrame, folder: Path) -> list[np.ndarray]:
    """The stored probabilities, in the order of `texts`."""
    table = texts[["sample_id"]].merge(
        pd.read_parquet(folder / "scores.parquet"), on="sample_id", validate="1:1"
    )
    assert len(table) == len(texts), f"{folder}: {len(table)} scores of {len(texts)} texts"
    return table["probabilities"].tolist()
