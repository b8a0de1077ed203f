"""How many tokens a dataset's texts make: counted by a model's tokenizer at hand, or guessed."""

from dataclasses import dataclass
from typing import Any

from dsi_core.data.pairs import Dataset, load_pairs
from dsi_core.models import load
from dsi_core.models.load import Base
from dsi_core.planning.assumptions import rule
from dsi_core.runtime import store
from dsi_core.runtime.paths import ROOT

SAMPLE = 200  # pairs that are counted


@dataclass(frozen=True)
class Lengths:
    """How a model reads and writes the texts of a dataset.

    Attributes
    ----------
    chars_per_token
        Of the mean text.
    template_tokens
        Of a prompt, beside its text.
    end_tokens
        Of an answer, beside its text.
    """

    chars_per_token: float
    template_tokens: float
    end_tokens: int


def lengths(dataset: Dataset, base: Base | None = None) -> Lengths:
    """Count the tokens of some of a dataset's pairs, template and all, or guess.

    base: whose tokenizer counts; without a base, or if its tokenizer is not at hand (in the store,
    a folder or the hub's cache), the rules of params/plan.yaml give a guess.
    """
    if base is None or not _is_at_hand(base):
        return Lengths(rule("chars_per_token"), rule("template_tokens"), 0)
    of, data = store.key(base.spec), store.key(store.spec_of(dataset))
    if of not in _tokenizers:
        _tokenizers[of] = load.tokenizer_of(base)
    if (of, data) not in _counted:
        _counted[of, data] = _count(dataset, _tokenizers[of])
    return _counted[of, data]


_tokenizers: dict[str, Any] = {}  # by what decides them, as in the store's keys
_counted: dict[tuple[str, str], Lengths] = {}


def _count(dataset: Dataset, tokenizer: Any) -> Lengths:
    pairs = load_pairs(dataset)
    some = pairs.iloc[:: -(-len(pairs) // SAMPLE)]
    template, end = (len(f(tokenizer, "")) for f in (load.encode_prompt, load.encode_answer))
    tokens = sum(len(load.encode_prompt(tokenizer, text)) - template for text in some["prompt"])
    tokens += sum(len(load.encode_answer(tokenizer, text)) - end for text in some["output"])
    characters = some["prompt"].str.len().sum() + some["output"].str.len().sum()
    return Lengths(characters / tokens, template, end)


def _is_at_hand(base: Base) -> bool:
    """Whether its tokenizer can be loaded without fetching anything; a toy's tells nothing."""
    source = base.source
    if source.path is not None:
        return (ROOT / source.path / "tokenizer_config.json").is_file()
    return source.toy is None and load.tokenizer_is_here(base)
