"""Imitation, the data: instructions that the target makes up from our seeds, and its answers."""

import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from enum import StrEnum

import numpy as np
import pandas as pd
import sacrebleu
from pydantic import TypeAdapter, ValidationError

from dsi_core.method import asking
from dsi_core.models import responses
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training, training
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.extensions import Category, Imitation
from dsi_core.settings.profile import Profile, explain, needed, read_yaml


class Fate(StrEnum):
    """What became of an item that the target wrote; values as in tables."""

    SEED = "seed"  # ours, no item of the target's
    ACCEPTED = "accepted"
    TOO_CLOSE = "too close"  # to an instruction that is there, of whichever category
    LENGTH = "length"  # too few words, or too many
    NOT_NEEDED = "not needed"  # its category has enough
    NO_LIST = "no list"  # an answer without an item


class AnswerFate(StrEnum):
    """What became of an answer to an accepted instruction; values as in tables."""

    KEPT = "kept"
    SHORT = "short"


@dataclass(frozen=True)
class Item:
    """One seed, one item of an answer, or one answer without an item.

    Parameters
    ----------
    category
        Of its task.
    round
        In which it was written; 0 = a seed.
    instruction
        Its text; "" of an answer without an item.
    closest
        The highest BLEU against the instructions that were there, in percent, higher = closer;
        NaN where it was not compared.
    fate
        What became of it.
    """

    category: str
    round: int
    instruction: str
    closest: float
    fate: Fate

    @property
    def counts(self) -> bool:
        """Whether it is an instruction from now on."""
        return self.fate in (Fate.SEED, Fate.ACCEPTED)


EXAMPLE_COLUMNS = ["category", "kind", "instruction", "output", "words", "fate"]
COLUMNS = [field.name for field in fields(Item)]


@dataclass(frozen=True)
class Target:
    """The imitated model: how it came to be, and how it is prompted.

    Its temperature and its longest answer differ from question to question.
    """

    training: Training
    sampling: Sampling


def settings(profile: Profile) -> Imitation:
    """Give the profile's section `imitation`. Raises `ValueError` where there is none."""
    return needed(profile.imitation, "imitation", profile, "it says who is imitated, and how")


def target(profile: Profile) -> Target:
    """Find the imitated model of a profile: prompted once, without a system prompt."""
    trained = settings(profile).target
    sampling = Sampling.of(profile.responses, profile.seed).changed(draws=1, system=None)
    return Target(training(profile, "", trained), sampling)


def categories(file: str) -> dict[str, Category]:
    """Read the categories of a seed file, each with its seed instructions.

    Raises
    ------
    ValueError
        Naming the file, the field, what is wrong with it and the value.
    """
    try:
        kinds = TypeAdapter(dict[str, Category]).validate_python(read_yaml(ROOT / file))
    except ValidationError as error:
        raise ValueError(explain(error, file, dict[str, Category])) from None
    seeds = [seed for kind in kinds.values() for seed in kind.seeds]
    if twice := {seed for seed in seeds if seeds.count(seed) > 1}:
        raise ValueError(f"{file}: seed {sorted(twice)[0]!r} occurs twice; allowed once")
    return kinds


def prompted(
    target: Target,
    title: str,
    questions: pd.DataFrame,
    *,
    temperature: float,
    max_new_tokens: int,
) -> pd.DataFrame:
    """Prompt the target with what the store has no answer to, and give all the answers.

    Parameters
    ----------
    title
        Under which they are stored; the random numbers depend on it.
    questions
        Columns sample_id, prompt, and others.

    Returns
    -------
    pandas.DataFrame
        `questions` with a column response.
    """
    sampling = target.sampling.changed(temperature=temperature, max_new_tokens=max_new_tokens)
    pairs = questions[["sample_id", "prompt"]]
    query = asking.Query(title, title, target.training, pairs, sampling)
    asking.query([query])
    answers = asking.collected(query)[["sample_id", "response"]]
    return questions.merge(answers, on="sample_id", validate="1:1")


def listed(text: str, item: str) -> list[str]:
    """Give the items of a list: the group of the pattern `item` in each line that it matches.

    Markup at an item's ends is taken off; what is empty then is left out.
    """
    matches = [re.fullmatch(item, line.rstrip()) for line in text.splitlines()]
    items = [(match.group(1) or "").strip(" *<>\"'_`") for match in matches if match]
    return [item for item in items if item]


def bleu(candidate: str, other: str) -> float:
    """Give sacrebleu's sentence BLEU in percent, 0 to 100, higher = closer.

    Its defaults: 13a tokens, exponential smoothing, effective order.
    """
    return sacrebleu.sentence_bleu(candidate, [other]).score


def closest(candidate: str, others: Iterable[str]) -> float:
    """Give the highest BLEU of `candidate` against one of `others`, case ignored; 0 without any.

    BLEU is not symmetric: the others are the references.
    """
    return max((bleu(candidate.lower(), other.lower()) for other in others), default=0.0)


def bootstrap(how: Imitation, target: Target) -> pd.DataFrame:
    """Let the target make up instructions of every category.

    A round prompts for more of each category that lacks some, `queries` times. A prompt shows
    `examples` instructions, drawn from the category's seeds, and once it has more than
    `seeds_until` instructions from all of them. An item must have as many words as `words` says,
    be needed, and stay under `bleu` against every instruction that is there.

    Returns
    -------
    pandas.DataFrame
        A row for each `Item`, with its fields as columns: seeds first, then as they came.

    References
    ----------
    Gudibande 2023, §4.1. Differs: a round's prompts are answered at once, so the pool grows by
    rounds; temperature alone, no top-p; seeds_until as in the source's appendix; any bullet or
    number marks an item; a short or long one is left out; the BLEU variant, which the source does
    not name, is sacrebleu's default on lower-case text.
    """
    kinds = categories(how.seeds)
    items = [
        Item(category, 0, seed, np.nan, Fate.SEED)
        for category, kind in kinds.items()
        for seed in kind.seeds
    ]
    for number in range(1, how.rounds + 1):
        pool = _pool(items, kinds)
        wanting = [c for c in kinds if len(pool[c]) - len(kinds[c].seeds) < how.per_category]
        if not wanting:
            break
        answers = prompted(
            target,
            "target, instructions",
            _questions(how, kinds, pool, wanting, number, target.sampling.seed),
            temperature=how.instruction_temperature,
            max_new_tokens=how.instruction_tokens,
        )
        for category, response in zip(answers["category"], answers["response"], strict=True):
            texts = listed(response, how.item)
            items += _judged(texts, category, number, pool, how, len(kinds[category].seeds))
    rows = [(*astuple(item)[:-1], str(item.fate)) for item in items]
    return pd.DataFrame(rows, columns=COLUMNS)


Pool = dict[str, list[str]]  # the instructions of each category


def _pool(items: list[Item], kinds: dict[str, Category]) -> Pool:
    """The instructions that are there, seeds included."""
    return {c: [i.instruction for i in items if i.category == c and i.counts] for c in kinds}


def _questions(
    how: Imitation,
    kinds: dict[str, Category],
    pool: Pool,
    wanting: list[str],
    number: int,
    seed: int,
) -> pd.DataFrame:
    """The prompts of a round: sample_id, prompt, category."""
    rows = []
    order = list(kinds)
    for category in wanting:
        enough = len(pool[category]) > how.seeds_until
        shown = pool[category] if enough else kinds[category].seeds
        for query in range(how.queries):
            rng = np.random.default_rng([seed, number, order.index(category), query])
            chosen = rng.choice(len(shown), min(how.examples, len(shown)), replace=False)
            instructions = "\n".join(f"- {shown[i]}" for i in chosen)
            prompt = how.prompt.replace("{category}", category)
            prompt = prompt.replace("{instructions}", instructions)
            rows.append((store.key([category, number, query, prompt]), prompt, category))
    return pd.DataFrame(rows, columns=["sample_id", "prompt", "category"])


def _judged(
    texts: list[str], category: str, number: int, pool: Pool, how: Imitation, seeds: int
) -> list[Item]:
    """One answer's items; what is accepted joins the pool. seeds: how many the category has."""
    if not texts:
        return [Item(category, number, "", np.nan, Fate.NO_LIST)]
    items = []
    fewest, most = how.words
    for text in texts:
        near = np.nan
        if not fewest <= len(text.split()) <= most:
            fate = Fate.LENGTH
        elif len(pool[category]) - seeds >= how.per_category:
            fate = Fate.NOT_NEEDED
        else:
            near = closest(text, [other for others in pool.values() for other in others])
            fate = Fate.ACCEPTED if near < how.bleu else Fate.TOO_CLOSE
        if fate is Fate.ACCEPTED:
            pool[category].append(text)
        items.append(Item(category, number, text, near, fate))
    return items


def example_questions(instructions: pd.DataFrame, kinds: dict[str, Category]) -> pd.DataFrame:
    """Give what prompts the target for an example of each instruction.

    instructions: columns category, instruction; they come back with kind, prompt and sample_id.
    """
    of_category = zip(instructions["category"], instructions["instruction"], strict=True)
    prompts = [kinds[c].ask.replace("{instruction}", text) for c, text in of_category]
    return instructions.assign(
        kind=[kinds[category].kind for category in instructions["category"]],
        prompt=prompts,
        sample_id=[store.key(prompt) for prompt in prompts],
    )


def examples(how: Imitation, target: Target, instructions: pd.DataFrame) -> pd.DataFrame:
    """Let the target answer each accepted instruction once.

    The output is the whole answer: where the instruction speaks of a text, the input that the
    target made up is part of it. Short = under `answer_words` words.

    Parameters
    ----------
    instructions
        As `bootstrap` returns.

    Returns
    -------
    pandas.DataFrame
        Columns category, kind, instruction, output, words, fate (an `AnswerFate`).

    References
    ----------
    Gudibande 2023, §4.1. Differs: one answer an instruction, not 50; a word for a token in the
    limit of ten; no top-p.
    """
    accepted = instructions[instructions["fate"] == Fate.ACCEPTED]
    kinds = categories(how.seeds)
    answers = prompted(
        target,
        "target, examples",
        example_questions(accepted[["category", "instruction"]], kinds),
        temperature=how.answer_temperature,
        max_new_tokens=how.answer_tokens,
    )
    words = answers["response"].map(lambda text: len(text.split()))
    long_enough = words >= how.answer_words
    fate = np.where(long_enough, str(AnswerFate.KEPT), str(AnswerFate.SHORT))
    table = answers.assign(output=answers["response"], words=words, fate=fate)
    return table[EXAMPLE_COLUMNS]


def summary(instructions: pd.DataFrame) -> pd.DataFrame:
    """Count what became of everything the target wrote.

    Parameters
    ----------
    instructions
        As `bootstrap` returns.

    Returns
    -------
    pandas.DataFrame
        A row for each category and one for all: a column for each fate, and accepted_share, of
        the items that were accepted or failed a filter.
    """
    counts = instructions.groupby(["category", "fate"], sort=False).size().unstack(fill_value=0)
    order = [Fate.SEED, Fate.ACCEPTED, Fate.TOO_CLOSE, Fate.LENGTH, Fate.NOT_NEEDED, Fate.NO_LIST]
    counts = counts.reindex(columns=[str(fate) for fate in order], fill_value=0)
    whole = counts.sum().to_frame("all").T
    counts = pd.concat([counts, whole]).rename_axis("category").reset_index()
    judged = counts[Fate.ACCEPTED] + counts[Fate.TOO_CLOSE] + counts[Fate.LENGTH]
    share = counts[Fate.ACCEPTED] / judged.where(judged > 0)
    return counts.assign(accepted_share=share.round(3))


def spec(how: Imitation, target: Target) -> dict:
    """Give what decides the imitation dataset, for the store's keys.

    The target, the seed, the categories, how the target is prompted and what is kept.
    """
    # what happens to the dataset afterwards, and what stands beside as content
    later = {"imitator", "suspects", "references", "rated", "mixture", "budgets"}
    dumped = how.model_dump(mode="json", exclude=later | {"seeds", "target"}, exclude_defaults=True)
    asked = responses.spec("", target.training, target.sampling)
    return {
        "target": target.training.spec,
        "how": dumped,
        "seed": target.sampling.seed,
        "seeds": {c: store.spec_of(kind) for c, kind in categories(how.seeds).items()},
        **{name: asked[name] for name in ("max_prompt_tokens", "server") if name in asked},
    }
