"""Imitation (Gudibande 2023): the dataset, models tuned on it, and the accusation of these.

A model is asked for instructions and answers, others are tuned on them: how close do they come to
it, and are they caught?
"""

from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.data.files import read_file
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.imitation import bootstrap
from dsi_core.imitation.bootstrap import AnswerFate, Fate
from dsi_core.method import asking, participants, similarity, study, verdict
from dsi_core.method.accusation import profile_of
from dsi_core.method.closeness import Measure, closeness
from dsi_core.method.study import Study
from dsi_core.runtime import disk, locks, released, store
from dsi_core.settings.extensions import Imitation
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Suspect
from dsi_core.settings.words import IID, VICTIM

NAME = "imitation"  # of D, the imitation dataset
NAME_IID = f"{NAME}_iid"  # of D'
INSTRUCTIONS, PAIRS, HELD_OUT = "instructions.jsonl", "pairs.jsonl", "held_out.jsonl"
UNTUNED, AGAIN = "imitator's base, untuned", "the target, asked again"
GROUP = "imitators by budget"
BLEU_PAIRS = 500  # random pairs of texts that a mean BLEU is of


def folder(run: Study) -> Path:
    """Give the folder of the imitation dataset, made on first use.

    It holds `instructions.jsonl` (as `bootstrap.bootstrap`), `pairs.jsonl` (D and D') and
    `held_out.jsonl`: the kept answers in random order, with category, kind, instruction, output.

    Raises
    ------
    ValueError
        When the target made up too few, or could not make up enough; counts them, and names the
        settings that help.
    """
    how, target = bootstrap.settings(run.profile), bootstrap.target(run.profile)
    place = released.entry("imitation", how.target.base, bootstrap.spec(how, target))
    with locks.held(place):
        if store.manifest(place) is None:
            _make(how, target, place)
    return place


def _make(how: Imitation, target: bootstrap.Target, place: Path) -> None:
    wanted = 2 * how.pairs + how.held_out
    most = how.per_category * len(bootstrap.categories(how.seeds))
    if most < wanted:
        raise ValueError(
            f"imitation.per_category: {how.per_category} of each category make {most} pairs at "
            f"most; {wanted} are needed (pairs {how.pairs} twice, held_out {how.held_out})"
        )
    instructions = bootstrap.bootstrap(how, target)
    accepted = int((instructions["fate"] == Fate.ACCEPTED).sum())
    if accepted:
        answers = bootstrap.examples(how, target, instructions)
    else:
        answers = pd.DataFrame(columns=bootstrap.EXAMPLE_COLUMNS)
    kept = answers[answers["fate"] == AnswerFate.KEPT].drop(columns=["fate", "words"])
    if len(kept) < wanted:
        counts = instructions["fate"].value_counts().to_dict()
        raise ValueError(
            f"{how.target.base} made up {accepted} instructions in {how.rounds} rounds ({counts}) "
            f"and gave {len(kept)} of them a long enough answer; {wanted} are needed (pairs "
            f"{how.pairs} twice, held_out {how.held_out}): raise imitation's rounds or queries, "
            "or lower pairs or held_out"
        )
    mixed = kept.iloc[np.random.default_rng(target.sampling.seed).permutation(len(kept))]
    tables = {
        INSTRUCTIONS: instructions,
        PAIRS: mixed[how.held_out : wanted],
        HELD_OUT: mixed[: how.held_out],
    }
    for name, table in tables.items():
        text = table.to_json(orient="records", lines=True, force_ascii=False)
        disk.write_text(place / name, text)
    short = int((answers["fate"] == AnswerFate.SHORT).sum())
    store.finish(place, instructions=accepted, kept=len(kept), short=short, used=wanted)


def instructions(run: Study) -> pd.DataFrame:
    """Read every seed and every item that the target wrote, with its fate: `bootstrap.Item`s."""
    return pd.DataFrame(read_file(folder(run) / INSTRUCTIONS), columns=bootstrap.COLUMNS)


def pool(run: Study) -> pd.DataFrame:
    """Read the pairs that are used.

    Returns category, kind, instruction, output, part ("D or D'" | "held out").
    """
    place = folder(run)
    pairs = pd.DataFrame(read_file(place / PAIRS)).assign(part="D or D'")
    held_out = pd.DataFrame(read_file(place / HELD_OUT)).assign(part="held out")
    return pd.concat([pairs, held_out], ignore_index=True)


def facts(run: Study) -> pd.DataFrame:
    """Show the imitation dataset in numbers: columns what, count.

    The mean BLEU of two instructions, and of two answers, is in percent; lower = more diverse.
    """
    made, pairs, seed = store.manifest(folder(run)), pool(run), run.profile.seed
    assert made is not None, "the folder is complete"
    rows = [
        ("instructions accepted", made["instructions"]),
        ("answers too short, left out", made["short"]),
        ("answers kept", made["kept"]),
        ("pairs used: D, D' and held out", made["used"]),
        ("mean BLEU of two instructions, %", round(_mean_bleu(pairs["instruction"], seed), 1)),
        ("mean BLEU of two outputs, %", round(_mean_bleu(pairs["output"], seed), 1)),
    ]
    # as they are: beside a share a count would be shown as 90.0
    return pd.DataFrame(rows, columns=["what", "count"], dtype=object)


def _mean_bleu(texts: pd.Series, seed: int) -> float:
    """The mean BLEU of `BLEU_PAIRS` random pairs of different rows."""
    rng = np.random.default_rng(seed)
    first = rng.integers(len(texts), size=BLEU_PAIRS)
    second = (first + rng.integers(1, len(texts), size=BLEU_PAIRS)) % len(texts)
    pairs = zip(texts.iloc[first], texts.iloc[second], strict=True)
    return float(np.mean([bootstrap.bleu(one, other) for one, other in pairs]))


def random_pairs(run: Study, count: int = 5) -> pd.DataFrame:
    """Draw `count` random pairs of the dataset: category, instruction, output."""
    some = pool(run).sample(count, random_state=run.profile.seed)
    return some[["category", "instruction", "output"]]


def accusation(run: Study) -> Study:
    """Give the study in which D is the imitation dataset.

    The profile's references, tuned on D and not; the imitators of each budget and the section's
    suspects. D' is another draw of as many pairs from the same target. An imitator's budget is the
    number of pairs that it trained on: first those of D, in random order, then those of D'.

    Raises
    ------
    ValueError
        When the largest budget exceeds what D and D' hold.
    """
    how = bootstrap.settings(run.profile)
    source = Data(
        path=str((folder(run) / PAIRS).resolve()),
        prompt=["instruction"],
        output="output",
        category="category",
        rows=how.pairs,
    )
    profile = accused_profile(run.profile, source)
    ours = load_pairs(dataset(profile, NAME))
    others = load_pairs(dataset(profile, NAME_IID))
    seed = run.profile.seed
    order = [*_shuffled(ours["sample_id"], seed), *_shuffled(others["sample_id"], seed)]
    if how.budgets[-1] > len(order):
        raise ValueError(
            f"imitation.budgets: {how.budgets[-1]}, but D and D' hold {len(order)} pairs, "
            "less near-duplicates between them"
        )
    suspects = [*imitators(how, order), *profile.suspects]
    return Study(profile.changed(suspects=suspects), ours.assign(dataset=NAME))


def accused_profile(profile: Profile, source: Data) -> Profile:
    """Give the profile in which D is `rows` of `source`, and D' as many others.

    Its suspects are the section's, without the imitators.
    """
    how = bootstrap.settings(profile)
    base = profile.changed(controls=[])
    other = profile_of(base, NAME, source, source, how.suspects)
    chosen = [r for r in profile.references if how.references is None or r.name in how.references]
    return other.changed(references=chosen, responses={"max_new_tokens": how.answer_tokens})


def imitator_name(budget: int) -> str:
    """Name the imitator that trained on so many pairs."""
    return f"imitator of {budget}"


def imitators(how: Imitation, order: list[str]) -> list[Suspect]:
    """Give the imitator of each budget, tuned on the first so many samples of `order`.

    order: ids of all of D, then of all of D'.
    """
    return [
        Suspect(
            name=imitator_name(budget),
            member=True,
            group=GROUP,
            base=how.imitator.base,
            data=[VICTIM, IID],
            recipe=how.imitator.recipe,
            leave_out=tuple(order[budget:]),
        )
        for budget in how.budgets
    ]


def _shuffled(ids: pd.Series, seed: int) -> list[str]:
    return ids.iloc[np.random.default_rng(seed).permutation(len(ids))].tolist()


def held_out(run: Study, accused: Study) -> pd.DataFrame:
    """Tell how closely each model answers held-out instructions like the target.

    The untuned base (budget 0), the imitators, and the target asked again, all greedily; the
    target's stored answers were drawn at `answer_temperature`.

    Parameters
    ----------
    accused
        As `accusation` returns.

    Returns
    -------
    pandas.DataFrame
        One row per (model, sample_id): budget (pairs; NaN = the target), category, instruction,
        answer (the target's), response, rouge_l in [0, 1] and bertscore (on the profile's scale);
        higher = closer.
    """
    how = bootstrap.settings(run.profile)
    kept = pd.DataFrame(read_file(folder(run) / HELD_OUT))
    questions = bootstrap.example_questions(kept, bootstrap.categories(how.seeds))
    again = bootstrap.prompted(
        bootstrap.target(run.profile),
        "target, again",
        questions,
        temperature=0.0,
        max_new_tokens=how.answer_tokens,
    )
    untuned = Suspect(name=UNTUNED, member=False, base=how.imitator.base)
    tuned = [s for s in accused.profile.suspects if s.group == GROUP]
    greedy = accused.changed(suspects=[untuned, *tuned], responses={"temperature": 0.0})
    plain = questions.assign(prompt=questions["instruction"], dataset=NAME)
    answers = asking.answers(participants.suspects(greedy.profile), plain, greedy.sampling)
    answers = answers.rename(columns={"model_id": "model"})
    columns = ["model", "sample_id", "response"]
    table = pd.concat([answers[columns], again.assign(model=AGAIN)[columns]])
    budgets = {UNTUNED: 0.0, AGAIN: np.nan}
    budgets |= {imitator_name(budget): float(budget) for budget in how.budgets}
    table = table.assign(budget=table["model"].map(budgets))
    asked = questions[["sample_id", "category", "instruction", "output"]]
    asked = asked.rename(columns={"output": "answer"})
    table = table.merge(asked, on="sample_id", validate="m:1")
    texts = table.rename(columns={"response": "a", "answer": "b"})[["a", "b"]]
    raw = similarity.raw_scores(accused.backbone, texts)
    return table.assign(
        rouge_l=closeness(Measure.ROUGE_L, table["response"], table["answer"]),
        bertscore=study.scale(accused, pd.Series(NAME, index=table.index), raw),
    )


def verdicts(accused: Study, scores: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Judge the suspects: `study.verdicts`, with the share of positive samples and what was seen.

    Parameters
    ----------
    scores, answers
        As `study.reference_scores` and `study.suspect_gaps` return.

    Returns
    -------
    pandas.DataFrame
        With share, low and high as `verdict.votes` adds them, and seen: the share of D, in [0, 1],
        that the suspect trained on.
    """
    ours = set(accused.pairs["sample_id"])
    seen = {s.name: _seen(ours, s) for s in accused.profile.suspects}
    table = verdict.votes(study.verdicts(accused, scores, answers))
    return table.assign(seen=table["suspect"].map(seen).round(3))


def _seen(ours: set[str], suspect: Suspect) -> float:
    """The share of D that a suspect trained on."""
    if VICTIM not in suspect.data:
        return 0.0
    return 1 - len(ours & set(suspect.leave_out)) / len(ours)
