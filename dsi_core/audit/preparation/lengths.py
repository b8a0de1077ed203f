"""Lengths: which rows are too long for the models that are tuned on them or asked their prompts.

Every row is checked before any work: a row that is cut teaches and asks something else, and a row
of ten thousand words can fill a machine's memory. Rows whose bytes cannot make too many tokens are
not tokenised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.audit.preparation import innocents
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.data.records import places
from dsi_core.method import participants
from dsi_core.method.participants import Participant
from dsi_core.method.similarity import LONGEST, NO_LIMIT, Backbone, model_type
from dsi_core.models import load
from dsi_core.models.load import Base
from dsi_core.services.request import turns
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Left

COLUMNS = ["sample_id", "tokens", "limit", "base", "of"]
AT_ONCE = 256  # texts that are tokenised together
NAMED = 5  # rows in an error
# A byte may be a token of its own; some tokenizers first write a character of 3 bytes as 33
EXPANDED = 11
AROUND = 256  # tokens of a chat template, at most
SMALLEST_CONTEXT = 1024  # of the models in use


@dataclass(frozen=True)
class Limit:
    """How many tokens of a row a model takes.

    Parameters
    ----------
    base
        Whose tokenizer counts them.
    tokens
        At most, chat template and end token included.
    of
        What sets the limit, in words.
    whole
        Prompt and output together, which a model is tuned on; else the prompt alone.
    system
        The system prompt before it.
    """

    base: Base
    tokens: int
    of: str
    whole: bool
    system: str | None = None


@dataclass(frozen=True)
class Checked:
    """What a check of lengths found.

    Parameters
    ----------
    leave_out
        sample_ids of rows that are too long, where the settings say that they are left out.
    unmeasured
        Base -> how many rows may be too long for it, whose tokenizer is not here.
    """

    leave_out: tuple[str, ...]
    unmeasured: Mapping[str, int]


def check(profile: Profile, name: str, *, fetch: bool) -> Checked:
    """Check every row of a dataset against the models that are tuned on it or asked its prompts.

    Parameters
    ----------
    profile
        As `accusation.profile_of` gives it.
    name
        Of the dataset.
    fetch
        Whether models may be fetched and unpacked where a row may be too long for them.

    Raises
    ------
    ValueError
        With row, tokens and limit, unless the dataset's settings say that such rows are left out.
    """
    source = profile.data[name]
    pairs = load_pairs(dataset(profile, name))
    found: list[pd.DataFrame] = []
    unmeasured: dict[str, int] = {}
    for limit in limits(
        profile, name, longest=int(most_tokens(pairs["prompt"]).max()), fetch=fetch
    ):
        some = _may_exceed(pairs, limit)
        if some.empty:
            continue
        if fetch or load.tokenizer_is_here(limit.base):
            found.append(beyond(some, limit))
        else:
            unmeasured[limit.base.name] = max(len(some), unmeasured.get(limit.base.name, 0))
    table = worst(found)
    if len(table) and Left.TOO_LONG not in source.drop:
        raise ValueError(_said(table, len(pairs), places(source, table["sample_id"].head(NAMED))))
    return Checked(tuple(table["sample_id"]), unmeasured)


def _said(found: pd.DataFrame, rows: int, where: Mapping[str, str]) -> str:
    lines = [
        f"{where[str(row.sample_id)]}: {row.tokens:,} tokens of {row.base}, "
        f"where {row.of} allows {row.limit:,}"
        for row in found.head(NAMED).itertuples()
    ]
    more = f"; and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return (
        f"{len(found):,} of {rows:,} rows are too long: {'; '.join(lines)}{more}. Shorten them, "
        "leave them out (--drop too-long, in a profile drop: [too-long]), or raise the limit in "
        "the profile"
    )


def limits(profile: Profile, name: str, *, longest: int, fetch: bool) -> list[Limit]:
    """Give the limits of the rows of a dataset: the lowest of each base, for tuning and asking.

    A recipe that leaves out long prompts itself (`long_prompts`) sets no limit. A base's context is
    looked up if the base is here, or if prompts of `longest` tokens may be too long for it and it
    may be fetched.
    """
    found = []
    for model in participants.participants(profile):
        base = model.training.base
        if base.source.endpoint is not None:
            continue
        recipe = model.training.recipe
        tuned_on = [d.name for d in model.training.datasets]
        if recipe is not None and name in tuned_on and recipe.long_prompts == "refuse":
            of = f"recipe {model.training.recipe_name!r} (max_tokens)"
            found.append(Limit(base, recipe.max_tokens, of, whole=True))
        if name in profile.victims:
            long = longest + AROUND > SMALLEST_CONTEXT // 2
            reads = load.tokenizer_is_here(base) or (fetch and long)
            found += _of_asking(profile, model, load.context_of(base) if reads else None)
    lowest: dict[tuple, Limit] = {}
    for limit in sorted(found, key=lambda each: each.tokens):
        lowest.setdefault((limit.base.name, limit.whole, limit.system), limit)
    return list(lowest.values())


def _of_asking(profile: Profile, model: Participant, context: int | None) -> list[Limit]:
    """What bounds the prompts that a model is asked, by the profile and by what it can read."""
    base, responses = model.training.base, profile.responses
    system = None if model.is_reference else responses.system
    if not model.is_reference and not model.trained.data:  # it is asked to be concise, too
        system = "\n".join(filter(None, [system, innocents.ASKED_CONCISE]))
    found = []
    if responses.max_prompt_tokens is not None:
        of = "the profile (max_prompt_tokens)"
        found.append(Limit(base, responses.max_prompt_tokens, of, whole=False, system=system))
    if context is not None:
        of = f"its context of {context:,} less {responses.max_new_tokens} for an answer"
        room = context - responses.max_new_tokens
        found.append(Limit(base, room, of, whole=False, system=system))
    return found


def worst(found: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Give each row once, with the limit that it exceeds most; the rows as they first come."""
    table = pd.concat([pd.DataFrame(columns=COLUMNS, dtype=object), *found], ignore_index=True)
    times = (table["tokens"] / table["limit"]).astype(float)
    kept = table.assign(times=times).sort_values("times").drop_duplicates("sample_id", keep="last")
    order = {i: place for place, i in enumerate(table["sample_id"].drop_duplicates())}
    return kept.sort_values("sample_id", key=lambda ids: ids.map(order))[COLUMNS].reset_index(
        drop=True
    )


def _may_exceed(pairs: pd.DataFrame, limit: Limit) -> pd.DataFrame:
    """The rows that have so many bytes that they may be beyond a limit."""
    most = most_tokens(pairs["prompt"]) + AROUND + len((limit.system or "").encode())
    if limit.whole:
        most = most + most_tokens(pairs["output"])
    return pairs[(most > limit.tokens).to_numpy()]


def most_tokens(texts: pd.Series) -> pd.Series:
    """Give how many tokens texts can have at most, by their bytes."""
    plain = texts.map(lambda text: len(text.encode("ascii", "ignore")))
    return EXPANDED * (texts.map(lambda text: len(text.encode())) - plain) + plain


def beyond(pairs: pd.DataFrame, limit: Limit) -> pd.DataFrame:
    """Find the rows beyond one limit; its base is made if it is not here.

    Parameters
    ----------
    pairs
        Columns sample_id, prompt, output.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, tokens, limit, base, of; in the order of `pairs`.
    """
    tokenizer = load.tokenizer_of(limit.base)
    written = [
        tokenizer.apply_chat_template(
            turns(prompt, limit.system), add_generation_prompt=True, tokenize=False
        )
        for prompt in pairs["prompt"]
    ]
    tokens = _counted(tokenizer, written)
    if limit.whole:
        tokens = tokens + _counted(tokenizer, pairs["output"].tolist()) + 1  # the end token
    far = tokens > limit.tokens
    return pd.DataFrame(
        {
            "sample_id": pairs["sample_id"].to_numpy()[far],
            "tokens": tokens[far],
            "limit": limit.tokens,
            "base": limit.base.name,
            "of": limit.of,
        }
    )


def _counted(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """The tokens of each text, none added."""
    parts = (texts[start : start + AT_ONCE] for start in range(0, len(texts), AT_ONCE))
    ids = (tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"] for part in parts)
    return np.array([len(each) for each in chain.from_iterable(ids)], dtype=int)


def compared_in_part(pairs: pd.DataFrame, backbone: Backbone) -> int:
    """Count the outputs of which the similarity can compare only the beginning."""
    some = pairs[(most_tokens(pairs["output"]) + 2 > LONGEST // 2).to_numpy()]
    if some.empty:
        return 0
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_type(backbone))
    stated = tokenizer.model_max_length
    longest = LONGEST if stated > NO_LIMIT else stated
    return int((_counted(tokenizer, some["output"].tolist()) + 2 > longest).sum())
