"""How large datasets are: stated in params/plan.yaml if they are on the hub, else counted."""

import math
from dataclasses import astuple, dataclass, replace

from dsi_core.data.pairs import Dataset, load_pairs
from dsi_core.models.load import Base
from dsi_core.planning import assumptions, tokens
from dsi_core.planning.assumptions import rule
from dsi_core.runtime import store


@dataclass(frozen=True)
class Size:
    """How large a dataset is.

    Parameters
    ----------
    pairs
        How many.
    prompt_tokens, answer_tokens
        Means, a prompt's with its template.
    longest_tokens
        Of the longest pair; infinite where it is not known.
    tainted
        Tainted samples, which may be all that suspects are asked.
    spread
        Whether lengths are assumed to be exponential, as for data that is not read.
    """

    pairs: int
    prompt_tokens: float
    answer_tokens: float
    longest_tokens: float
    tainted: int
    spread: bool = False

    @property
    def pair_tokens(self) -> float:
        """The mean tokens of a pair, with its template."""
        return self.prompt_tokens + self.answer_tokens

    def cut(self, mean: float, limit: float) -> float:
        """Give the mean of texts of so many tokens, each cut at a limit."""
        return mean * (1 - math.exp(-limit / mean)) if self.spread else min(mean, limit)


@dataclass(frozen=True)
class Prompts:
    """What a model is prompted with.

    Parameters
    ----------
    count
        Prompts.
    size
        Of the dataset that they are from.
    spec
        What decides them, as JSON: part of ids.
    dataset
        Which one that is, if it is one.
    """

    count: int
    size: Size
    spec: list
    dataset: Dataset | None = None

    def read_by(self, base: Base, *, counted: bool = False) -> "Prompts":
        """Give the same as a model reads them."""
        if self.dataset is None:
            return self
        return replace(self, size=size_of(self.dataset, base, counted=counted))


def size_of(dataset: Dataset, base: Base | None = None, *, counted: bool = False) -> Size:
    """Tell a dataset's size: stated in params/plan.yaml if it is on the hub, else counted.

    Raises `ValueError` if it is not stated. base: whose tokens are counted, if its tokenizer is at
    hand. counted: what is not stated is read and counted.
    """
    source, other = dataset.source, dataset.apart_from
    on_hub = source.hub is not None or (other is not None and other.source.hub is not None)
    if not on_hub or (counted and source.hub not in assumptions.read().datasets):
        return _counted(dataset, base)
    stated = assumptions.hub_dataset(str(source.hub), dataset.name)
    if source.half is not None:
        taken = min(stated.rows, source.rows or stated.rows)
        pairs = taken // 2 if source.half == 1 else taken - taken // 2
    else:
        rows = stated.rows - (size_of(other).pairs if other else 0)
        pairs = min(rows, source.rows or rows)
    longest_answer = (source.max_output_chars or math.inf) / rule("chars_per_token")
    return Size(
        pairs,
        stated.prompt_tokens + rule("template_tokens"),
        min(stated.answer_tokens, longest_answer),
        math.inf,
        min(pairs, stated.tainted),
        spread=source.max_output_chars is None,
    )


def _counted(dataset: Dataset, base: Base | None) -> Size:
    """The size of a dataset that is here, from its characters."""
    pairs, how = load_pairs(dataset), tokens.lengths(dataset, base)
    prompts = pairs["prompt"].str.len() / how.chars_per_token + how.template_tokens
    outputs = pairs["output"].str.len() / how.chars_per_token + how.end_tokens
    return Size(
        len(pairs),
        prompts.mean(),
        outputs.mean(),
        (prompts + outputs).max(),
        math.ceil(len(pairs) * rule("local_tainted")),
    )


def prompts_of(dataset: Dataset, *, tainted: bool = False, counted: bool = False) -> Prompts:
    """Give the prompts of a dataset: all of them, or those of its tainted samples."""
    size = size_of(dataset, counted=counted)
    count = size.tainted if tainted else size.pairs
    return Prompts(count, size, dataset_spec(dataset), dataset)


def prompts_like(size: Size) -> Prompts:
    """Give prompts that belong to no dataset: as many and as long as `size` says."""
    return Prompts(size.pairs, size, list(astuple(size)))


def dataset_spec(dataset: Dataset) -> list[dict]:
    """Give what decides a dataset's pairs, without the seed and the dataset it is apart from."""
    other = dataset.apart_from
    source = store.spec_of(dataset.source.model_copy(update={"other_words_of": None}))
    return [source, *(dataset_spec(other) if other else [])]
