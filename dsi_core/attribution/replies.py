"""Attribution, the replies: of base models and of models tuned from them, our own and those released with Matching Pairs.

A table of replies has one row per (dataset, model, prompt): dataset ("released", or the victim), prompts (the set that the prompt is of),
prompt_id, prompt, model, base (whose weights the model started from: the truth), tuned (False = it is that base), member (did it train on
D; None for a base or where there is no D) and reply, the text after the prompt.
"""

import json
from pathlib import Path

import pandas as pd

from dsi_core.data import pairs as data
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.paper import tables
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.extensions import Attribution
from dsi_core.settings.profile import VICTIM, Profile, dataset_of
from dsi_core.settings.schema import Suspect

COLUMNS = ["dataset", "prompts", "prompt_id", "prompt", "model", "base", "tuned", "member", "reply"]
RELEASED = "matching_pairs"  # its truth and its published results, in params/reported.yaml


def settings(profile: Profile) -> Attribution:
    """The profile's section `attribution`. Raises `ValueError` where there is none."""
    if profile.attribution is None:
        raise ValueError(
            f"profile {profile.name!r} has no section attribution: it says which prompts are asked and how the transformer is tuned"
        )
    return profile.attribution


# Our own models


def own(*studies: Study) -> pd.DataFrame:
    """Replies of the tuned local suspects of these studies (suites of one profile) and of their bases, untuned; asks what the store lacks.

    Every model answers each prompt once, as a suspect is asked. Untuned suspects are no candidates, for they are the bases, and wild
    models are none either: nobody says what they come from. Raises `ValueError` where the suspects come from fewer than two bases.
    """
    table = pd.concat([_own(s) for s in studies], ignore_index=True)
    return table.drop_duplicates(
        ["dataset", "model", "prompt_id"], ignore_index=True
    )  # suites share their bases


def _own(study: Study) -> pd.DataFrame:
    profile = study.profile
    tuned = [s for s in profile.suspects if s.data]
    bases = sorted({s.base for s in tuned})
    if len(bases) < 2:
        raise ValueError(
            f"attribution needs tuned local suspects of two bases or more; profile {profile.name!r} has them of: "
            f"{', '.join(bases) or 'none'}"
        )
    untuned = {
        f"{b}-untuned": b for b in bases
    }  # the name of such a suspect or control: one answer for all
    people = [
        *(s for s in tuned if s.name not in untuned),
        *(Suspect(name=n, member=False, base=b) for n, b in untuned.items()),
    ]
    once = profile.responses.model_copy(update={"draws": 1})
    asked = pd.concat([_questions(profile, v) for v in profile.victims], ignore_index=True)
    told = steps.answers(
        Study(
            profile.model_copy(update={"suspects": people, "wild": {}, "responses": once}),
            study.pairs,
        ),
        "suspect",
        asked,
    )
    table = told.merge(asked, on=["dataset", "sample_id"], validate="m:1").merge(
        pd.DataFrame(
            [
                {
                    "model_id": p.name,
                    "base": p.base,
                    "tuned": p.name not in untuned,
                    "member": None if p.name in untuned else p.member,
                }
                for p in people
            ]
        ),
        on="model_id",
        validate="m:1",
    )
    return table.rename(
        columns={
            "dataset": "dataset",
            "sample_id": "prompt_id",
            "model_id": "model",
            "response": "reply",
        }
    )[COLUMNS]


def _questions(profile: Profile, victim: str) -> pd.DataFrame:
    """The prompts to ask: dataset (the victim), prompts (the set they are of; "D" = the victim itself), sample_id, prompt."""
    parts, how = [], settings(profile)
    for name in how.prompts:
        pairs = data.load_pairs(profile, dataset_of(profile, victim, name))
        chosen = pairs.sample(
            min(how.questions or len(pairs), len(pairs)), random_state=profile.seed
        ).sort_index()
        parts.append(
            chosen[["sample_id", "prompt"]].assign(
                dataset=victim, prompts="D" if name == VICTIM else name
            )
        )
    return pd.concat(parts).drop_duplicates("sample_id", ignore_index=True)


# The released ones


def released(path: str) -> pd.DataFrame:
    """The responses released with Matching Pairs: ten bases and ten tuned models, one reply each to the same prompts.

    path: JSON, set of prompts → prompt → model → text, which repeats the prompt (it is cut off here); a relative one starts at the
    repository. Without a path, or where nothing is, the table is empty and its attrs["absent"] says so in a sentence. Raises `ValueError`
    naming file, set, prompt and model for any other content. The truth is that of `params/reported.yaml`, as published; three tuned
    models are doubtful candidates: 5 is said to be trained from scratch, 7 and 8 are no generators.
    """
    place = ROOT / path
    if not path or not place.exists():
        empty = pd.DataFrame(columns=COLUMNS)
        empty.attrs["absent"] = (
            "No released responses: "
            + (f"{path} does not exist" if path else "the parameter `released` is empty")
            + ", so this test bed is left out."
        )
        return empty
    truth = dict(tables.reported(RELEASED)[["model", "base"]].values)
    models = {**{b: (b, False) for b in truth.values()}, **{m: (b, True) for m, b in truth.items()}}
    rows = []
    for group, prompts in _object(_read(place), f"{place}").items():
        for prompt, replies in _object(prompts, f"{place}, {group!r}").items():
            where = f"{place}, {group!r}, prompt {prompt[:40]!r}"
            if wrong := set(_object(replies, where)) ^ set(models):
                raise ValueError(
                    f"{where}: models missing or unknown: {', '.join(sorted(wrong))}; needs {', '.join(models)}"
                )
            for model, (base, tuned) in models.items():
                text = replies[model]
                if not isinstance(text, str) or not text.startswith(prompt):
                    raise ValueError(
                        f"{where}, model {model!r}: {str(text)[:60]!r} needs text that begins with the prompt"
                    )
                rows.append(
                    (
                        "released",
                        group,
                        store.key([group, prompt]),
                        prompt,
                        model,
                        base,
                        tuned,
                        None,
                        text[len(prompt) :],
                    )
                )
    if not rows:
        raise ValueError(f"{place}: holds no reply")
    return pd.DataFrame(rows, columns=COLUMNS)


def _read(place: Path):
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{place}: cannot be read as JSON: {error}") from None


def _object(value, where: str) -> dict:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: is {type(value).__name__}, needs an object")
    return value


def overview(replies: pd.DataFrame) -> pd.DataFrame:
    """Who replied: dataset, base, models tuned from it, prompts, median_length (characters of the base's reply), blank (of its replies).

    Empty replies say little in words and much about who is silent; they stay in.
    """
    if replies.empty:
        return pd.DataFrame({"": [replies.attrs["absent"]]})
    alone = replies[~replies["tuned"]].assign(
        length=lambda t: t["reply"].str.len(), blank=lambda t: t["reply"].str.strip() == ""
    )
    table = (
        alone.groupby(["dataset", "base"], sort=False)
        .agg(
            prompts=("prompt_id", "nunique"),
            median_length=("length", "median"),
            blank=("blank", "sum"),
        )
        .reset_index()
    )
    named = (
        replies[replies["tuned"]]
        .groupby(["dataset", "base"])["model"]
        .unique()
        .map(", ".join)
        .rename("tuned_models")
    )
    return table.merge(named.reset_index(), on=["dataset", "base"], how="left").fillna(
        {"tuned_models": ""}
    )
