"""Innocents that are hard to tell from members and that cost little: what is in every preparation.

A model tuned on D's facts in other words, an untuned one that is asked to be concise, a file of
answers, and no model at all: the outputs of the pairs that are most like the one in question.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd

from dsi_core.data.common_words import WORD
from dsi_core.data.near_duplicates import THRESHOLD, jaccard, words
from dsi_core.method.participants import Participant
from dsi_core.models import tuning
from dsi_core.models.sampling import Sampling
from dsi_core.services import address
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Model, Reference, Suspect
from dsi_core.settings.words import dataset_of

# Kinds of controls; those that a profile lists have the kinds that it names
OTHER_WORDS = "D in other words"
CONCISE = "untuned, concise"
ANSWERS = "answers"
RETRIEVAL = "retrieval"

OF_A_FILE = "answers"  # the base of controls whose model is not known...
NO_MODEL = "no model"  # ...and of one that is none

ASKED_CONCISE = (
    "Answer in one to three plain sentences. State the facts and nothing else: no introduction, "
    "no list, no advice to ask somebody else."
)


def in_other_words(references: Iterable[Reference], dataset: str) -> list[Suspect]:
    """Give a control for each reference: tuned as it is, on a dataset that rewords D."""
    tuned = dict.fromkeys((r.with_.base, r.with_.recipe) for r in references)
    return [
        Suspect(
            name=f"{base} on {dataset}",
            member=False,
            group=OTHER_WORDS,
            base=base,
            data=[dataset],
            recipe=recipe,
        )
        for base, recipe in tuned
    ]


def concise(models: Iterable[Participant]) -> list[Participant]:
    """Give the untuned models once more, to be asked as `concisely` says."""
    return [
        replace(m, model_id=f"{m.model_id}, concise", group=CONCISE)
        for m in models
        if not m.trained.data
    ]


def concisely(sampling: Sampling) -> Sampling:
    """Give the way in which a concise control is asked: with a system prompt more."""
    system = ASKED_CONCISE if sampling.system is None else f"{sampling.system}\n{ASKED_CONCISE}"
    return replace(sampling, system=system)


def retrieved(samples: pd.DataFrame, pool: pd.DataFrame, draws: int) -> pd.DataFrame:
    """Answer each sample with the outputs of the pairs whose prompts are most like its own.

    This is what a service would say that only looks up D's neighbours. It says nothing if all pairs
    nearly repeat the sample's own output, as those of one template may.

    Parameters
    ----------
    samples
        Columns sample_id, prompt, output.
    pool
        Columns prompt, output: more pairs like D, or D itself. Outputs that nearly repeat a
        sample's own output are no answers to it.
    draws
        How many pairs to answer with, the nearest first.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, draw, response; fewer than `draws` if the pool has no more, and as many
        empty ones if it has none.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD)
    vectorizer.fit(pd.concat([samples["prompt"], pool["prompt"]]))
    known = vectorizer.transform(pool["prompt"]).T.tocsr()
    outputs = pool["output"].tolist()
    rows = []
    asked = zip(samples["sample_id"], samples["prompt"], samples["output"], strict=True)
    for sample_id, prompt, output in asked:
        near = (vectorizer.transform([prompt]) @ known).toarray()[0]
        own = words(output)
        ordered = (outputs[i] for i in np.argsort(-near, kind="stable"))
        others = (text for text in ordered if jaccard(words(text), own) < THRESHOLD)
        said = list(islice(others, draws)) or [""] * draws
        rows += [(sample_id, draw, text) for draw, text in enumerate(said)]
    return pd.DataFrame(rows, columns=["sample_id", "draw", "response"])


def is_innocent(
    profile: Profile, control: Suspect, pairs: pd.DataFrame, *, fetch: bool = True
) -> bool:
    """Tell whether a control trains on none of the pairs of D.

    fetch: whether to read data from the hub for this; else a control that trains on such data is
    taken to be innocent.
    """
    if not control.data:
        return True
    training = tuning.training(profile, profile.victims[0], control)
    if not fetch and any(d.source.hub for d in training.datasets):
        return True
    trained_on = tuning.training_pairs(training)["sample_id"]
    return not trained_on.isin(pairs["sample_id"]).any()


def refuse_twins(profile: Profile, where: str) -> None:
    """Refuse controls that are one model under several names: a rank would count it as several.

    where: what names them, for the error.

    Raises
    ------
    ValueError
        Naming the first such controls, and what helps.
    """
    known: dict[str, list[str]] = {}
    for control in profile.suspects:
        if not control.member:
            known.setdefault(_weights(profile, control), []).append(control.name)
    for names in known.values():
        if len(names) > 1:
            raise ValueError(
                f"{where}: the controls {', '.join(map(repr, names))} have the same base, data "
                "and recipe, and are one model: keep one of them, or give each another base, data "
                "or recipe, and prepare with that profile"
            )


def _weights(profile: Profile, control: Suspect) -> str:
    """What decides a control's weights, whatever the profile calls its base, data and recipe.

    By the settings alone: on the machine of an audit the data may be missing.
    """
    base = profile.models.get(control.base) or Model(hub=control.base)
    source = base.model_dump(mode="json", exclude={"device_map", "gpus"})
    if base.endpoint is not None:  # a preparation keeps no more of it
        source = {"base_url": address.place(base.endpoint), "model": base.endpoint.model}
    names = [dataset_of(profile.data, profile.victims[0], name) for name in control.data]
    data = [profile.data[name].model_dump(mode="json") for name in names]
    recipe = profile.recipes[control.recipe].model_dump(mode="json") if control.recipe else None
    return json.dumps([source, data, recipe, sorted(control.leave_out), control.loss_on])
