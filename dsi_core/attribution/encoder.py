"""Attribution, the transformer: one-against-rest classifiers over a reply, or over a base's reply and the candidate's.

The paper tunes a multilingual BERT for each base. Differs: one encoder is shared by all of them, each base having an output of its own
(sigmoid and binary cross-entropy), ten times cheaper; the encoder is the profile's, cut to its first layers, its token embeddings are not
tuned; mean of the last hidden states instead of the pooled output, and no ReLU on the logits. Everything computed here is stored.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.attribution.replies import settings
from dsi_core.method import similarity
from dsi_core.models import responses
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile


def partners(known: pd.DataFrame, asked: pd.DataFrame, seed) -> pd.Series:
    """For each asked reply the prompt_id whose replies by the bases are laid beside it: a random one of `known`, the same for all bases.

    Never the reply's own prompt, and one of the same set of prompts where `known` has one.
    """
    there = (
        known.loc[~known["tuned"], ["prompts", "prompt_id"]]
        .drop_duplicates()
        .sort_values(["prompts", "prompt_id"])
    )
    chosen = {}
    for prompts, prompt_id in (
        asked[["prompts", "prompt_id"]].drop_duplicates().itertuples(index=False)
    ):
        others = there[there["prompt_id"] != prompt_id]
        near = others[others["prompts"] == prompts]
        pool = (near if len(near) else others)["prompt_id"].tolist()
        chosen[prompt_id] = pool[int(len(pool) * responses.uniform_numbers(1, seed, prompt_id)[0])]
    return asked["prompt_id"].map(chosen)


def alone(
    profile: Profile, known: pd.DataFrame, asked: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """P(reply is of this base), shape (asked, bases), by the encoder tuned on the replies of `known`."""

    def compute():
        how, (encoder, tokenizer) = settings(profile), backbone(profile)
        ids = _ids(tokenizer, how.tokens, known["reply"])
        own = np.array([bases.index(b) for b in known["base"]])
        epochs = [
            [(ids[i], own[i], None) for i in order]
            for order in _orders(len(ids), how.epochs, profile.seed)
        ]
        head = _tune(profile, encoder, sum(epochs, []), len(bases), tokenizer)
        return _predict(
            profile, encoder, head, _ids(tokenizer, how.tokens, asked["reply"]), tokenizer
        )

    return _stored(profile, "transformer", known, asked, bases, compute)


def pairs(
    profile: Profile, known: pd.DataFrame, asked: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """P(both replies are this base's), shape (asked, bases), by the encoder tuned on pairs [base's reply SEP reply].

    In every epoch each reply of `known` stands once beside a reply of its own base and `negatives` times beside one of another base,
    always one to another prompt (`partners`).
    """

    def compute():
        how, (encoder, tokenizer) = settings(profile), backbone(profile)
        other = min(how.negatives, len(bases) - 1)
        own = {(r.base, r.prompt_id): r.reply for r in known[~known["tuned"]].itertuples()}
        truth, examples = np.array([bases.index(b) for b in known["base"]]), []
        for epoch, order in enumerate(_orders(len(known) * (1 + other), how.epochs, profile.seed)):
            rng, beside = (
                np.random.default_rng([profile.seed, epoch]),
                partners(known, known, f"{profile.seed} {epoch}"),
            )
            drawn = [
                [t, *rng.choice([k for k in range(len(bases)) if k != t], other, replace=False)]
                for t in truth
            ]
            rows = [
                (own[bases[k], p], reply, t, k)
                for reply, p, t, ks in zip(known["reply"], beside, truth, drawn)
                for k in ks
            ]
            ids = _ids(tokenizer, how.tokens, [r[0] for r in rows], [r[1] for r in rows])
            examples += [(ids[i], rows[i][2], rows[i][3]) for i in order]
        head = _tune(profile, encoder, examples, len(bases), tokenizer)
        beside, columns = partners(known, asked, profile.seed), []
        for k, b in enumerate(bases):
            ids = _ids(tokenizer, how.tokens, [own[b, p] for p in beside], asked["reply"])
            columns.append(
                _predict(
                    profile, encoder, head, ids, tokenizer, (k / len(bases), (k + 1) / len(bases))
                )[:, k]
            )
        return np.column_stack(columns)

    return _stored(profile, "transformer pairs", known, asked, bases, compute)


def embeddings(profile: Profile, replies: pd.DataFrame) -> np.ndarray:
    """The untuned encoder's embedding of each reply, shape (replies, width)."""

    def compute():
        encoder, tokenizer = backbone(profile)
        return _predict(
            profile,
            encoder,
            None,
            _ids(tokenizer, settings(profile).tokens, replies["reply"]),
            tokenizer,
        )

    return _stored(profile, "embeddings", replies, replies, [], compute)


def _stored(
    profile: Profile, kind: str, known: pd.DataFrame, asked: pd.DataFrame, bases: list[str], compute
) -> np.ndarray:
    """What `compute` returns, shape (asked, any), kept in the store under everything that decides it."""
    texts = [t[["model", "base", "prompt_id", "reply"]].to_numpy().tolist() for t in (known, asked)]
    how = settings(profile).model_dump(exclude={"prompts", "questions", "folds", "backbone"})
    spec = {
        "kind": kind,
        "texts": store.key(texts),
        "bases": bases,
        "seed": profile.seed,
        **how,
        "backbone": json.loads((_bert(profile)[1] / "spec.json").read_text("utf-8")),
    }
    folder = store.entry("attribution", kind, spec)
    with store.lock(folder):
        if store.manifest(folder) is None:
            table = pd.DataFrame({"scores": list(compute())})
            store.write_table(folder / "scores.parquet", table)
            store.finish(folder, replies=len(table))
    return np.stack(pd.read_parquet(folder / "scores.parquet")["scores"].to_list())


# The encoder


def _bert(profile: Profile) -> tuple[str, Path]:
    return similarity.backbone(
        profile.model_copy(update={"similarity": settings(profile).backbone or profile.similarity})
    )


def backbone(profile: Profile):
    """(encoder of the first `layer` layers, tokenizer) of the section's backbone, on this process's device."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    source = settings(profile).backbone or profile.similarity
    where = _bert(profile)[0]
    tokenizer, encoder = (
        AutoTokenizer.from_pretrained(where),
        AutoModel.from_pretrained(where, dtype=torch.float32),
    )
    encoder.encoder.layer = encoder.encoder.layer[: source.layer]
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _ids(tokenizer, limit: int, *parts) -> list[dict]:
    """[CLS] part [SEP] (part [SEP]) of each row, at most `limit` tokens of each part."""
    cut = [
        [t[:limit] for t in tokenizer(list(p), add_special_tokens=False)["input_ids"]]
        for p in parts
    ]
    rows = []
    for texts in zip(*cut):
        ids, kinds = [tokenizer.cls_token_id], [0]
        for kind, tokens in enumerate(texts):
            ids, kinds = ids + tokens + [tokenizer.sep_token_id], kinds + [kind] * (len(tokens) + 1)
        rows.append({"input_ids": ids, "token_type_ids": kinds})
    return rows


def _orders(count: int, epochs: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(count) for _ in range(epochs)]


def _embed(encoder, tokenizer, rows: list[dict]):
    """The mean of the last hidden states over a row's tokens, shape (rows, width)."""
    import torch

    longest, pad = max(len(r["input_ids"]) for r in rows), tokenizer.pad_token_id
    ids, kinds = (
        torch.tensor([r[k] + [fill] * (longest - len(r[k])) for r in rows], device=encoder.device)
        for k, fill in (("input_ids", pad), ("token_type_ids", 0))
    )
    mask = torch.tensor(
        [[1] * len(r["input_ids"]) + [0] * (longest - len(r["input_ids"])) for r in rows],
        device=encoder.device,
    )
    kinds = kinds.clamp(max=encoder.config.type_vocab_size - 1)  # RoBERTa knows one kind
    hidden = encoder(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
    return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _tune(profile: Profile, encoder, examples: list[tuple], outputs: int, tokenizer):
    """Tune the encoder and return its new linear head. examples, in order: (ids, true base, base asked about; None = all of them)."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits
    from transformers import get_linear_schedule_with_warmup

    how = settings(profile)
    torch.manual_seed(profile.seed)
    head = torch.nn.Linear(encoder.config.hidden_size, outputs).to(encoder.device)
    encoder.embeddings.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {"params": encoder.encoder.parameters()},
            {"params": head.parameters(), "lr": 10 * how.learning_rate},
        ],
        lr=how.learning_rate,
    )
    steps = math.ceil(len(examples) / how.batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    encoder.train()
    for step in range(steps):
        ids, truth, about = zip(*examples[step * how.batch_size : (step + 1) * how.batch_size])
        targets = torch.eye(outputs, device=encoder.device)[
            torch.tensor(np.array(truth), device=encoder.device)
        ]
        counted = torch.stack(
            [torch.ones(outputs) if a is None else torch.eye(outputs)[a] for a in about]
        ).to(encoder.device)
        losses = binary_cross_entropy_with_logits(
            head(_embed(encoder, tokenizer, list(ids))), targets, reduction="none"
        )
        optimizer.zero_grad()
        ((losses * counted).sum() / counted.sum()).backward()
        optimizer.step()
        schedule.step()
        jobs.report(0.7 * (step + 1) / steps)
    return head


def _predict(
    profile: Profile,
    encoder,
    head,
    rows: list[dict],
    tokenizer,
    part: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Sigmoids of the head's outputs, or the embeddings themselves without a head; rows of similar length together."""
    import torch

    encoder.eval()
    order, size, found = (
        sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"])),
        64,
        [None] * len(rows),
    )
    with torch.inference_mode():
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            out = _embed(encoder, tokenizer, [rows[i] for i in batch])
            for i, row in zip(batch, (out if head is None else head(out).sigmoid()).cpu().numpy()):
                found[i] = row
            jobs.report(
                0.7 + 0.3 * (part[0] + (part[1] - part[0]) * (start + len(batch)) / len(rows))
            )
    return np.stack(found)
