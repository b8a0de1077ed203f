"""Attribution, perplexity: how likely does each base find a reply, given the prompt? For models that we can look into."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.models import load as models
from dsi_core.paper.dpdllm import features
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile

MOST = 1024, 2048  # tokens of a reply, and of prompt and reply
LEAST = 1e-38  # a probability that fp32 rounded to 0 counts as this: 87.5 nats


def with_nats(profile: Profile, replies: pd.DataFrame) -> pd.DataFrame:
    """`replies` with columns nats (negative log-likelihood of the reply given the prompt, summed) and tokens: in each row an array over
    the dataset's bases, in order of name. A reply without a token has 0 of both; the end token does not count. One job for each base.
    """
    parts = [part for _, part in replies.groupby("dataset", sort=False)]
    texts = [part[["prompt", "reply"]].drop_duplicates() for part in parts]
    wanted = [
        (b, t, _entry(profile, b, t))
        for part, t in zip(parts, texts)
        for b in sorted(part["base"].unique())
    ]
    jobs.run(
        [
            jobs.Job(f"perplexity under {b}", score, (profile, b, t), len(t))
            for b, t, folder in wanted
            if store.manifest(folder) is None
        ]
    )
    return pd.concat([_joined(profile, part, t) for part, t in zip(parts, texts)])


def _joined(profile: Profile, part: pd.DataFrame, texts: pd.DataFrame) -> pd.DataFrame:
    columns = {"nats": [], "tokens": []}
    for base in sorted(part["base"].unique()):
        found = pd.read_parquet(_entry(profile, base, texts) / "scores.parquet")
        assert len(found) == len(texts), f"{base}: {len(found)} scores of {len(texts)} texts"
        rows = part[["prompt", "reply"]].merge(
            texts.assign(**found.to_dict("list")),
            on=["prompt", "reply"],
            how="left",
            validate="m:1",
        )
        columns = {name: [*known, rows[name].to_numpy()] for name, known in columns.items()}
    return part.assign(**{name: list(np.column_stack(arrays)) for name, arrays in columns.items()})


def _entry(profile: Profile, base: str, texts: pd.DataFrame) -> Path:
    """The store's folder of these texts (columns prompt, reply) under a base."""
    return store.entry(
        "attribution",
        f"perplexity {base}",
        {"base": models.base_spec(profile, base), "texts": store.key(texts.to_numpy().tolist())},
    )


def score(profile: Profile, base: str, texts: pd.DataFrame) -> None:
    """Store nats and tokens of each text (columns prompt, reply), in their order."""
    folder = _entry(profile, base, texts)
    with store.lock(folder):
        if store.manifest(folder) is None:
            started, (model, tokenizer) = time.time(), models.load(profile, base)
            rows = [
                features.tokens(tokenizer, t.prompt, t.reply, "clean", *MOST)
                for t in texts.itertuples()
            ]
            nats = [
                float(-np.log(np.maximum(p, LEAST)).sum())
                for p in features.token_probabilities(model, tokenizer, rows)
            ]
            store.write_table(
                folder / "scores.parquet",
                pd.DataFrame({"nats": nats, "tokens": [len(s) for _, s in rows]}),
            )
            store.finish(folder, replies=len(texts), seconds=round(time.time() - started, 1))


def table(replies: pd.DataFrame) -> pd.DataFrame:
    """Perplexity of every model's replies under each base: dataset, model, base (the truth), tuned, then a column per base.

    exp(nats / tokens) over all its replies, at least 1, lower = likelier (the paper picks the lowest). Tokens are those of the base that
    scores, so columns of bases with different vocabularies are not on one scale.
    """
    parts = []
    for _, part in replies.groupby("dataset", sort=False):
        bases = sorted(part["base"].unique())
        groups = part.groupby(["dataset", "model", "base", "tuned"], sort=False)[["nats", "tokens"]]
        rows = groups.agg(lambda arrays: np.sum(np.stack(arrays.to_list()), axis=0))
        values = np.exp(
            np.stack(rows["nats"].to_list()) / np.maximum(np.stack(rows["tokens"].to_list()), 1)
        )
        named = pd.DataFrame(values, columns=[f"under {b}" for b in bases])
        parts.append(
            pd.concat([rows.drop(columns=["nats", "tokens"]).reset_index(), named], axis=1)
        )
    return pd.concat(parts, ignore_index=True)
