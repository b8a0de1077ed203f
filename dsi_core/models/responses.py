"""Step 3, responses: ask a model every prompt and keep each answer as it comes (§5.3-5.4)."""

import hashlib
import json
import math
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import DynamicCache

from dsi_core.models import load as models
from dsi_core.models import tuning
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Trained

COLUMNS = ["sample_id", "draw", "response"]


def entry(
    profile: Profile,
    victim: str,
    model_id: str,
    trained: Trained,
    temperature: float,
    *,
    make: bool = True,
) -> Path:
    """The folder of one model's answers.

    Batch size and device are not part of its key: they change an answer no more than floating point forces.
    """
    spec = {
        "model": tuning.spec(profile, victim, trained),
        "model_id": model_id,
        "temperature": temperature,
        "max_new_tokens": profile.responses.max_new_tokens,
        "seed": profile.seed,
    }
    if profile.responses.system is not None:
        spec["system"] = profile.responses.system
    return store.entry("responses", model_id, spec, make=make)


def read(folder: Path, columns: list[str] = COLUMNS) -> pd.DataFrame:
    """The stored answers with these columns; a line torn by a crash is left out (and asked again)."""
    path = folder / "responses.jsonl"
    rows = []
    for line in (
        path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    ):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # only an unfinished last line can be broken: every line is written with its newline
    return pd.DataFrame(rows, columns=columns).drop_duplicates(
        ["sample_id", "draw"], ignore_index=True
    )


def missing(folder: Path, pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    """The questions not yet answered in `folder`: columns sample_id, prompt, draw."""
    return unanswered(read(folder), pairs, draws)


def unanswered(have: pd.DataFrame, pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    """The questions to `pairs`, in their order, that `have` (columns sample_id, draw) does not answer: sample_id, prompt, draw."""
    wanted = pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(draws)}), how="cross")
    have = have[["sample_id", "draw"]].astype({"sample_id": object, "draw": int})
    return (
        wanted.merge(have, how="left", indicator=True)
        .query("_merge == 'left_only'")
        .drop(columns="_merge")
    )


def ask(
    profile: Profile,
    victim: str,
    model_id: str,
    trained: Trained,
    pairs: pd.DataFrame,
    *,
    draws: int,
    temperature: float,
) -> Path:
    """Tune the model if needed, ask it what is still missing of `pairs` x `draws`, and return the folder of answers.

    A model behind an endpoint is asked through its API.

    An empty answer is kept as an empty text.
    """
    folder = entry(profile, victim, model_id, trained, temperature)
    with store.lock(folder):
        todo = missing(folder, pairs, draws)
        started, tokens = time.time(), 0
        if len(todo):
            told = _answers(profile, victim, model_id, trained, todo, temperature)
            started = time.time()  # tuning and loading have their own records
            with appending(folder) as write:
                for rows, texts, count in told:
                    write(
                        [
                            {"sample_id": row.sample_id, "draw": int(row.draw), "response": text}
                            for row, text in zip(rows, texts)
                        ]
                    )
                    tokens += count
        if len(todo) or store.manifest(folder) is None:
            earlier = store.manifest(folder) or {"seconds": 0, "tokens": 0}
            store.finish(
                folder,
                answers=len(read(folder)),
                device=models.device_name(),
                tokens=tokens + earlier["tokens"],
                seconds=round(time.time() - started + earlier["seconds"], 1),
            )
    return folder


@contextmanager
def appending(folder: Path):
    """Gives a function that adds lines (dicts) to the folder's answers; they are on the disk when it returns."""
    path = folder / "responses.jsonl"
    torn = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n" if torn else "")  # close a line that a crash left open

        def write(lines: list[dict]) -> None:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            store.flush(file)

        yield write


def _answers(
    profile: Profile,
    victim: str,
    model_id: str,
    trained: Trained,
    todo: pd.DataFrame,
    temperature: float,
):
    """The generator of answers: of an endpoint, or of a local model, which is tuned and loaded first."""
    if remote := models.base(profile, trained.base).endpoint:
        from dsi_core.models import endpoint

        endpoint.connect(remote)  # a missing key is found before anything is asked
        return endpoint.generate(remote, todo, temperature, profile)
    return local_answers(profile, victim, model_id, trained, todo, temperature)


def local_answers(
    profile: Profile,
    victim: str,
    model_id: str,
    trained: Trained,
    todo: pd.DataFrame,
    temperature: float,
):
    """`generate` with a local model, which is tuned and loaded first."""
    tuned = tuning.tune(profile, victim, trained)
    quantized = tuned is not None and tuning.recipe_of(profile, trained).method == "qlora"
    model, tokenizer = models.load(profile, trained.base, tuned=tuned, quantized=quantized)
    return generate(model, tokenizer, todo, model_id, temperature, profile)


def generate(
    model, tokenizer, todo: pd.DataFrame, model_id: str, temperature: float, profile: Profile
):
    """Yield (rows, texts, new tokens) as answers end, `batch_size` of them under way at a time, prompts sorted by length.

    Each (model, sample, draw) has its own random numbers, so an answer depends on neither order nor batch
    size, up to floating point in the model's forward pass. (Where thousands of tokens are about as likely, as in
    an untuned model with a large vocabulary, that can be felt: 9 of 32 answers of Gemma-3-270m.) temperature 0 = greedy. An end token counts as a
    token. Of the checkpoint's own generation settings only its end tokens are used.
    """
    limit, size = profile.responses.max_new_tokens, profile.responses.batch_size
    rows = list(todo.itertuples(index=False))
    ids = [models.encode_prompt(tokenizer, row.prompt, profile.responses.system) for row in rows]
    order = sorted(
        range(len(rows)), key=lambda i: (len(ids[i]), ids[i])
    )  # the draws of a prompt side by side
    ends = models.end_tokens(model, tokenizer)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        numbers = np.array(
            [
                uniform_numbers(limit, profile.seed, model_id, rows[i].sample_id, rows[i].draw)
                for i in batch
            ]
        )
        for step, ended in enumerate(
            decode(model, tokenizer, [ids[i] for i in batch], numbers, temperature, ends)
        ):
            if ended:
                texts = [
                    t.strip()
                    for t in tokenizer.batch_decode(list(ended.values()), skip_special_tokens=True)
                ]
                yield [rows[batch[k]] for k in ended], texts, sum(map(len, ended.values()))
            jobs.report(0.8 + 0.2 * (start + len(batch) * (step + 1) / limit) / len(order))


@torch.inference_mode()
def decode(
    model,
    tokenizer,
    prompts: list[list[int]],
    numbers: np.ndarray,
    temperature: float,
    ends: list[int],
):
    """After each step yield {place in `prompts`: its new tokens} of the answers that ended there, often none.

    numbers: (prompts, steps) uniform in [0, 1); column t decides token t. Equal prompts are read once. What
    `model.generate` does not offer: an answer that has ended is computed no further (as many padding tokens as
    real ones otherwise), and each answer has its own random numbers.
    """
    unique = sorted(set(map(tuple, prompts)))
    copies = torch.tensor([unique.index(tuple(p)) for p in prompts], device=model.device)
    inputs = tokenizer.pad({"input_ids": [list(u) for u in unique]}, return_tensors="pt").to(
        model.device
    )
    mask, position = inputs["attention_mask"], (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)  # the config tells which layers have a sliding window
    logits = model(
        input_ids=inputs["input_ids"],
        attention_mask=mask,
        position_ids=position,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[copies, -1]
    cache.batch_select_indices(copies)
    mask, position = mask[copies], position[copies, -1:]
    numbers, ends = (
        torch.tensor(numbers, device=model.device),
        torch.tensor(ends, device=model.device),
    )
    answers, places = (
        [[] for _ in prompts],
        torch.arange(len(prompts), device=model.device),
    )  # places: who is still here
    for step in range(numbers.shape[1]):
        token = choose(logits, numbers[places, step], temperature)
        for place, new in zip(places.tolist(), token.tolist()):
            answers[place].append(new)
        stays = ~torch.isin(token, ends) & (step + 1 < numbers.shape[1])
        yield {place: answers[place] for place in places[~stays].tolist()}
        if not stays.any():
            return
        if not stays.all():
            kept = stays.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            places, token, mask, position = places[kept], token[kept], mask[kept], position[kept]
        mask, position = torch.nn.functional.pad(mask, (0, 1), value=1), position + 1
        logits = model(
            input_ids=token[:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]


def uniform_numbers(count: int, *identity) -> np.ndarray:
    """`count` uniform numbers in [0, 1) that depend on `identity` alone."""
    digest = hashlib.sha256(json.dumps([str(i) for i in identity]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big")).random(count)


def choose(logits: torch.Tensor, numbers: torch.Tensor, temperature: float) -> torch.Tensor:
    """One token a row, (rows,), drawn from softmax(logits / temperature) by inverse CDF; temperature 0 = the likeliest.

    logits: (rows, vocabulary), overwritten. numbers: (rows,) float64 in [0, 1). The CDF is searched in two
    steps, blocks of tokens and then one block, so that its float64 sum over a large vocabulary stays cheap.
    """
    if temperature == 0:
        return logits.argmax(dim=1)
    weights = logits.float().sub_(logits.amax(dim=1, keepdim=True)).div_(temperature).exp_()
    blocks = weights.view(len(weights), -1, math.gcd(weights.shape[1], 512))
    cdf = blocks.sum(dim=2, dtype=torch.float64).cumsum(dim=1)
    target = numbers[:, None] * cdf[:, -1:]
    block = torch.searchsorted(cdf, target, right=True).clamp(max=cdf.shape[1] - 1)
    before = torch.where(block > 0, cdf.gather(1, (block - 1).clamp(min=0)), 0)
    inside = (
        blocks[torch.arange(len(blocks), device=block.device), block[:, 0]].double().cumsum(dim=1)
    )
    # Rounding may put the target at the block's very end, where an impossible token could stand
    rest = (target - before).minimum(inside[:, -1:].nextafter(torch.zeros_like(target)))
    return (block * blocks.shape[2] + torch.searchsorted(inside, rest, right=True))[:, 0]
