"""Perplexity: how likely does each base find a reply, given the prompt?

For models that we can look into.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.models import load, token_logprobs
from dsi_core.models.load import Base
from dsi_core.runtime import disk, jobs, locks, released, store
from dsi_core.runtime.precision import Precision, detect, device_name
from dsi_core.settings.profile import Profile

MOST = 1024, 2048  # tokens of a reply, and of prompt and reply
LEAST = 1e-38  # a probability that fp32 rounds to 0 counts as this: 87.5 nats
TEXT = ["prompt", "reply"]


@dataclass(frozen=True)
class Task:
    """Replies (columns prompt, reply) that one base reads."""

    base: Base
    precision: Precision
    texts: pd.DataFrame

    @cached_property
    def folder(self) -> Path:
        """Where nats and tokens lie in the store."""
        spec = {
            "base": self.base.spec,
            "precision": self.precision.label(),
            "texts": store.key(self.texts.to_numpy().tolist()),
        }
        return released.entry("attribution", f"perplexity {self.base.name}", spec)

    @property
    def job(self) -> jobs.Job:
        """The work of it."""
        whole = replace(self)  # another machine has another folder
        title = f"perplexity under {self.base.name}"
        return jobs.Job(title, score, (whole,), len(self.texts), **self.base.needs)


def nats_under(base: str) -> str:
    """Name the column of negative log-likelihoods under a base."""
    return f"nats under {base}"


def tokens_under(base: str) -> str:
    """Name the column of token counts under a base."""
    return f"tokens under {base}"


def with_nats(profile: Profile, replies: pd.DataFrame) -> pd.DataFrame:
    """Let every base of a dataset read all its replies; one job for each base.

    Returns
    -------
    pandas.DataFrame
        `replies` with the columns `nats_under` (negative log-likelihood of the reply given the
        prompt, summed) and `tokens_under` each of its dataset's bases; NaN under another's. A reply
        without a token has 0 of both; the end token does not count.
    """
    precision = detect(profile.precision)
    planned = []
    for _, part in replies.groupby("dataset", sort=False):
        texts = part[TEXT].drop_duplicates()
        bases = [load.base(profile, name) for name in sorted(part["base"].unique())]
        planned.append((part, [Task(base, precision, texts) for base in bases]))
    missing = [
        task for _, tasks in planned for task in tasks if store.manifest(task.folder) is None
    ]
    load.prepare_all(task.base for task in missing)
    jobs.run([task.job for task in missing])
    return pd.concat([_joined(part, tasks) for part, tasks in planned])


def _joined(replies: pd.DataFrame, tasks: list[Task]) -> pd.DataFrame:
    columns = {}
    for task in tasks:
        values = disk.read_table(task.folder / "scores.parquet")
        texts = task.texts
        assert len(values) == len(texts), f"{task.folder}: {len(values)} of {len(texts)} texts"
        named = texts.assign(nats=values["nats"].to_numpy(), tokens=values["tokens"].to_numpy())
        rows = replies[TEXT].merge(named, on=TEXT, how="left", validate="m:1")
        columns[nats_under(task.base.name)] = rows["nats"].to_numpy()
        columns[tokens_under(task.base.name)] = rows["tokens"].to_numpy()
    return replies.assign(**columns)


def score(task: Task) -> None:
    """Store nats and tokens of each text, in their order."""
    with locks.held(task.folder):
        if store.manifest(task.folder) is None:
            model, tokenizer = load.load(task.base, task.precision)
            started = time.time()  # loading has its own record
            pairs = task.texts[TEXT].to_numpy()
            texts = [
                token_logprobs.encode(tokenizer, prompt, reply, *MOST) for prompt, reply in pairs
            ]
            probabilities = [np.exp(values) for values in token_logprobs.logprobs(model, texts)]
            table = pd.DataFrame(
                {
                    "nats": [float(-np.log(np.maximum(p, LEAST)).sum()) for p in probabilities],
                    "tokens": [len(text.scored) for text in texts],
                }
            )
            disk.write_table(task.folder / "scores.parquet", table)
            store.finish(
                task.folder,
                replies=len(table),
                device=device_name(),
                seconds=round(time.time() - started, 1),
            )


def table(replies: pd.DataFrame) -> pd.DataFrame:
    """Show the perplexity of every model's replies under each base.

    Returns
    -------
    pandas.DataFrame
        dataset, model, base (the truth), tuned, then a column per base: exp(nats / tokens) over all
        replies, at least 1, lower = likelier (the paper picks the lowest). Tokens are those of the
        base that scores, so columns of bases with different vocabularies are not on one scale.
    """
    parts = []
    for _, part in replies.groupby("dataset", sort=False):
        bases = sorted(part["base"].unique())
        columns = [name(base) for base in bases for name in (nats_under, tokens_under)]
        groups = part.groupby(["dataset", "model", "base", "tuned"], sort=False)
        sums = groups[columns].sum().reset_index()
        named = sums[["dataset", "model", "base", "tuned"]]
        for base in bases:
            count = sums[tokens_under(base)].clip(lower=1)
            named = named.assign(**{f"under {base}": np.exp(sums[nats_under(base)] / count)})
        parts.append(named)
    return pd.concat(parts, ignore_index=True)
