"""Token log-probabilities of given texts under a model, through the store: what every grey-box method starts from.

A text is a pair of prompt and answer in the model's own format (its chat template), as in tuning and asking. One reading gives both views:
"answer" = the answer given the prompt, without its end token; "text" = prompt and answer, template included, from the second token on.
"""

import copy
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.models import load
from dsi_core.models.tuning import Training, load_tuned
from dsi_core.runtime import jobs, store
from dsi_core.runtime.precision import device_name

VIEWS = ("answer", "text")
VALUES = ["logprobs", "means", "stds"]
LOGITS = 2**26  # scored at once (256 MB in fp32)
BLOCK = 4  # tokens whose distributions are summed up together: in place, and small enough to stay near the processor


def entry(
    training: Training, texts: pd.DataFrame, prefix: list[tuple[str, str]], *, make: bool = True
) -> Path:
    """Give the store's folder of these texts' values under a model.

    Its name is the model's, so that a suspect and a reference may share it.
    """
    spec = {
        "model": training.spec,
        "texts": store.key(texts.to_numpy().tolist()),
        "prefix": store.key(prefix),
    }
    return store.entry("losses", training.name, spec, make=make)


def score(training: Training, texts: pd.DataFrame, prefix: list[tuple[str, str]]) -> Path:
    """Tune the model if needed and store what it thinks of each text, in `losses.parquet`.

    Parameters
    ----------
    texts
        Columns sample_id, prompt, variant, answer. A sample's variants share a prompt, which is
        read once; the variant "recall" is read after the pairs of `prefix`.

    Returns
    -------
    pathlib.Path
        Of the folder, for `read`: one row per row of `texts`, in its order.
    """
    folder = entry(training, texts, prefix)
    with store.lock(folder):
        if store.manifest(folder) is None:
            model, tokenizer = load_tuned(training)
            started = time.time()  # tuning and loading have their own records
            values = _plain(model, tokenizer, texts) | _after(model, tokenizer, texts, prefix)
            rows = [
                {
                    "sample_id": text.sample_id,
                    "variant": text.variant,
                    "given": values[text.Index][0],
                    **dict(zip(VALUES, values[text.Index][1], strict=True)),
                }
                for text in texts.itertuples()
            ]
            store.write_table(folder / "losses.parquet", pd.DataFrame(rows))
            store.finish(
                folder,
                texts=len(rows),
                tokens=sum(len(row["logprobs"]) for row in rows),
                device=device_name(),
                seconds=round(time.time() - started, 1),
            )
    return folder


def _plain(model, tokenizer, texts: pd.DataFrame) -> dict[int, tuple[int, np.ndarray]]:
    """{row: (given, values)} of all variants but "recall"."""
    found, plain = {}, texts[texts["variant"] != "recall"]
    for done, (_, part) in enumerate(plain.groupby("sample_id", sort=False)):
        prompt = load.encode_prompt(tokenizer, part["prompt"].iloc[0])
        before, after = token_values(model, prompt, [_answer(tokenizer, a) for a in part["answer"]])
        for row, variant, values in zip(part.index, part["variant"], after):
            found[row] = (
                (before.shape[1], np.concatenate([before, values], axis=1))
                if variant == "original"
                else (0, values)
            )
        jobs.report(0.2 + 0.6 * (done + 1) / plain["sample_id"].nunique())
    return found


def _after(
    model, tokenizer, texts: pd.DataFrame, prefix: list[tuple[str, str]]
) -> dict[int, tuple[int, np.ndarray]]:
    """The same of the variant "recall": prompt and answer after the prefix's pairs, each encoded as if it stood alone."""
    part = texts[texts["variant"] == "recall"]
    if part.empty:
        return {}
    shots = [
        i
        for prompt, answer in prefix
        for i in load.encode_prompt(tokenizer, prompt) + load.encode_answer(tokenizer, answer)
    ]
    prompts = [load.encode_prompt(tokenizer, p) for p in part["prompt"]]
    _, values = token_values(
        model, shots, [p + _answer(tokenizer, a) for p, a in zip(prompts, part["answer"])]
    )
    return {row: (len(p), v) for row, p, v in zip(part.index, prompts, values)}


def _answer(tokenizer, answer: str) -> list[int]:
    return load.encode_answer(tokenizer, answer)[
        :-1
    ]  # without the end token: it is no part of the text


def token_values(
    model, given: list[int], continuations: list[list[int]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Log-probability of each token, and mean and standard deviation of the log-probabilities where it stands.

    Returns (of `given` without its first token, shape (3, len(given) - 1); of each continuation after `given`, shape (3, its length)).
    `given` is read once; continuations, of at least a token each, are padded on the right and masked.
    """
    import torch
    from transformers import DynamicCache

    device, vocabulary = model.device, model.config.get_text_config().vocab_size
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        ids = torch.tensor([given], device=device)
        logits = model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0]
        own, last = _values(logits[:-1], ids[0, 1:]), logits[-1:].clone()
        del logits
        order = sorted(range(len(continuations)), key=lambda i: len(continuations[i]))
        longest = max(map(len, continuations))
        size, found = max(1, LOGITS // (longest * vocabulary)), {}
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            width = max(len(continuations[i]) for i in batch)
            ids = torch.tensor(
                [continuations[i] + [0] * (width - len(continuations[i])) for i in batch],
                device=device,
            )
            mask = torch.tensor(
                [
                    [1] * (len(given) + len(continuations[i]))
                    + [0] * (width - len(continuations[i]))
                    for i in batch
                ],
                device=device,
            )
            past = copy.deepcopy(cache)
            past.batch_repeat_interleave(len(batch))
            logits = model(
                input_ids=ids, attention_mask=mask, past_key_values=past, use_cache=True
            ).logits
            for row, i in enumerate(batch):
                length = len(continuations[i])
                found[i] = _values(torch.cat([last, logits[row, : length - 1]]), ids[row, :length])
    return own, [found[i] for i in range(len(continuations))]


def _values(logits, tokens) -> np.ndarray:
    """Shape (3, tokens): log-probability, mean and standard deviation; the latter two weighted by p, so that 0 log 0 is 0."""
    import torch

    found = [torch.zeros(3, 0)]
    for some, ids in zip(logits.split(BLOCK), tokens.split(BLOCK)):
        logs = (some.float() - some.amax(dim=-1, keepdim=True)).clamp_(
            min=-1000.0
        )  # a token that cannot occur would be 0 times -inf
        p = logs.exp()
        total = p.sum(dim=-1)
        at, mean = logs.gather(1, ids[:, None])[:, 0], (p * logs).sum(dim=-1) / total
        # The variance around the mean: as a difference of two sums it could round to less than nothing
        variance = p.mul_(logs.sub_(mean[:, None]).square_()).sum(dim=-1) / total
        found.append(torch.stack([at - total.log(), mean - total.log(), variance.sqrt()]).cpu())
    return torch.cat(found, dim=1).numpy()


def read(folder: Path) -> pd.DataFrame:
    """The stored values: sample_id, variant, given, and the columns of `VALUES` with an array in each row."""
    return pd.read_parquet(folder / "losses.parquet")


def padded(table: pd.DataFrame, view: str = "answer") -> tuple[dict[str, np.ndarray], np.ndarray]:
    """({logprobs, means, stds}, mask), each of shape (rows of `table`, longest text); mask = True where there is a token.

    table: as `read` returns. view "answer" leaves out the prompt's tokens. Raises `ValueError` for an unknown view or a text without a token.
    """
    if view not in VIEWS:
        raise ValueError(f"unknown view {view!r}; known: {', '.join(VIEWS)}")
    skip = table["given"].to_numpy() if view == "answer" else np.zeros(len(table), int)
    lengths = np.array([len(v) for v in table["logprobs"]]) - skip
    if (lengths < 1).any():
        raise ValueError(
            f"{table['sample_id'].iloc[int(np.argmax(lengths < 1))]}: no token to score in view {view!r}"
        )
    mask = np.arange(lengths.max()) < lengths[:, None]
    filled = {name: np.zeros(mask.shape) for name in VALUES}
    for name in VALUES:
        filled[name][mask] = np.concatenate(
            [np.asarray(v, float)[s:] for v, s in zip(table[name], skip)]
        )
    return filled, mask
