"""The plan's jobs one by one: how long a download, a tuning, an asking or a comparison takes on a card, and what memory and disk.

Each is a row of `plan.jobs`. m: a row of `study.members`; on: what `assumptions` says of the card; speeds: `speeds_of` the card.
"""

import math
from typing import NamedTuple

from dsi_core.data import pairs as data
from dsi_core.planning import assumptions, rates
from dsi_core.runtime import store
from dsi_core.settings import words
from dsi_core.settings import profile as params
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Similarity, Trained


class Size(NamedTuple):
    """A dataset: pairs; mean tokens of a prompt (without template) and an answer; tokens of the longest pair; tainted samples."""

    pairs: int
    prompt: float
    answer: float
    longest: float
    tainted: int


def speeds_of(card: str) -> dict:
    """(step, base, method) -> median tokens per second over the devices that are this card."""
    runs = rates.runs()
    here = runs[runs["device"].astype(str).str.contains(assumptions.card(card)["device"])]
    return here.groupby(["step", "base", "method"])["tokens_per_s"].median().to_dict()


def download(profile: Profile, m) -> dict | None:
    model, source = _model(profile, m.base), source_of(profile, m.base)
    if not {"hub", "package"} & set(model):
        return None
    gigabytes = assumptions.billions(source) * assumptions.rule(
        "file_bytes" if "hub" in model else "unpacked_bytes"
    )
    return {
        "id": f"download {source}",
        "step": "download",
        "phase": "set-up",
        "dataset": "all",
        "model_id": "-",
        "base": m.base,
        "billions": assumptions.billions(source),
        "hours": 1000 * gigabytes / assumptions.rule("download_mb_per_s") / 3600,
        "disk_gb": gigabytes,
    }


def tune(profile: Profile, victim: str, m, on: dict, speeds: dict) -> dict:
    recipe, source = profile.recipes[m.trained.recipe], source_of(profile, m.base)
    n, sizes, full = (
        assumptions.billions(source),
        _trained_on(profile, victim, m.trained),
        recipe.method == "full",
    )
    pairs = max(1, sum(s.pairs for s in sizes) - len(m.trained.leave_out))
    tokens = (
        pairs
        * recipe.epochs
        * _mean(
            sizes,
            lambda s: min(
                recipe.max_tokens, s.prompt + assumptions.rule("template_tokens") + s.answer
            ),
        )
    )
    flops = assumptions.rule("full_flops" if full else "frozen_flops") + on[
        "checkpointing"
    ] * assumptions.rule("recompute_flops")
    rate = speeds.get(("tune", source, recipe.method), 1 / seconds_per_token(flops, n, on))
    trained = n * (1 if full else recipe.rank * assumptions.rule("adapter_share"))
    frozen = (
        n
        * {"full": 0, "lora": on["bytes_per_parameter"], "qlora": assumptions.rule("nf4_bytes")}[
            recipe.method
        ]
    )
    batch = min(recipe.batch_size, on["micro_batch"] or recipe.batch_size) * min(
        recipe.max_tokens, max(s.longest for s in sizes)
    )
    activations = assumptions.rule("checkpointed_mb" if on["checkpointing"] else "kept_mb") * n ** (
        2 / 3
    ) + assumptions.rule("logits_mb")
    return {
        "id": f"tune {_weights(profile, victim, m.trained)}",
        "step": "tune",
        "dataset": victim,
        "model_id": m.model_id,
        "phase": "set-up" if m.role == "suspect" else "offline",
        "base": m.base,
        "billions": n,
        "pairs": pairs,
        "tokens": tokens,
        "hours": tokens / rate / 3600,
        "basis": _basis(speeds, "tune", source, recipe.method),
        "gpu_memory_gb": on["fixed_gb"]
        + frozen
        + trained * assumptions.rule("trained_bytes")
        + batch * activations / 1000,
        "disk_gb": trained * assumptions.rule("unpacked_bytes"),
    }


def answer(
    profile: Profile, victim: str, m, on: dict, speeds: dict, prompts: Size | None = None
) -> dict:
    """prompts: what is asked, if not D; all of it, whatever the profile's `ask`."""
    asked, size, suspect = (
        profile.responses,
        prompts or size_of(profile, victim),
        m.role == "suspect",
    )
    temperature = asked.temperature if suspect else 1.0
    draws = asked.draws if suspect and temperature > 0 else 1
    pairs = size.tainted if suspect and asked.ask == "tainted" and not prompts else size.pairs
    mean = (
        _mean(_trained_on(profile, victim, m.trained), lambda s: s.answer)
        if m.trained.data
        else assumptions.rule("untuned_answer_tokens")
    )
    mean, prompt = (
        min(mean, asked.max_new_tokens),
        size.prompt + assumptions.rule("template_tokens"),
    )
    weights = (
        "nf4" if m.trained.data and profile.recipes[m.trained.recipe].method == "qlora" else "plain"
    )
    source, api = source_of(profile, m.base), _model(profile, m.base).get("endpoint")
    tokens, batch = pairs * draws * mean, min(asked.batch_size, pairs * draws)
    if api:
        n, memory, seconds = (
            math.nan,
            0.0,
            tokens / (assumptions.rule("endpoint_tokens_per_s") * api["concurrency"]),
        )
    else:
        n = assumptions.billions(source)
        compute = seconds_per_token(assumptions.rule("forward_flops"), n, on)
        moved = n * (
            assumptions.rule("nf4_traffic") if weights == "nf4" else on["bytes_per_parameter"]
        )  # GB per step
        steps = math.ceil(pairs * draws / batch) * min(
            asked.max_new_tokens, assumptions.rule("longest_of_batch") * mean
        )
        reading = steps * moved / (1000 * on["tb_per_s"] * on["bandwidth_fraction"])
        # An answer that has ended is computed no further, and a prompt is read once for all its draws
        seconds = max(reading, tokens * compute) + pairs * prompt * compute
        cache = (
            batch
            * (prompt + asked.max_new_tokens)
            * assumptions.rule("cache_mb")
            * n ** (2 / 3)
            / 1000
        )
        memory = (
            on["fixed_gb"]
            + n * (assumptions.rule("nf4_bytes") if weights == "nf4" else on["bytes_per_parameter"])
            + cache
        )
    if ("answer", source, weights) in speeds:
        seconds = tokens / speeds["answer", source, weights]
    key = store.key(
        [
            prompts or _data_spec(profile, victim),
            pairs,
            draws,
            temperature,
            asked.max_new_tokens,
            profile.seed,
        ]
    )
    return {
        "id": f"answer {victim} {m.model_id}, {_weights(profile, victim, m.trained)} [{key}]",
        "step": "answer",
        "phase": "online" if suspect else "offline",
        "dataset": victim,
        "model_id": m.model_id,
        "base": m.base,
        "billions": n,
        "pairs": pairs,
        "draws": draws,
        "tokens": tokens,
        "hours": seconds / 3600,
        "gpu_memory_gb": memory,
        "basis": _basis(speeds, "answer", source, weights),
        "disk_gb": tokens * assumptions.rule("chars_per_token") / 1e9,
    }


def read(profile: Profile, victim: str, m, pairs: int, tokens: float, on: dict) -> dict:
    """The probabilities of given texts: `tokens` in all, prompts included, of `pairs` samples."""
    n = assumptions.billions(source_of(profile, m.base))
    weights = _weights(profile, victim, m.trained)
    return {
        "id": f"read {victim} {weights} [{store.key([pairs, tokens])}]",
        "step": "read",
        "phase": "online",
        "dataset": victim,
        "model_id": m.model_id,
        "base": m.base,
        "billions": n,
        "pairs": pairs,
        "tokens": tokens,
        "hours": tokens * seconds_per_token(assumptions.rule("forward_flops"), n, on) / 3600,
        "gpu_memory_gb": on["fixed_gb"] + n * on["bytes_per_parameter"],
    }


def similarity(profile: Profile, victim: str, answers: list[dict], on: dict) -> list[dict]:
    """Offline: oracle outputs and all references' answers. Online: each suspect's answers and the references' to the same prompts.

    bert-score embeds each distinct text once per call; every suspect counts as a call of its own, as if it came alone.
    """
    size, backbone = size_of(profile, victim), profile.similarity.model_dump(exclude_none=True)
    source = backbone_of(profile, profile.similarity)
    references, n = [a for a in answers if a["phase"] == "offline"], assumptions.billions(source)
    told = sum(r["tokens"] for r in references) / size.pairs  # by all references, per prompt
    calls = [("offline", "-", size.pairs, size.pairs * (size.answer + told), references)]
    calls += [
        (
            "online",
            a["model_id"],
            a["pairs"] * a["draws"],
            a["tokens"] + a["pairs"] * told,
            [*references, a],
        )
        for a in answers
        if a["phase"] == "online"
    ]
    return [
        {
            "id": f"similarity {victim} {who} [{store.key([backbone, [a['id'] for a in used]])}]",
            "step": "similarity",
            "phase": phase,
            "dataset": victim,
            "model_id": who,
            "base": source,
            "billions": n,
            "pairs": texts * len(references),
            "tokens": tokens,
            "hours": tokens * seconds_per_token(assumptions.rule("forward_flops"), n, on) / 3600,
            "gpu_memory_gb": on["fixed_gb"] + 4 * n,
        }  # fp32, also on a GPU
        for phase, who, texts, tokens, used in calls
    ]


def seconds_per_token(flops: float, n: float, on: dict) -> float:
    """flops: per parameter and token; n: billions of parameters."""
    return flops * n / (1000 * on["tflops"] * on["compute_fraction"])


def size_of(profile: Profile, name: str) -> Size:
    """A dataset's size: stated in params/plan.yaml if it is on the hub, else counted. Raises `ValueError` if not stated."""
    chosen = profile.data[name]
    if not any(profile.data[d].hub for d in (name, chosen.apart_from) if d):
        pairs, per_token = data.load_pairs(profile, name), assumptions.rule("chars_per_token")
        prompts, outputs = (
            pairs["prompt"].str.len() / per_token,
            pairs["output"].str.len() / per_token,
        )
        return Size(
            len(pairs),
            prompts.mean(),
            outputs.mean(),
            (prompts + outputs).max() + assumptions.rule("template_tokens"),
            math.ceil(len(pairs) * assumptions.rule("local_tainted")),
        )
    known = assumptions.read()["datasets"]
    if chosen.hub not in known:
        raise ValueError(
            f"dataset {name!r} on the hub ({chosen.hub}): its size is not stated; add rows, prompt_tokens, "
            f"answer_tokens, tainted and why under datasets: in {assumptions.FILE}, which has {', '.join(known)}"
        )
    stated = known[chosen.hub]
    rows = stated["rows"] - (size_of(profile, chosen.apart_from).pairs if chosen.apart_from else 0)
    pairs, most = (
        min(rows, chosen.rows or rows),
        (chosen.max_output_chars or math.inf) / assumptions.rule("chars_per_token"),
    )
    return Size(
        pairs,
        stated["prompt_tokens"],
        min(stated["answer_tokens"], most),
        math.inf,
        min(pairs, stated["tainted"]),
    )


def _trained_on(profile: Profile, victim: str, trained: Trained) -> list[Size]:
    return [size_of(profile, words.dataset_of(profile, victim, d)) for d in trained.data]


def _mean(sizes: list[Size], value) -> float:
    return sum(s.pairs * value(s) for s in sizes) / sum(s.pairs for s in sizes)


def _weights(profile: Profile, victim: str, trained: Trained) -> str:
    """A name for what decides a model's weights."""
    source = source_of(profile, trained.base)
    if not trained.data:
        return source
    names = [words.dataset_of(profile, victim, d) for d in trained.data]
    key = store.key(
        [
            [_data_spec(profile, d) for d in names],
            profile.recipes[trained.recipe].model_dump(),
            profile.seed,
            sorted(trained.leave_out),
            trained.loss_on,
        ]
    )
    return f"{source} on {'+'.join(names)} with {trained.recipe} [{key}]"


def _data_spec(profile: Profile, name: str) -> list[dict]:
    chosen = profile.data[name]
    return [
        chosen.model_dump(),
        *(_data_spec(profile, chosen.apart_from) if chosen.apart_from else []),
    ]


def _model(profile: Profile, name: str) -> dict:
    """A base model's settings; a wild suspect's name is its hub id."""
    return (
        profile.models[name].model_dump(exclude_none=True)
        if name in profile.models
        else {"hub": name}
    )


def source_of(profile: Profile, name: str) -> str:
    return rates.source_of(_model(profile, name))


def backbone_of(profile: Profile, chosen: Similarity) -> str:
    """Where an encoder is from, as `source_of` says it of a model."""
    return (
        source_of(profile, chosen.model)
        if chosen.model
        else rates.source_of(chosen.model_dump(exclude_none=True))
    )


def _basis(speeds: dict, *key: str) -> str:
    return "measured" if key in speeds else "assumed"
