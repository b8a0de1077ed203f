"""Replies of base models and of models tuned from them: our own, and those of Matching Pairs.

A table of replies has one row per (dataset, model, prompt): dataset ("released", or the victim),
prompts (the set that the prompt is of), prompt_id, prompt, model, base (whose weights the model
started from: the truth), tuned (False = it is that base), member (did it train on D; None for a
base or where there is no D) and reply, the text after the prompt.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import asking, participants
from dsi_core.method.study import Study
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.extensions import Attribution
from dsi_core.settings.profile import Profile, needed
from dsi_core.settings.reported import reported
from dsi_core.settings.schema import Suspect
from dsi_core.settings.words import VICTIM, dataset_of

COLUMNS = ["dataset", "prompts", "prompt_id", "prompt", "model", "base", "tuned", "member", "reply"]
RELEASED = "matching_pairs"  # its truth and its published results, in params/reported.yaml


def settings(profile: Profile) -> Attribution:
    """Give the profile's section `attribution`. Raises `ValueError` where there is none."""
    what = "it says which prompts are asked and how the transformer is tuned"
    return needed(profile.attribution, "attribution", profile, what)


# Our own models


def own(*studies: Study) -> pd.DataFrame:
    """Let the tuned local suspects of these studies (suites of one profile) and their bases reply.

    Every model answers each prompt once, as a suspect is prompted; what the store has is not asked
    again. Untuned suspects are no candidates, for they are the bases, and wild models are none
    either: nobody says what they come from.

    Raises
    ------
    ValueError
        Where the suspects come from fewer than two bases.
    """
    table = pd.concat([_own(run) for run in studies], ignore_index=True)
    identity = ["dataset", "model", "prompt_id"]
    return table.drop_duplicates(identity, ignore_index=True)  # suites share their bases


def _own(run: Study) -> pd.DataFrame:
    profile = run.profile
    tuned = [suspect for suspect in profile.suspects if suspect.data]
    bases = sorted({suspect.base for suspect in tuned})
    if len(bases) < 2:
        raise ValueError(
            "attribution needs tuned local suspects of two bases or more; "
            f"profile {profile.name!r} has them of: {', '.join(bases) or 'none'}"
        )
    # The name of such a suspect or control: one answer for all
    untuned = [Suspect(name=f"{base}-untuned", member=False, base=base) for base in bases]
    models = participants.suspects(profile.changed(suspects=[*tuned, *untuned], wild={}))
    questions = pd.concat([_questions(profile, v) for v in profile.victims], ignore_index=True)
    answers = asking.answers(models, questions, run.sampling.changed(draws=1))
    origins = [
        {
            "dataset": model.dataset,
            "model_id": model.model_id,
            "base": model.trained.base,
            "tuned": bool(model.trained.data),
            "member": model.member if model.trained.data else None,
        }
        for model in models
    ]
    table = answers.merge(questions, on=["dataset", "sample_id"], validate="m:1")
    table = table.merge(pd.DataFrame(origins), on=["dataset", "model_id"], validate="m:1")
    names = {"sample_id": "prompt_id", "model_id": "model", "response": "reply"}
    return table.rename(columns=names)[COLUMNS]


def _questions(profile: Profile, victim: str) -> pd.DataFrame:
    """Prompts for one victim's models: dataset, prompts ("D" = the victim), sample_id, prompt."""
    attribution = settings(profile)
    parts = []
    for name in attribution.prompts:
        pairs = load_pairs(dataset(profile, dataset_of(profile.data, victim, name)))
        count = min(attribution.questions or len(pairs), len(pairs))
        chosen = pairs.sample(count, random_state=profile.seed).sort_index()
        prompts = "D" if name == VICTIM else name
        parts.append(chosen[["sample_id", "prompt"]].assign(dataset=victim, prompts=prompts))
    return pd.concat(parts).drop_duplicates("sample_id", ignore_index=True)


# The released ones


def released(path: str) -> pd.DataFrame:
    """Read the responses released with Matching Pairs: one reply of each model to each prompt.

    The truth, ten bases and ten tuned models, is that of `params/reported.yaml`, as published;
    three tuned models are doubtful candidates: 5 is said to be trained from scratch, 7 and 8 are no
    generators.

    Parameters
    ----------
    path
        JSON: set of prompts -> prompt -> model -> text, which repeats the prompt (it is cut off
        here). A relative one starts at the repository. Without a path the table is empty and its
        attrs["absent"] says so in a sentence.

    Raises
    ------
    ValueError
        Where nothing is; naming file, set, prompt and model for any other content.
    """
    if not path:
        empty = pd.DataFrame(columns=COLUMNS)
        why = "No released responses: the parameter released is empty"
        empty.attrs["absent"] = f"{why}, so this test bed is left out."
        return empty
    place = ROOT / path
    if not place.exists():
        raise ValueError(f"the parameter released: {place} does not exist; leave it empty for none")
    truth = reported(RELEASED)[["model", "base"]].itertuples(index=False, name=None)
    origins = dict(truth)
    bases = {base: base for base in origins.values()}
    rows = []
    for group, prompts in _object(_read(place), f"{place}").items():
        for prompt, texts in _object(prompts, f"{place}, {group!r}").items():
            where = f"{place}, {group!r}, prompt {prompt[:40]!r}"
            replies = _replies(_object(texts, where), prompt, [*bases, *origins], where)
            named = "released", group, store.key([group, prompt]), prompt
            for model, base in {**bases, **origins}.items():
                rows.append((*named, model, base, model in origins, None, replies[model]))
    if not rows:
        raise ValueError(f"{place}: holds no reply")
    return pd.DataFrame(rows, columns=COLUMNS)


def _replies(texts: dict, prompt: str, models: list[str], where: str) -> dict[str, str]:
    """What follows the prompt in each model's text, which is checked."""
    if wrong := set(texts) ^ set(models):
        raise ValueError(
            f"{where}: models missing or unknown: {', '.join(sorted(wrong))}; "
            f"needs {', '.join(models)}"
        )
    for model, text in texts.items():
        if not isinstance(text, str) or not text.startswith(prompt):
            raise ValueError(
                f"{where}, model {model!r}: {str(text)[:60]!r} "
                "needs text that begins with the prompt"
            )
    return {model: text[len(prompt) :] for model, text in texts.items()}


def _read(place: Path) -> Any:
    try:
        return json.loads(place.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{place}: cannot be read as JSON: {error}") from None


def _object(value: Any, where: str) -> dict:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: is {type(value).__name__}, needs an object")
    return value


def overview(replies: pd.DataFrame) -> pd.DataFrame:
    """Show who replied.

    Empty replies say little in words and much about who is silent; they stay in.

    Returns
    -------
    pandas.DataFrame
        dataset, base, prompts (how many), median_length (characters of the base's replies), blank
        (how many of these), tuned_models (names of those tuned from it).
    """
    if replies.empty:
        return pd.DataFrame({"": [replies.attrs["absent"]]})
    of_bases = replies[~replies["tuned"]]
    of_bases = of_bases.assign(
        length=of_bases["reply"].str.len(), is_blank=of_bases["reply"].str.strip() == ""
    )
    table = of_bases.groupby(["dataset", "base"], sort=False).agg(
        prompts=("prompt_id", "nunique"),
        median_length=("length", "median"),
        blank=("is_blank", "sum"),
    )
    tuned = replies[replies["tuned"]].groupby(["dataset", "base"])["model"]
    names = tuned.unique().map(", ".join).rename("tuned_models")
    return table.join(names).fillna({"tuned_models": ""}).reset_index()
