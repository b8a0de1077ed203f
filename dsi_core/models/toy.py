"""Tiny random models of the paper's families and a tiny BERT: they prove the code path only."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsi_core.data.pairs import Dataset, dataset, load_pairs
from dsi_core.runtime import store
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import TOY_LAYERS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FAMILIES: dict[
    str, dict[str, Any]
] = {  # the config class of each reference architecture (§5.2), beside the common sizes
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "gemma": {"model_type": "gemma", "head_dim": 16},
    "llama": {"model_type": "llama"},
    "qwen2": {"model_type": "qwen2"},
    "glm": {"model_type": "glm", "head_dim": 16},
}
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": TOY_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,  # wide enough for LoRA to move the frozen output layer's logits
}
VOCABULARY = 512
SPECIAL = ["<pad>", "<s>", "</s>", "<cls>", "<sep>", "<unk>"]


@dataclass(frozen=True)
class Corpus:
    """The texts on which the toys' tokenizer is trained, and the seed of their weights."""

    datasets: tuple[Dataset, ...]
    seed: int

    @property
    def texts(self) -> list[str]:
        """All prompts and outputs, dataset by dataset."""
        tables = [load_pairs(d) for d in self.datasets]
        return [text for t in tables for column in ("prompt", "output") for text in t[column]]

    @cached_property
    def key(self) -> str:
        """A name of texts and seed, for the store's keys."""
        return store.key([self.texts, self.seed])


def corpus(profile: Profile) -> Corpus:
    """Give the profile's datasets, except those that a notebook wrote into the store.

    So adding such a dataset makes no new toys.
    """
    written = store.root().resolve()
    kept = [
        name
        for name, source in profile.data.items()
        if not (source.path and Path(source.path).is_relative_to(written))
    ]
    return Corpus(tuple(dataset(profile, name) for name in kept), profile.seed)


def tokenizer(corpus: Corpus) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE of 512 tokens on the corpus."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus.texts, trainer)
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


def make(corpus: Corpus, family: str, folder: Path) -> None:
    """Write a random causal model of `family` and its tokenizer into `folder`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokens = tokenizer(corpus)
    config = AutoConfig.for_model(
        **FAMILIES[family],
        **SIZES,
        vocab_size=len(tokens),
        tie_word_embeddings=False,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    with torch.random.fork_rng():
        # Mistral's blocks are Llama's: other numbers at least
        torch.manual_seed(corpus.seed + list(FAMILIES).index(family))
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokens.save_pretrained(folder)


def make_bert(corpus: Corpus, folder: Path) -> None:
    """Write a random two-layer BERT and its tokenizer, which adds <cls> and <sep>, to `folder`."""
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel

    tokens = tokenizer(corpus)
    tokens.backend_tokenizer.post_processor = TemplateProcessing(
        single="<cls> $A <sep>",
        special_tokens=[("<cls>", tokens.cls_token_id), ("<sep>", tokens.sep_token_id)],
    )
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=64,
        num_hidden_layers=TOY_LAYERS,
        num_attention_heads=4,
        intermediate_size=128,
        pad_token_id=tokens.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(corpus.seed)
        BertModel(config).save_pretrained(folder)
    tokens.save_pretrained(folder)
