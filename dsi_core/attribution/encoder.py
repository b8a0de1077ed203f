"""One-against-rest classifiers by a transformer: over a reply, or a base's and the candidate's.

The paper tunes a multilingual BERT for each base. Differs: one encoder is shared by all of them,
each base having an output of its own (sigmoid and binary cross-entropy), ten times cheaper; the
encoder is the profile's, cut to its first layers, its token embeddings are not tuned; mean of the
last hidden states instead of the pooled output, and no ReLU on the logits. Everything computed here
is stored.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from dsi_core.attribution.replies import settings
from dsi_core.method import similarity
from dsi_core.method.similarity import Backbone
from dsi_core.models.sampling import uniform_numbers
from dsi_core.runtime import disk, jobs, locks, released, store
from dsi_core.settings.extensions import Attribution
from dsi_core.settings.profile import Profile

WARM_UP = 10  # the learning rate rises over one in so many steps
HEAD_RATE = 10  # the new layer learns so many times faster than the encoder
READ_AT_ONCE = 64  # replies
TUNING = {"tokens", "epochs", "negatives", "batch_size", "learning_rate"}


@dataclass(frozen=True)
class Setup:
    """What decides a classifier's scores, beside the replies.

    Parameters
    ----------
    seed
        Of everything that is random.
    attribution
        How the transformer is tuned.
    backbone
        Its encoder, cut to its first `layer` layers.
    """

    seed: int
    attribution: Attribution
    backbone: Backbone

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Give the setup of a profile. Raises `ValueError` if it has no section attribution."""
        attribution = settings(profile)
        backbone = similarity.backbone(profile, attribution.backbone)
        return cls(profile.seed, attribution, backbone)


class Row(NamedTuple):
    """Token ids of one or two texts, and which of them each token is of."""

    ids: list[int]
    kinds: list[int]


class Example(NamedTuple):
    """A row to learn from: its true base, and the base that is in question (None = all of them)."""

    row: Row
    truth: int
    about: int | None


def partners(known: pd.DataFrame, queried: pd.DataFrame, seed: object) -> pd.Series:
    """Give for each queried reply the prompt_id whose replies by the bases are laid beside it.

    A random one of `known`, the same for all bases; never the reply's own prompt, and one of the
    same set of prompts where `known` has one.
    """
    columns = ["prompts", "prompt_id"]
    there = known.loc[~known["tuned"], columns].drop_duplicates().sort_values(columns)
    chosen = {}
    for prompts, prompt_id in queried[columns].drop_duplicates().to_numpy():
        others = there[there["prompt_id"] != prompt_id]
        near = others[others["prompts"] == prompts]
        pool = (near if len(near) else others)["prompt_id"].tolist()
        chosen[prompt_id] = pool[int(len(pool) * uniform_numbers(1, seed, prompt_id)[0])]
    return queried["prompt_id"].map(chosen)


def alone(setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]) -> np.ndarray:
    """Give P(reply is of this base) by the encoder tuned on the replies of `known`.

    Returns
    -------
    numpy.ndarray
        Shape (queried, bases), in (0, 1).
    """

    def compute() -> np.ndarray:
        model = Encoder(setup)
        rows = model.rows(known["reply"])
        truth = [bases.index(base) for base in known["base"]]
        examples = [
            Example(rows[i], truth[i], None)
            for order in _orders(len(rows), setup.attribution.epochs, setup.seed)
            for i in order
        ]
        head = model.tune(examples, len(bases))
        return model.predict(model.rows(queried["reply"]), head)

    return _stored(setup, "transformer", known, queried, bases, compute)


def pairs(setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]) -> np.ndarray:
    """Give P(both replies are this base's), by the encoder tuned on [base's reply SEP reply].

    In every epoch each reply of `known` stands once beside a reply of its own base and `negatives`
    times beside one of another base, always one to another prompt (`partners`).

    Returns
    -------
    numpy.ndarray
        Shape (queried, bases), in (0, 1).
    """

    def compute() -> np.ndarray:
        model = Encoder(setup)
        of_bases = known[~known["tuned"]]
        keys = zip(of_bases["base"], of_bases["prompt_id"], strict=True)
        own = dict(zip(keys, of_bases["reply"], strict=True))
        head = model.tune(_pair_examples(model, known, own, bases), len(bases))
        beside = partners(known, queried, setup.seed)
        columns = []
        for k, base in enumerate(bases):
            rows = model.rows([own[base, p] for p in beside], queried["reply"])
            done = k / len(bases), (k + 1) / len(bases)
            columns.append(model.predict(rows, head, done)[:, k])
        return np.column_stack(columns)

    return _stored(setup, "transformer pairs", known, queried, bases, compute)


def _pair_examples(
    model: "Encoder", known: pd.DataFrame, own: dict[tuple[str, str], str], bases: list[str]
) -> list[Example]:
    """All epochs' pairs in their random order; own: replies by (base, prompt_id)."""
    setup = model.setup
    negatives = min(setup.attribution.negatives, len(bases) - 1)
    truths = [bases.index(base) for base in known["base"]]
    examples = []
    count = len(known) * (1 + negatives)
    for epoch, order in enumerate(_orders(count, setup.attribution.epochs, setup.seed)):
        rng = np.random.default_rng([setup.seed, epoch])
        beside = partners(known, known, f"{setup.seed} {epoch}")
        firsts, seconds, labels = [], [], []
        for truth, reply, prompt_id in zip(truths, known["reply"], beside, strict=True):
            others = [k for k in range(len(bases)) if k != truth]
            for about in [truth, *rng.choice(others, negatives, replace=False)]:
                firsts.append(own[bases[about], prompt_id])
                seconds.append(reply)
                labels.append((truth, int(about)))
        rows = model.rows(firsts, seconds)
        examples += [Example(rows[i], *labels[i]) for i in order]
    return examples


def embeddings(setup: Setup, replies: pd.DataFrame) -> np.ndarray:
    """Give the untuned encoder's embedding of each reply, shape (replies, width)."""

    def compute() -> np.ndarray:
        model = Encoder(setup)
        return model.predict(model.rows(replies["reply"]), None)

    return _stored(setup, "embeddings", replies, replies, [], compute)


def _orders(count: int, epochs: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(count) for _ in range(epochs)]


def _stored(
    setup: Setup,
    kind: str,
    known: pd.DataFrame,
    queried: pd.DataFrame,
    bases: list[str],
    compute: Callable[[], np.ndarray],
) -> np.ndarray:
    """What `compute` returns, shape (queried, any), kept under everything that decides it."""
    columns = ["model", "base", "prompt_id", "reply"]
    texts = [table[columns].to_numpy().tolist() for table in (known, queried)]
    spec = {
        "kind": kind,
        "texts": store.key(texts),
        "bases": bases,
        "seed": setup.seed,
        **setup.attribution.model_dump(include=TUNING),
        "backbone": setup.backbone.spec,
    }
    folder = released.entry("attribution", kind, spec)
    with locks.held(folder):
        if store.manifest(folder) is None:
            scores = compute()
            names = [str(i) for i in range(scores.shape[1])]
            disk.write_table(folder / "scores.parquet", pd.DataFrame(scores, columns=names))
            store.finish(folder, replies=len(scores))
    return disk.read_table(folder / "scores.parquet").to_numpy()


class Encoder:
    """The first `layer` layers of a setup's backbone, on this process's device."""

    def __init__(self, setup: Setup):
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.setup = setup
        where = similarity.model_type(setup.backbone)
        self.tokenizer = AutoTokenizer.from_pretrained(where)
        model = AutoModel.from_pretrained(where, dtype=torch.float32)
        layers = getattr(getattr(model, "encoder", None), "layer", None)
        if layers is None or not hasattr(model.config, "type_vocab_size"):
            raise ValueError(
                f"attribution.backbone (null = similarity's): {setup.backbone.name} is a "
                f"{type(model).__name__}; needs BERT, RoBERTa, XLM-RoBERTa or ELECTRA"
            )
        model.encoder.layer = layers[: setup.backbone.settings.layer]
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")

    def rows(self, *parts: Iterable[str]) -> list[Row]:
        """Encode [CLS] part [SEP] (part [SEP]) of each row, each part cut at `tokens` tokens.

        parts: one or two, with a text for each row.
        """
        limit = self.setup.attribution.tokens
        encoded = []
        for part in parts:
            ids = self.tokenizer(list(part), add_special_tokens=False)["input_ids"]
            encoded.append([text[:limit] for text in ids])
        rows = []
        for texts in zip(*encoded, strict=True):
            row = Row([self.tokenizer.cls_token_id], [0])
            for kind, text in enumerate(texts):
                row.ids.extend([*text, self.tokenizer.sep_token_id])
                row.kinds.extend([kind] * (len(text) + 1))
            rows.append(row)
        return rows

    def embed(self, rows: Sequence[Row]):
        """Give the mean of the last hidden states over a row's tokens, shape (rows, width)."""
        import torch

        device, longest = self.model.device, max(len(row.ids) for row in rows)
        missing = [longest - len(row.ids) for row in rows]
        pad = self.tokenizer.pad_token_id

        def padded(lists: list[list[int]], fill: int):
            both = zip(lists, missing, strict=True)
            return torch.tensor([some + [fill] * gap for some, gap in both], device=device)

        kinds = padded([row.kinds for row in rows], 0)
        mask = padded([[1] * len(row.ids) for row in rows], 0)
        hidden = self.model(
            input_ids=padded([row.ids for row in rows], pad),
            attention_mask=mask,
            # RoBERTa knows one kind
            token_type_ids=kinds.clamp(max=self.model.config.type_vocab_size - 1),
        ).last_hidden_state
        return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)

    def tune(self, examples: Sequence[Example], outputs: int):
        """Tune on the examples, in their order, and return the new linear head."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits
        from transformers import get_linear_schedule_with_warmup

        attribution, model = self.setup.attribution, self.model
        torch.manual_seed(self.setup.seed)
        head = torch.nn.Linear(model.config.hidden_size, outputs).to(model.device)
        model.embeddings.requires_grad_(False)
        rate = attribution.learning_rate
        groups = [
            {"params": model.encoder.parameters()},
            {"params": head.parameters(), "lr": HEAD_RATE * rate},
        ]
        optimizer = torch.optim.AdamW(groups, lr=rate)
        size = attribution.batch_size
        steps = math.ceil(len(examples) / size)
        schedule = get_linear_schedule_with_warmup(optimizer, steps // WARM_UP, steps)
        one_of = torch.eye(outputs, device=model.device)
        every = torch.ones(outputs, device=model.device)
        model.train()
        for step in range(steps):
            batch = examples[step * size : (step + 1) * size]
            targets = torch.stack([one_of[e.truth] for e in batch])
            counted = torch.stack([every if e.about is None else one_of[e.about] for e in batch])
            logits = head(self.embed([e.row for e in batch]))
            losses = binary_cross_entropy_with_logits(logits, targets, reduction="none")
            optimizer.zero_grad()
            ((losses * counted).sum() / counted.sum()).backward()
            optimizer.step()
            schedule.step()
            jobs.report(0.7 * (step + 1) / steps)
        return head

    def predict(
        self, rows: Sequence[Row], head, done: tuple[float, float] = (0.0, 1.0)
    ) -> np.ndarray:
        """Give sigmoids of the head's outputs, or without a head the embeddings themselves.

        Rows of similar length go together. done: from which to which share of all predictions.
        """
        import torch

        self.model.eval()
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        outputs: dict[int, np.ndarray] = {}
        first, last = done
        with torch.inference_mode():
            for start in range(0, len(order), READ_AT_ONCE):
                batch = order[start : start + READ_AT_ONCE]
                embedded = self.embed([rows[i] for i in batch])
                out = embedded if head is None else head(embedded).sigmoid()
                outputs.update(zip(batch, out.cpu().numpy(), strict=True))
                share = (start + len(batch)) / len(rows)
                jobs.report(0.7 + 0.3 * (first + (last - first) * share))
        return np.stack([outputs[i] for i in range(len(rows))])
