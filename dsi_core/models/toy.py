"""Tiny random models of the paper's five families and a tiny BERT, for the `smoke` profile: they prove the code path only."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
)

from dsi_core.data import pairs
from dsi_core.runtime import store
from dsi_core.settings.profile import Profile

FAMILIES = {  # the config class of each reference architecture of §5.2, and what it needs beside the common sizes
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "gemma": {"model_type": "gemma", "head_dim": 16},
    "llama": {"model_type": "llama"},
    "qwen2": {"model_type": "qwen2"},
    "glm": {"model_type": "glm", "head_dim": 16},
}
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
}  # wide enough for LoRA to move the frozen output layer's logits


def texts(profile: Profile) -> list[str]:
    """All texts on which the toy tokenizer is trained: those of the profile's datasets, but for what a notebook wrote into the store. So adding
    such a dataset makes no new models.
    """
    kept = [
        name
        for name, d in profile.data.items()
        if not (d.path and Path(d.path).is_relative_to(store.root().resolve()))
    ]
    tables = [pairs.load_pairs(profile, name) for name in kept]
    return [text for table in tables for column in ("prompt", "output") for text in table[column]]


def texts_key(profile: Profile) -> str:
    return store.key([texts(profile), profile.seed])


def tokenizer(profile: Profile) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 512 tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<cls>", "<sep>", "<unk>"]
    bpe.train_from_iterator(
        texts(profile),
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<cls>",
        sep_token="<sep>",
        unk_token="<unk>",
        model_max_length=512,
    )


def make(profile: Profile, family: str, folder: Path) -> None:
    """Write a random causal model of `family` and its tokenizer into `folder`."""
    tok = tokenizer(profile)
    extra = dict(FAMILIES[family])
    config = AutoConfig.for_model(
        extra.pop("model_type"),
        **SIZES,
        **extra,
        vocab_size=len(tok),
        tie_word_embeddings=False,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(
            profile.seed + list(FAMILIES).index(family)
        )  # Mistral's blocks are Llama's: other numbers at least
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tok.save_pretrained(folder)


def make_bert(profile: Profile, folder: Path) -> None:
    """Write a random two-layer BERT and its tokenizer, which adds <cls> and <sep>, into `folder`."""
    from tokenizers.processors import TemplateProcessing

    tok = tokenizer(profile)
    tok.backend_tokenizer.post_processor = TemplateProcessing(
        single="<cls> $A <sep>",
        special_tokens=[("<cls>", tok.cls_token_id), ("<sep>", tok.sep_token_id)],
    )
    config = BertConfig(
        vocab_size=len(tok),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        pad_token_id=tok.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(profile.seed)
        BertModel(config).save_pretrained(folder)
    tok.save_pretrained(folder)
