"""Imitation, the data: instructions that the target makes up, starting from seeds of ours, and what it answers to them (Gudibande 2023)."""

import re

import numpy as np
import pandas as pd
import sacrebleu
from pydantic import TypeAdapter, ValidationError

from dsi_core.models import responses, tuning
from dsi_core.runtime import jobs, store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as params
from dsi_core.settings.extensions import Category, Imitation
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained

COLUMNS = ["category", "round", "instruction", "closest", "fate"]


def settings(profile: Profile) -> Imitation:
    """The profile's section `imitation`. Raises `ValueError` where there is none."""
    if profile.imitation is None:
        raise ValueError(
            f"profile {profile.name!r} has no section imitation: it says who is imitated, and how"
        )
    return profile.imitation


def categories(file: str) -> dict[str, Category]:
    """The categories of a seed file, each with its seed instructions. Raises `ValueError` naming what is wrong in it."""
    try:
        found = TypeAdapter(dict[str, Category]).validate_python(params.read_yaml(ROOT / file))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(
            f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']} (got {first['input']!r})"
        ) from None
    every = [s for c in found.values() for s in c.seeds]
    if twice := {s for s in every if every.count(s) > 1}:
        raise ValueError(f"{file}: seed {sorted(twice)[0]!r} occurs twice; allowed once")
    return found


def asked(
    profile: Profile,
    name: str,
    trained: Trained,
    questions: pd.DataFrame,
    *,
    temperature: float,
    tokens: int,
) -> pd.DataFrame:
    """`questions` (columns sample_id, prompt, others) with the model's answer to each (column response); asks and stores what is missing.

    name: under which the answers are stored. tokens: at most so many new ones.
    """
    told = profile.responses.model_copy(update={"max_new_tokens": tokens, "system": None})
    profile = profile.model_copy(update={"responses": told})
    folder = responses.entry(profile, "", name, trained, temperature, make=False)
    if len(responses.missing(folder, questions, 1)):
        jobs.run(
            [
                jobs.Job(
                    name,
                    responses.ask,
                    (profile, "", name, trained, questions[["sample_id", "prompt"]]),
                    len(questions),
                    {"draws": 1, "temperature": temperature},
                )
            ]
        )
    return questions.merge(
        responses.read(folder)[["sample_id", "response"]], on="sample_id", validate="1:1"
    )


def listed(text: str, item: str) -> list[str]:
    """The items of a list in `text`: what the group of `item` matches in each line that is one, without markup at its ends."""
    found = [re.fullmatch(item, line.rstrip()) for line in text.splitlines()]
    return [text for m in found if m and (text := m.group(1).strip(" *<>\"'_`"))]


def bleu(candidate: str, other: str) -> float:
    """Sacrebleu's sentence BLEU in percent, 0 to 100, higher = closer: 13a tokens, exponential smoothing, effective order (its defaults)."""
    return sacrebleu.sentence_bleu(candidate, [other]).score


def closest(candidate: str, others: list[str]) -> float:
    """The highest BLEU of `candidate` against one of `others`, case ignored; BLEU is not symmetric: the others are the references."""
    return max((bleu(candidate.lower(), other.lower()) for other in others), default=0.0)


def bootstrap(profile: Profile) -> pd.DataFrame:
    """Instructions of every category, made up by the target: columns category, round, instruction, closest, fate.

    A round asks each category that lacks some for more, `queries` times; a question shows `examples` instructions, drawn from the category's
    seeds, and once it has more than `seeds_until` instructions from all of them. One row for each seed (fate "seed", round 0), each item of an
    answer, and each answer without an item ("no list"). Fate: "accepted"; "length" (words outside `words`); "too close" (closest = the highest
    BLEU in percent against every instruction that is there, of whichever category, not under `bleu`); "not needed" (its category has enough).
    Source: Gudibande 2023, §4.1. Differs: a round of questions is asked at once, so the pool grows by rounds; temperature alone, no top-p;
    seeds_until as in the source's appendix; any bullet or number marks an item; a short or long one is left out; the BLEU variant, which the source
    does not name, is sacrebleu's default on lower-case text.
    """
    how = settings(profile)
    kinds = categories(how.seeds)
    rows = [(c, 0, s, np.nan, "seed") for c, kind in kinds.items() for s in kind.seeds]
    for number in range(1, how.rounds + 1):
        there = {
            c: [r[2] for r in rows if r[0] == c and r[4] in ("seed", "accepted")] for c in kinds
        }
        wanting = [c for c in kinds if len(there[c]) - len(kinds[c].seeds) < how.per_category]
        if not wanting:
            break
        told = asked(
            profile,
            "target, instructions",
            how.target,
            _questions(profile, kinds, there, wanting, number),
            temperature=how.instruction_temperature,
            tokens=how.instruction_tokens,
        )
        for answer in told.itertuples():
            items = listed(answer.response, how.item)
            rows += [
                (answer.category, number, *r)
                for r in _judged(
                    items, answer.category, there, how, len(kinds[answer.category].seeds)
                )
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _questions(
    profile: Profile, kinds: dict, there: dict, wanting: list[str], number: int
) -> pd.DataFrame:
    how, rows = profile.imitation, []
    for category in wanting:
        shown = there[category] if len(there[category]) > how.seeds_until else kinds[category].seeds
        for query in range(how.queries):
            rng = np.random.default_rng([profile.seed, number, list(kinds).index(category), query])
            some = [
                shown[i]
                for i in rng.choice(len(shown), min(how.examples, len(shown)), replace=False)
            ]
            prompt = how.prompt.replace("{category}", category).replace(
                "{instructions}", "\n".join(f"- {s}" for s in some)
            )
            rows.append((store.key([category, number, query, prompt]), prompt, category))
    return pd.DataFrame(rows, columns=["sample_id", "prompt", "category"])


def _judged(
    items: list[str], category: str, there: dict, how: Imitation, seeds: int
) -> list[tuple]:
    """(instruction, closest, fate) of each item; what is accepted joins the instructions that are `there`."""
    if not items:
        return [("", np.nan, "no list")]
    rows = []
    for item in items:
        near, fate = np.nan, "accepted"
        if not how.words[0] <= len(item.split()) <= how.words[1]:
            fate = "length"
        elif len(there[category]) - seeds >= how.per_category:
            fate = "not needed"
        else:
            near = closest(item, [t for texts in there.values() for t in texts])
            fate = "accepted" if near < how.bleu else "too close"
        if fate == "accepted":
            there[category].append(item)
        rows.append((item, near, fate))
    return rows


def example_questions(found: pd.DataFrame, kinds: dict[str, Category]) -> pd.DataFrame:
    """What asks the target for an example of each instruction: `found` (columns category, instruction) with kind, sample_id and prompt."""
    prompts = [
        kinds[r.category].ask.replace("{instruction}", r.instruction) for r in found.itertuples()
    ]
    return found.assign(
        kind=[kinds[c].kind for c in found["category"]],
        prompt=prompts,
        sample_id=[store.key(p) for p in prompts],
    )


def examples(profile: Profile, found: pd.DataFrame) -> pd.DataFrame:
    """One answer of the target to each accepted instruction: category, kind, instruction, output, words, fate ("kept" | "short").

    The output is the whole answer: where the instruction speaks of a text, the input that the target made up is part of it. Short = under
    `answer_words` words. Source: Gudibande 2023, §4.1. Differs: one answer an instruction, not 50; a word for a token in the limit of ten; no top-p.
    """
    how = settings(profile)
    questions = example_questions(
        found.loc[found["fate"] == "accepted", ["category", "instruction"]], categories(how.seeds)
    )
    told = asked(
        profile,
        "target, examples",
        how.target,
        questions,
        temperature=how.answer_temperature,
        tokens=how.answer_tokens,
    )
    words = told["response"].str.split().str.len()
    told = told.assign(
        output=told["response"],
        words=words,
        fate=np.where(words >= how.answer_words, "kept", "short"),
    )
    return told[["category", "kind", "instruction", "output", "words", "fate"]]


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """What became of everything the target wrote: a row for each category and one for all, a column for each fate, and accepted_share, of the
    items that were accepted or failed a filter.
    """
    fates = ["seed", "accepted", "too close", "length", "not needed", "no list"]
    counts = (
        found.groupby(["category", "fate"], sort=False)
        .size()
        .unstack(fill_value=0)
        .reindex(columns=fates, fill_value=0)
    )
    counts = (
        pd.concat([counts, counts.sum().to_frame("all").T]).rename_axis("category").reset_index()
    )
    judged = counts["accepted"] + counts["too close"] + counts["length"]
    return counts.assign(accepted_share=(counts["accepted"] / judged.where(judged > 0)).round(3))


def spec(profile: Profile) -> dict:
    """What decides the imitation dataset: the target, the seeds, how it is asked, what is kept, and the seed."""
    how = settings(profile)
    parts = {"seeds", "target", "imitator", "suspects", "references", "rated", "mixture", "budgets"}
    return {
        "target": tuning.spec(profile, "", how.target),
        "how": how.model_dump(exclude=parts),
        "seed": profile.seed,
        "seeds": {c: kind.model_dump() for c, kind in categories(how.seeds).items()},
    }
