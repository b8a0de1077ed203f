"""A case of the bench of a GPU: a real architecture with random weights, its pairs, its switches.

Rates and memory do not depend on the weights, and no hub is asked. Words are tokens, and pairs are
as long as params/plan.yaml says of a dataset.
"""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_core.models import means
from dsi_core.models.means import Means
from dsi_core.runtime import precision
from dsi_core.settings.schema import Recipe

LLAMA: dict[str, Any] = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama-2-7B": {
        **LLAMA,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
    },
    "Qwen2-7B": {
        "model_type": "qwen2",
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
    },
    "toy": {
        **LLAMA,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
    },
}
WORDS = 2000  # of the vocabulary are ever said
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'answer ' }}{% endif %}"
)
LENGTHS = {"dolly": (107, 90), "alpaca": (22, 66), "slimorca": (230, 200)}  # as in params/plan.yaml
SPREAD = 0.8  # of the logarithms of lengths
_made: dict[str, Any] = {}  # the model at hand


def words(folder: Path) -> Any:
    """Make a tokenizer whose tokens are words, with the files of `folder`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "answer"])}
    known |= {f"w{i}": i for i in range(len(known), WORDS)}
    tokens = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="left",
    )
    made.chat_template = TEMPLATE
    made.save_pretrained(folder)
    return made


def config_of(family: str) -> Any:
    """Give a family's shape, as transformers has it."""
    import torch
    from transformers import AutoConfig

    return AutoConfig.for_model(
        **FAMILIES[family],
        tie_word_embeddings=False,
        dtype=torch.bfloat16,
        eos_token_id=2,
        pad_token_id=0,
    )


def model_of(family: str, device: str | None = None) -> Any:
    """Make a model of random weights in bf16; device: None = this machine's."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device(device or precision.detect().device):
        return AutoModelForCausalLM.from_config(config_of(family), dtype=torch.bfloat16)


def pairs(like: str, count: int, seed: int = 0) -> pd.DataFrame:
    """Draw pairs (sample_id, prompt, output) of words, as long as those of a dataset on the hub."""
    prompt_tokens, answer_tokens = LENGTHS[like]
    rng = np.random.default_rng(seed)

    def texts(mean: float) -> list[str]:
        lengths = rng.lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD, count)
        return [" ".join(f"w{i}" for i in rng.integers(5, WORDS, max(3, int(n)))) for n in lengths]

    return pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(count)],
            "prompt": texts(prompt_tokens),
            "output": texts(answer_tokens),
        }
    )


@dataclass(frozen=True)
class Case:
    """What is measured; `unpacked`: NF4 weights held as bf16."""

    name: str
    what: str  # one of `gpu.WAYS`
    family: str
    like: str = "dolly"
    method: str = "qlora"
    optimizer: str = "paged_adamw_8bit"
    flat: bool = False
    liger: bool = False
    checkpointing: bool = False
    unpacked: bool = False
    merged: bool = False
    attention: str = "sdpa"
    compiled: bool = False
    profiled: bool = False
    new: int = 128
    batch: int = 8
    steps: int = 14
    skipped: int = 4  # steps, of those

    @property
    def recipe(self) -> Recipe:
        """The paper's (§6.1)."""
        ranks = {} if self.method == "full" else {"rank": 8, "alpha": 32, "dropout": 0.05}
        return Recipe(
            method=self.method,
            optimizer=self.optimizer,
            learning_rate=1e-4,
            batch_size=self.batch,
            epochs=1,
            max_tokens=512,
            long_prompts="leave out",
            **ranks,
        )

    @property
    def means(self) -> Means:
        """As switched."""
        varlen = self.attention == means.VARLEN
        return Means(self.flat, varlen, self.checkpointing, compiled=self.compiled)

    @property
    def said(self) -> str:
        """What is switched on, in words."""
        named = {
            self.method: True,
            "unpacked": self.unpacked,
            "merged": self.merged,
            self.optimizer: self.what in ("tune", "profile"),
            "flat": self.flat,
            "checkpointing": self.checkpointing,
            "liger": self.liger,
            self.attention: True,
            "compiled": self.compiled,
            f"batch {self.batch}": True,
        }
        return ", ".join(name for name, on in named.items() if on)


def loaded(case: Case, folder: Path) -> tuple:
    """Give the model and tokenizer of a case; of one family there is one model in memory."""
    packed = case.method == "qlora" and not case.unpacked
    full = case.method == "full"  # weights that no adapter froze, and in fp32 afterwards
    key = f"{case.family}{' nf4' if packed else ''}{' full' if full else ''}"
    if key not in _made:
        _made.clear()
        gc.collect()
        _made[key] = model_of(case.family)
        if packed:
            _pack(_made[key])
    model = _made[key]
    model.set_attn_implementation("sdpa" if case.attention == means.VARLEN else case.attention)
    for layer in model.modules():
        layer._compiled_call_impl = None  # what an earlier case compiled
    means.apply(case.means, model)
    model.activation_checkpointing_disable()
    return model, words(folder)


def without_adapter(model: Any) -> None:
    """Take the adapter off, if there is one, before the next case has the model."""
    if hasattr(model, "unload"):
        model.unload()


def _pack(model: Any) -> None:
    """Put the linear layers but the output layer into NF4, as bitsandbytes does when it loads."""
    import torch
    from bitsandbytes.nn import Linear4bit, Params4bit

    head = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, torch.nn.Linear) and layer is not head:
            packed = Linear4bit(
                layer.in_features,
                layer.out_features,
                bias=layer.bias is not None,
                compute_dtype=layer.weight.dtype,
                device="meta",
            )
            place = layer.weight.device
            packed.weight = Params4bit(layer.weight.data, False, quant_type="nf4").to(place)
            packed.bias = layer.bias
            model.set_submodule(name, packed)
    model.is_loaded_in_4bit = model.is_quantized = True
