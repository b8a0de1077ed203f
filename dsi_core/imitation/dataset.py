"""Imitation (Gudibande 2023): a model is asked for instructions and answers, others are tuned on them; how good are these, and are they caught?"""

from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.audit import prepare
from dsi_core.data import pairs as data
from dsi_core.imitation import bootstrap
from dsi_core.imitation import scores as imitation_scores
from dsi_core.method import similarity
from dsi_core.method import study as steps
from dsi_core.method.study import Study
from dsi_core.paper import tables
from dsi_core.runtime import store
from dsi_core.settings.extensions import Imitation
from dsi_core.settings.profile import IID, VICTIM, Profile
from dsi_core.settings.schema import Data, Suspect

NAME = "imitation"  # of D, the imitation dataset; D' is imitation_iid
FILES = ("instructions.jsonl", "pairs.jsonl", "held_out.jsonl")
UNTUNED, AGAIN = "imitator's base, untuned", "the target, asked again"
GROUP = "imitators by budget"


def dataset(study: Study) -> Path:
    """The folder of the imitation dataset, made on first use: instructions.jsonl (as `instructions.bootstrap`), pairs.jsonl (D and D') and
    held_out.jsonl (category, kind, instruction, output), the kept answers in random order.

    Raises `ValueError` when the target made up too few.
    """
    how, profile = bootstrap.settings(study.profile), study.profile
    folder = store.entry("imitation", how.target.base, bootstrap.spec(profile))
    with store.lock(folder):
        if store.manifest(folder) is None:
            found = bootstrap.bootstrap(profile)
            told = (
                bootstrap.examples(profile, found)
                if (found["fate"] == "accepted").any()
                else pd.DataFrame(columns=["fate"])
            )
            kept = told[told["fate"] == "kept"].drop(columns=["fate", "words"])
            wanted = 2 * how.pairs + how.held_out
            if len(kept) < wanted:
                counts = found["fate"].value_counts().to_dict()
                raise ValueError(
                    f"{how.target.base} made up {counts.get('accepted', 0)} instructions in {how.rounds} rounds ({counts}) and gave "
                    f"{len(kept)} of them a long enough answer; {wanted} are needed (pairs {how.pairs} twice, held_out "
                    f"{how.held_out}): raise imitation's rounds or queries, or lower pairs or held_out"
                )
            mixed = kept.iloc[np.random.default_rng(profile.seed).permutation(len(kept))]
            parts = (found, mixed[how.held_out : wanted], mixed[: how.held_out])
            for name, part in zip(FILES, parts):
                store.write_text(
                    folder / name, part.to_json(orient="records", lines=True, force_ascii=False)
                )
            store.finish(
                folder,
                instructions=int((found["fate"] == "accepted").sum()),
                kept=len(kept),
                short=int((told["fate"] == "short").sum()),
                used=wanted,
            )
    return folder


def found(study: Study) -> pd.DataFrame:
    """Every seed and every item that the target wrote, with its fate, as `instructions.bootstrap` returns."""
    return pd.DataFrame(data.read_file(dataset(study) / FILES[0]), columns=bootstrap.COLUMNS)


def pool(study: Study) -> pd.DataFrame:
    """The pairs that are used: category, kind, instruction, output, part ("D or D'" | "held out")."""
    parts = [(FILES[1], "D or D'"), (FILES[2], "held out")]
    return pd.concat(
        [
            pd.DataFrame(data.read_file(dataset(study) / name)).assign(part=part)
            for name, part in parts
        ],
        ignore_index=True,
    )


def facts(study: Study) -> pd.DataFrame:
    """The imitation dataset in numbers (columns what, count), with the mean BLEU of two instructions, and of two answers (lower = more diverse)."""
    made, pairs = store.manifest(dataset(study)), pool(study)
    rows = [
        ("instructions accepted", made["instructions"]),
        ("answers too short, left out", made["short"]),
        ("answers kept", made["kept"]),
        ("pairs used: D, D' and held out", made["used"]),
    ]
    rows += [
        (f"mean BLEU of two {what}s, %", round(_mean_bleu(pairs[what], study.profile.seed), 1))
        for what in ("instruction", "output")
    ]
    return pd.DataFrame(rows, columns=["what", "count"])


def _mean_bleu(texts: pd.Series, seed: int, pairs: int = 500) -> float:
    """Mean BLEU of `pairs` random pairs of different rows."""
    rng = np.random.default_rng(seed)
    first = rng.integers(len(texts), size=pairs)
    second = (first + rng.integers(1, len(texts), size=pairs)) % len(texts)
    return float(
        np.mean([bootstrap.bleu(texts.iloc[i], texts.iloc[j]) for i, j in zip(first, second)])
    )


def random_pairs(study: Study, count: int = 5) -> pd.DataFrame:
    """`count` random pairs of the dataset: category, instruction, output."""
    some = pool(study).sample(count, random_state=study.profile.seed)
    return some[["category", "instruction", "output"]]


def accusation(study: Study) -> Study:
    """The study in which D is the imitation dataset: the profile's references, tuned on D and not; the imitators of each budget and the
    section's suspects. D' is another draw of as many pairs from the same target.

    An imitator's budget is the number of pairs it trained on: first those of D, in random order, then those of D'.
    """
    how, profile = bootstrap.settings(study.profile), study.profile
    settings = accused(
        profile,
        Data(
            path=str((dataset(study) / FILES[1]).resolve()),
            prompt=["instruction"],
            output="output",
            category="category",
            rows=how.pairs,
        ),
    )
    ours = data.load_pairs(settings, NAME)
    order = [
        i
        for part in (ours, data.load_pairs(settings, f"{NAME}_{IID}"))
        for i in _shuffled(part["sample_id"], profile.seed)
    ]
    if how.budgets[-1] > len(order):
        raise ValueError(
            f"imitation.budgets: {how.budgets[-1]}, but D and D' hold {len(order)} pairs, less near-duplicates between them"
        )
    return Study(
        settings.model_copy(update={"suspects": imitators(how, order) + settings.suspects}),
        ours.assign(dataset=NAME),
    )


def accused(profile: Profile, pairs: Data) -> Profile:
    """The profile in which D is `rows` of `pairs` and D' as many others; its suspects are the section's, without the imitators."""
    how = bootstrap.settings(profile)
    asked = profile.responses.model_copy(update={"max_new_tokens": how.answer_tokens})
    chosen = [r for r in profile.references if how.references is None or r.name in how.references]
    base = profile.model_copy(
        update={"controls": [], "imitation": None, "references": chosen, "responses": asked}
    )
    return prepare.profile_of(base, NAME, pairs, pairs, how.suspects)


def imitators(how: Imitation, order: list[str]) -> list[Suspect]:
    """The imitators of each budget: each trains on the first so many samples of `order`, D's and then those of D'."""
    return [
        Suspect(
            name=f"imitator of {n}",
            member=True,
            group=GROUP,
            base=how.imitator.base,
            data=[VICTIM, IID],
            recipe=how.imitator.recipe,
            leave_out=tuple(order[n:]),
        )
        for n in how.budgets
    ]


def _shuffled(ids: pd.Series, seed: int) -> list[str]:
    return ids.iloc[np.random.default_rng(seed).permutation(len(ids))].tolist()


def held_out(study: Study, accused: Study) -> pd.DataFrame:
    """How closely each answers held-out instructions like the target: the untuned base (budget 0), the imitators, and the target asked again.

    All answer greedily; the target's stored answers were drawn at `answer_temperature`. One row per (model, sample_id): budget (NaN = the target),
    category, instruction, answer (the target's), response, rouge_l in [0, 1] and bertscore (the profile's scale); higher = closer.
    """
    how = bootstrap.settings(study.profile)
    kept = pd.DataFrame(data.read_file(dataset(study) / FILES[2]))
    questions = bootstrap.example_questions(kept, bootstrap.categories(how.seeds))
    again = bootstrap.asked(
        study.profile,
        "target, again",
        how.target,
        questions,
        temperature=0.0,
        tokens=how.answer_tokens,
    )
    base = Suspect(name=UNTUNED, member=False, base=how.imitator.base)
    tuned = [s for s in accused.profile.suspects if s.group == GROUP]
    greedy = accused.profile.responses.model_copy(update={"temperature": 0.0})
    here = Study(
        accused.profile.model_copy(update={"suspects": [base, *tuned], "responses": greedy}),
        accused.pairs,
    )
    told = steps.answers(
        here, "suspect", questions.assign(prompt=questions["instruction"], dataset=NAME)
    )
    told = pd.concat(
        [
            told[["model_id", "sample_id", "response"]],
            again.assign(model_id=AGAIN)[["model_id", "sample_id", "response"]],
        ]
    )
    budget = {UNTUNED: 0.0, AGAIN: np.nan, **{f"imitator of {n}": float(n) for n in how.budgets}}
    told = told.rename(columns={"model_id": "model"}).assign(
        budget=lambda t: t["model"].map(budget)
    )
    table = told.merge(
        questions[["sample_id", "category", "instruction", "output"]].rename(
            columns={"output": "answer"}
        ),
        on="sample_id",
        validate="m:1",
    )
    raw = similarity.raw_scores(
        accused.profile, table.rename(columns={"response": "a", "answer": "b"})[["a", "b"]]
    )
    scaled = steps.scale(accused, pd.Series(NAME, index=table.index), raw)
    return table.assign(
        rouge_l=imitation_scores.rouge_l(table["response"], table["answer"]), bertscore=scaled
    )


def verdicts(accused: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """`study.verdicts` with the positive share and its Wilson interval, and seen: the share of D that the suspect trained on."""
    ours = set(accused.pairs["sample_id"])
    seen = {
        s.name: 1 - len(ours & set(s.leave_out)) / len(ours) if VICTIM in s.data else 0.0
        for s in accused.profile.suspects
    }
    table = tables.votes(steps.verdicts(accused, scores, answers))
    return table.assign(seen=table["suspect"].map(seen).round(3))
