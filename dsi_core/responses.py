"""Step 3, responses: ask a model every prompt and keep each answer as it comes (§5.3-5.4)."""

import hashlib
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core import models, store, tuning, work
from dsi_core.params import Profile, Trained

COLUMNS = ["sample_id", "draw", "response"]


def entry(profile: Profile, victim: str, model_id: str, trained: Trained, temperature: float, *, make: bool = True) -> Path:
    """The folder of one model's answers.

    Batch size and device are not part of its key: they change an answer no more than floating point forces.
    """
    spec = {"model": tuning.spec(profile, victim, trained), "model_id": model_id, "temperature": temperature,
            "max_new_tokens": profile.responses.max_new_tokens, "seed": profile.seed}
    return store.entry("responses", model_id, spec, make=make)


def read(folder: Path) -> pd.DataFrame:
    """The stored answers: columns sample_id, draw, response; a line torn by a crash is left out (and asked again)."""
    path = folder / "responses.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # only an unfinished last line can be broken: every line is written with its newline
    return pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(["sample_id", "draw"], ignore_index=True)


def missing(folder: Path, pairs: pd.DataFrame, draws: int) -> pd.DataFrame:
    """The questions not yet answered: columns sample_id, prompt, draw."""
    wanted = pairs[["sample_id", "prompt"]].merge(pd.DataFrame({"draw": range(draws)}), how="cross")
    have = read(folder)[["sample_id", "draw"]].astype({"draw": int})
    return wanted.merge(have, how="left", indicator=True).query("_merge == 'left_only'").drop(columns="_merge")


def ask(profile: Profile, victim: str, model_id: str, trained: Trained, pairs: pd.DataFrame, *,
        draws: int, temperature: float) -> Path:
    """Tune the model if needed, ask it what is still missing of `pairs` x `draws`, and return the folder of answers.

    An empty answer is kept as an empty text.
    """
    folder = entry(profile, victim, model_id, trained, temperature)
    with store.lock(folder):
        todo = missing(folder, pairs, draws)
        started, tokens = time.time(), 0
        if len(todo):
            tuned = tuning.tune(profile, victim, trained)
            quantized = tuned is not None and tuning.recipe_of(profile, trained).method == "qlora"
            model, tokenizer = models.load(profile, trained.base, tuned=tuned, quantized=quantized)
            started = time.time()  # tuning and loading have their own records
            _end_torn_line(folder / "responses.jsonl")
            with open(folder / "responses.jsonl", "a", encoding="utf-8") as file:
                for rows, texts, count in generate(model, tokenizer, todo, model_id, temperature, profile):
                    for row, text in zip(rows, texts):
                        line = {"sample_id": row.sample_id, "draw": int(row.draw), "response": text}
                        file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    store.flush(file)
                    tokens += count
        if len(todo) or store.manifest(folder) is None:
            earlier = store.manifest(folder) or {"seconds": 0, "tokens": 0}
            store.finish(folder, answers=len(read(folder)), tokens=tokens + earlier["tokens"],
                         seconds=round(time.time() - started + earlier["seconds"], 1))
    return folder


def generate(model, tokenizer, todo: pd.DataFrame, model_id: str, temperature: float, profile: Profile):
    """Yield (rows, texts, new tokens) batch by batch, prompts sorted by length.

    Each (model, sample, draw) has its own random numbers, so an answer depends on neither order nor batch
    size, up to floating point in the model's forward pass. temperature 0 = greedy.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    limit, size = profile.responses.max_new_tokens, profile.responses.batch_size
    rows = list(todo.itertuples(index=False))
    ids = [models.encode_prompt(tokenizer, row.prompt) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(ids[i]))
    # Nothing else of the checkpoint's own generation settings (a repetition penalty, say) may slip in
    model.generation_config = GenerationConfig(max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id,
                                               eos_token_id=models.end_tokens(model, tokenizer))
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt").to(model.device)
        choice = LogitsProcessorList()
        if temperature > 0:
            uniforms = [uniform_numbers(limit, profile.seed, model_id, rows[i].sample_id, rows[i].draw) for i in batch]
            choice.append(SeededChoice(torch.tensor(np.array(uniforms), device=model.device), temperature))
        with torch.inference_mode():
            out = model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
                                 logits_processor=choice)
        new = out[:, inputs["input_ids"].shape[1] :]
        texts = [t.strip() for t in tokenizer.batch_decode(new, skip_special_tokens=True)]
        yield [rows[i] for i in batch], texts, int((new != tokenizer.pad_token_id).sum())
        work.report(0.8 + 0.2 * (start + len(batch)) / len(order))


def uniform_numbers(count: int, *identity) -> np.ndarray:
    """`count` uniform numbers in [0, 1) that depend on `identity` alone."""
    digest = hashlib.sha256(json.dumps([str(i) for i in identity]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big")).random(count)


class SeededChoice:
    """A logits processor that draws each row's next token from softmax(scores / temperature) by inverse CDF.

    uniforms: (rows, max_new_tokens) in [0, 1); column t decides token t. It leaves one token possible, so
    greedy decoding picks it: `generate` itself offers one random stream per batch, not per row.
    """

    def __init__(self, uniforms, temperature: float):
        self.uniforms, self.temperature, self.step = uniforms, temperature, 0

    def __call__(self, input_ids, scores):
        import torch

        cdf = torch.softmax(scores.double() / self.temperature, dim=-1).cumsum(dim=-1)
        draw = self.uniforms[:, self.step, None] * cdf[:, -1:]
        token = torch.searchsorted(cdf, draw, right=True).clamp(max=scores.shape[1] - 1)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, token, 0.0)


def _end_torn_line(path: Path) -> None:
    """Close a line that a crash left open, so that the next answer begins on a line of its own."""
    if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n")
