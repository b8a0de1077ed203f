"""Token log-probabilities of given texts under a model: one way to read them, and a store of them.

A text is a pair of prompt and answer in the model's own format (its chat template), as in tuning
and prompting.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from dsi_core.models import load
from dsi_core.models.sampling import READ
from dsi_core.models.tuning import Training, load_tuned
from dsi_core.runtime import disk, jobs, locks, released, store
from dsi_core.runtime.engines import work
from dsi_core.runtime.precision import device_name

if TYPE_CHECKING:
    import torch

VALUES = ["logprobs", "means", "stds"]
Prefix = list[tuple[str, str]]  # pairs that stand before a text
Given = tuple[pd.DataFrame, Prefix]  # as `score` takes them
PAIR = ["prompt", "answer"]
LOGITS = 2**26  # computed at once (256 MB in fp32): a large vocabulary makes a token 1 MB
# Tokens whose distributions are summed up together: in place, and small enough to stay near the
# processor
BLOCK = 4


# Reading


class Text(NamedTuple):
    """Token ids of what is given, and of what is scored after it."""

    given: list[int]
    scored: list[int]


def encode(
    tokenizer, prompt: str, answer: str, scored: int | None = None, both: int | None = None
) -> Text:
    """Encode a prompt and its answer, without the end token, which is no part of the text.

    Parameters
    ----------
    scored
        At most so many tokens of the answer, its first ones; None = all.
    both
        At most so many tokens of prompt and answer: the last ones of the prompt are kept, at least
        one; None = all.
    """
    before = load.encode_prompt(tokenizer, prompt)
    after = load.encode_answer(tokenizer, answer)[:-1][:scored]
    if both is not None:
        before = before[-max(1, both - len(after)) :]
    return Text(before, after)


def logprobs(model, texts: Sequence[Text]) -> list[np.ndarray]:
    """Read texts, each with a prompt of its own.

    Returns
    -------
    list of numpy.ndarray
        For each text log p(token | all before it) of its scored tokens, in nats, fp32, shape
        (scored,); -inf for a token that cannot occur.
    """
    values = [np.zeros(0, np.float32) for _ in texts]
    rows = {i: text for i, text in enumerate(texts) if text.scored}
    for done, (i, logits) in enumerate(_read(model, rows)):
        values[i] = _logprobs(logits, rows[i].scored)
        jobs.report((done + 1) / len(rows))
    return values


def distributions(
    model, given: list[int], continuations: Sequence[list[int]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Read a beginning once, and what may follow it.

    Parameters
    ----------
    given
        Token ids, at least one.
    continuations
        Token ids, at least one each.

    Returns
    -------
    of_given, of_continuations
        `moments` of `given` without its first token, shape (3, len(given) - 1), and of each
        continuation after `given`, shape (3, its length).
    """
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        ids = torch.tensor([given], device=model.device)
        logits = model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0]
        of_given, last = moments(logits[:-1], given[1:]), logits[-1:].clone()
        del logits
    rows = {i: Text(given, ids) for i, ids in enumerate(continuations)}
    values = {}
    for i, logits in _read(model, rows, cache):
        values[i] = moments(torch.cat([last, logits]), continuations[i])
    return of_given, [values[i] for i in range(len(continuations))]


def _read(model, texts: dict[int, Text], cache=None) -> "Iterator[tuple[int, torch.Tensor]]":
    """Each text's key and the logits that score it, shape (scored, vocabulary), batch by batch.

    With a cache, of the `given` that all texts share, one row fewer: the first token's logits came
    with the cache. Without one, texts are padded on the left, so that their scored parts end
    together and logits are computed for these alone; with one on the right, where padding does not
    part them from what is in the cache (a sliding window counts it).
    """
    import torch

    vocabulary, device = model.config.get_text_config().vocab_size, model.device
    before = 0 if cache is None else len(next(iter(texts.values())).given)
    for batch in _batches(texts, vocabulary):
        rows = [(texts[i].given + texts[i].scored)[before:] for i in batch]
        width = max(map(len, rows))
        gaps = [width - len(row) for row in rows]
        left, right = (gaps, [0] * len(rows)) if cache is None else ([0] * len(rows), gaps)
        around = list(zip(rows, left, right, strict=True))
        ids = torch.tensor([[0] * a + row + [0] * b for row, a, b in around], device=device)
        mask = torch.tensor(
            [[0] * a + [1] * (before + len(row)) + [0] * b for row, a, b in around], device=device
        )
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, before:]
        past = None
        if cache is not None:
            past = copy.deepcopy(cache)
            past.batch_repeat_interleave(len(batch))
        keep = min(width, max(len(texts[i].scored) for i in batch) + 1)
        with torch.inference_mode():
            logits = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=past,
                use_cache=past is not None,
                logits_to_keep=keep,
            ).logits
            for i, of_row, padding in zip(batch, logits, right, strict=True):
                last = keep - padding - 1  # predicts what comes after the text
                count = len(texts[i].scored) - (cache is not None)
                yield i, of_row[last - count : last]


def _batches(texts: dict[int, Text], vocabulary: int) -> Iterator[list[int]]:
    """Keys of texts that go together: of similar length, and of `READ` tokens, `LOGITS` logits.

    A beginning that is in a cache counts: each text gets a copy of its keys and values.
    """
    order = sorted(texts, key=lambda i: (len(texts[i].scored), len(texts[i].given)))
    batch: list[int] = []
    width = 0
    for i in order:
        given, scored = map(len, texts[i])
        width, many = max(width, given + scored), len(batch) + 1
        if batch and (many * (scored + 1) * vocabulary > LOGITS or many * width > READ):
            yield batch
            batch, width = [], given + scored
        batch.append(i)
    if batch:
        yield batch


def _logprobs(logits, tokens: list[int]) -> np.ndarray:
    """Log-probability of each token, shape (tokens,)."""
    import torch

    at = torch.tensor(tokens, device=logits.device)[:, None]
    scores = logits.float()  # torch's log_softmax loses digits on a CPU, see `loss`
    return (scores.gather(1, at)[:, 0] - scores.logsumexp(dim=-1)).cpu().numpy()


def moments(logits, tokens: list[int]) -> np.ndarray:
    """Give log p of each token, and mean and standard deviation of log p where it stands.

    Mean and deviation are over the vocabulary, weighted by p (0 log 0 = 0). All are in nats and
    finite: a log-probability counts as at least the likeliest token's less 1000.

    Parameters
    ----------
    logits
        Shape (tokens, vocabulary), of the place before each token.

    Returns
    -------
    numpy.ndarray
        Shape (3, tokens), fp32.
    """
    import torch

    parts = [torch.zeros(3, 0)]
    ids = torch.tensor(tokens, dtype=torch.long, device=logits.device)
    for some, at in zip(logits.split(BLOCK), ids.split(BLOCK), strict=True):
        # A token that cannot occur would be 0 times -inf
        logs = (some.float() - some.amax(dim=-1, keepdim=True)).clamp_(min=-1000.0)
        p = logs.exp()
        total = p.sum(dim=-1)
        own = logs.gather(1, at[:, None])[:, 0]
        mean = (p * logs).sum(dim=-1) / total
        # The variance around the mean: as a difference of two sums it could round to less than 0
        variance = p.mul_(logs.sub_(mean[:, None]).square_()).sum(dim=-1) / total
        parts.append(torch.stack([own - total.log(), mean - total.log(), variance.sqrt()]).cpu())
    return torch.cat(parts, dim=1).numpy()


# Through the store


class Variant(StrEnum):
    """In which version a text is read; values as in tables."""

    ORIGINAL = "original"  # the prompt's tokens are scored as well
    LOWERCASE = "lowercase"
    NEIGHBOUR = "neighbour"  # several of a text, by number
    RECALL = "recall"  # the original, after other pairs


@dataclass(frozen=True)
class Padded:
    """Values of several texts beside each other, each of shape (texts, longest text).

    logprobs, means, stds: as `distributions` returns them, 0 where there is no token; mask: True
    where there is one.
    """

    logprobs: np.ndarray
    means: np.ndarray
    stds: np.ndarray
    mask: np.ndarray


def entry(training: Training, texts: pd.DataFrame, prefix: Prefix, *, make: bool = True) -> Path:
    """Give the store's folder of these texts' values under a model.

    It is named after the model, so that a suspect and a reference may share it.
    """
    spec = {
        "model": training.spec,
        "texts": store.key(texts.to_numpy().tolist()),
        "prefix": store.key(prefix),
    }
    return released.entry("losses", training.name, spec, make=make)


def score(training: Training, texts: pd.DataFrame, prefix: Prefix) -> Path:
    """Tune the model if needed and store its values of each text, in `losses.parquet`.

    Parameters
    ----------
    texts
        Columns sample_id, prompt, variant (`Variant`), number, answer. A sample's variants share a
        prompt, which is read once; the variant "recall" is read after the pairs of `prefix`.

    Returns
    -------
    pathlib.Path
        Of the folder, for `read`: one row per row of `texts`, in its order.
    """
    return score_all(training, [(texts, prefix)])[0]


def score_all(training: Training, given: Sequence[Given]) -> list[Path]:
    """Do what `score` does for several tables of texts; the model is tuned and loaded once."""
    loaded = cache(partial(load_tuned, training))
    folders = []
    for done, (texts, prefix) in enumerate(given):
        with work.part(done / len(given), (done + 1) / len(given)):
            folders.append(_score(training, texts, prefix, loaded))
    return folders


def _score(
    training: Training, texts: pd.DataFrame, prefix: Prefix, loaded: Callable[[], tuple]
) -> Path:
    folder = entry(training, texts, prefix)
    with locks.held(folder):
        if store.manifest(folder) is None:
            model, tokenizer = loaded()
            started = time.time()  # tuning and loading have their own records
            after_prefix = texts["variant"] == Variant.RECALL
            values = _alone(model, tokenizer, texts[~after_prefix])
            values |= _after(model, tokenizer, prefix, texts[after_prefix])
            table = texts[["sample_id", "variant", "number"]].astype({"variant": str})
            table["prompt_tokens"] = [values[row][0] for row in texts.index]
            for place, name in enumerate(VALUES):
                table[name] = [values[row][1][place] for row in texts.index]
            disk.write_table(folder / "losses.parquet", table)
            store.finish(
                folder,
                texts=len(table),
                tokens=int(table["logprobs"].map(len).sum()),
                device=device_name(),
                seconds=round(time.time() - started, 1),
            )
    return folder


def _alone(model, tokenizer, texts: pd.DataFrame) -> dict[int, tuple[int, np.ndarray]]:
    """{row: (scored tokens of its prompt, values)} of texts that nothing stands before."""
    values = {}
    count = texts["sample_id"].nunique()
    for done, (_, sample) in enumerate(texts.groupby("sample_id", sort=False)):
        pairs = [encode(tokenizer, *pair) for pair in sample[PAIR].to_numpy()]
        of_prompt, of_answers = distributions(model, pairs[0].given, [t.scored for t in pairs])
        for row, variant, answer in zip(sample.index, sample["variant"], of_answers, strict=True):
            if variant == Variant.ORIGINAL:
                whole = np.concatenate([of_prompt, answer], axis=1)
                values[row] = of_prompt.shape[1], whole
            else:
                values[row] = 0, answer
        jobs.report(0.2 + 0.6 * (done + 1) / count)
    return values


def _after(
    model, tokenizer, prefix: Prefix, texts: pd.DataFrame
) -> dict[int, tuple[int, np.ndarray]]:
    """The same of texts after the prefix's pairs, each encoded as if it stood alone."""
    if texts.empty:
        return {}
    before: list[int] = []
    for prompt, answer in prefix:
        before += load.encode_prompt(tokenizer, prompt) + load.encode_answer(tokenizer, answer)
    pairs = [encode(tokenizer, *pair) for pair in texts[PAIR].to_numpy()]
    _, values = distributions(model, before, [t.given + t.scored for t in pairs])
    return {
        row: (len(pair.given), value)
        for row, pair, value in zip(texts.index, pairs, values, strict=True)
    }


def read(folder: Path) -> pd.DataFrame:
    """Read the stored values.

    Returns
    -------
    pandas.DataFrame
        sample_id, variant, number, prompt_tokens (how many of the values are of the prompt, the
        first ones), and the columns of `VALUES` with an array in each row.
    """
    return disk.read_table(folder / "losses.parquet")


def padded(values: pd.DataFrame, *, with_prompt: bool = False) -> Padded:
    """Lay the values of texts (as `read` returns them) beside each other.

    with_prompt: the prompt's scored tokens too, template included, from its second one on. Raises
    `ValueError` for a text without a token.
    """
    skip = values["prompt_tokens"].to_numpy() * (not with_prompt)
    lengths = values["logprobs"].map(len).to_numpy() - skip
    if (lengths < 1).any():
        empty = values["sample_id"].iloc[int(np.argmax(lengths < 1))]
        raise ValueError(
            f"{empty}: the {'text' if with_prompt else 'answer'} has no token to score"
        )
    mask = np.arange(lengths.max()) < lengths[:, None]
    arrays = {name: np.zeros(mask.shape) for name in VALUES}
    for name, array in arrays.items():
        rows = zip(values[name], skip, strict=True)
        array[mask] = np.concatenate([np.asarray(row, float)[first:] for row, first in rows])
    return Padded(**arrays, mask=mask)
