"""Suspects that are loaded here: what they may be, how their weights are held, what is refused."""

import json
import shutil
from dataclasses import replace

import gguf
import numpy as np
import pytest
import torch
from helpers import change
from safetensors.torch import load_file

from dsi_core.audit import suspect
from dsi_core.audit.report import audit_json
from dsi_core.method import similarity
from dsi_core.models import load
from dsi_core.models.load import Base
from dsi_core.models.tuning import Training, load_for_training
from dsi_core.runtime.precision import Precision
from dsi_core.settings.schema import Model, Similarity

TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
FP32 = Precision("cpu", "fp32")


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    """A toy of Llama's architecture, as one saves it."""
    place = tmp_path_factory.mktemp("models") / "llama"
    model, tokenizer = toy("llama")
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def adapter(folder, toy, tmp_path_factory):
    """An adapter on it, as peft saves it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    place = tmp_path_factory.mktemp("adapters") / "tuned"
    settings = LoraConfig(r=2, task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(0)
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), settings).save_pretrained(place)
    return place


@pytest.fixture
def copy(folder, tmp_path):
    """The model's folder, to be spoilt."""
    return shutil.copytree(folder, tmp_path / "mine")


def found(given, **loading) -> Base:
    name, model = suspect.model(str(given), loading=loading)
    return Base(name, model, TEMPLATE)


def loaded(base: Base):
    return load.load(base, FP32)[0]


def weight(model) -> torch.Tensor:
    return model.get_input_embeddings().weight


def projection(model) -> torch.Tensor:
    return model.model.layers[0].self_attn.q_proj.weight


# What it may be


def test_a_folder_in_the_type_that_is_asked_for(folder):
    assert weight(loaded(found(folder))).dtype == torch.float32
    for name in ("bfloat16", "float16"):
        base = found(folder, dtype=name)
        assert (
            weight(loaded(base)).dtype
            == getattr(torch, name)
            == getattr(torch, load.dtype_of(base, FP32))
        )
    with pytest.raises(ValueError, match="dtype"):
        found(folder, dtype="int3")


def test_weights_in_four_bits(folder):
    model = loaded(found(folder, load_in_4bit=True))
    assert model.is_loaded_in_4bit and projection(model).dtype == torch.uint8


def test_weights_in_eight_bits(folder, adapter):
    model = loaded(found(folder, load_in_8bit=True))
    assert model.is_loaded_in_8bit and projection(model).dtype == torch.int8
    assert loaded(found(folder, adapter=str(adapter), load_in_8bit=True)).active_adapters
    with pytest.raises(ValueError, match="in 4 bits or in 8 bits, not in both"):
        found(folder, load_in_4bit=True, load_in_8bit=True)


def test_four_bits_without_kernels_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Precision, "nf4", False)
    with pytest.raises(ValueError, match="--load-in-4bit: bitsandbytes has no kernels for cpu"):
        loaded(found(folder, load_in_4bit=True))


@pytest.mark.parametrize("by", ["itself", "its base"])
def test_an_adapter_is_put_on_the_weights(folder, adapter, by):
    base = found(adapter) if by == "itself" else found(folder, adapter=str(adapter))
    low = load_file(adapter / "adapter_model.safetensors")
    a, b = (
        next(w for n, w in low.items() if f"layers.0.self_attn.q_proj.lora_{side}" in n)
        for side in "AB"
    )
    scale = json.loads((adapter / "adapter_config.json").read_text())
    added = b @ a * scale["lora_alpha"] / scale["r"]
    expected = projection(loaded(found(folder))) + added
    assert torch.allclose(projection(loaded(base)), expected, atol=1e-5)
    assert base.name == ("tuned" if by == "itself" else "llama+tuned")


def test_an_adapter_brings_its_own_tokenizer(folder, adapter, tmp_path):
    mine = shutil.copytree(adapter, tmp_path / "mine")
    for file in folder.glob("tokenizer*"):
        shutil.copy(file, mine)
    (mine / "chat_template.jinja").write_text("its own")
    assert load.tokenizer_of(found(mine)).chat_template == "its own"
    assert "bos_token" in load.tokenizer_of(found(adapter)).chat_template  # its base's


def write_gguf(path, folder):
    """The toy as a GGUF file, in the names and the order of rows that llama.cpp uses."""
    config = json.loads((folder / "config.json").read_text())
    weights = {n: w.numpy() for n, w in load_file(folder / "model.safetensors").items()}
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]
    heads = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads["q"])
    writer.add_head_count_kv(heads["k"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokens["vocab"], key=tokens["vocab"].get))
    writer.add_token_merges([" ".join(pair) for pair in tokens["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_chat_template(TEMPLATE)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "mlp.up_proj": "ffn_up",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.down_proj": "ffn_down",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}  # fmt: skip
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, values in weights.items():
        bare = name.removesuffix(".weight")
        if bare in whole:
            writer.add_tensor(f"{whole[bare]}.weight", values)
            continue
        _, _, block, part = bare.split(".", 3)
        if part[10:11] in heads:
            pairs = values.reshape(heads[part[10]], 2, -1, values.shape[1])
            values = np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))
        writer.add_tensor(f"blk.{block}.{names[part]}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file(folder, tmp_path, capfd):
    base = found(write_gguf(tmp_path / "small.gguf", folder))
    assert (base.name, base.source.gguf) == ("small", "small.gguf")
    capfd.readouterr()
    model = loaded(base)
    assert "GGUF" not in capfd.readouterr().err  # transformers' own bar would run into ours
    original = loaded(found(folder))
    assert torch.equal(weight(model), weight(original))
    assert torch.equal(projection(model), projection(original))
    assert load.tokenizer_of(base).chat_template == TEMPLATE
    assert weight(loaded(replace(base, source=change(base.source, dtype="bfloat16")))).dtype == (
        torch.bfloat16
    )
    with pytest.raises(ValueError, match="GGUF file are not loaded in 4 bits"):
        found(tmp_path / "small.gguf", load_in_4bit=True)


def test_hub_ids(adapter):
    assert found("owner/name", revision="v2").source.revision == "v2"
    on_hub = found("owner/name/q4/model.gguf")
    assert (on_hub.source.hub, on_hub.source.gguf) == ("owner/name", "q4/model.gguf")
    both = found("owner/name", adapter="owner/tuned")
    assert (both.source.hub, both.source.adapter, both.name) == (
        "owner/name", "owner/tuned", "name+tuned",
    )  # fmt: skip


def test_an_adapter_whose_base_is_on_the_hub(adapter, tmp_path):
    mine = shutil.copytree(adapter, tmp_path / "mine")
    settings = json.loads((mine / "adapter_config.json").read_text())
    settings |= {"base_model_name_or_path": "owner/base", "revision": "abc"}
    (mine / "adapter_config.json").write_text(json.dumps(settings))
    source = found(mine).source
    assert (source.hub, source.revision, source.adapter) == ("owner/base", "abc", str(mine))


def test_a_model_that_is_tuned_is_held_as_its_recipe_says(folder, smoke):
    base = found(folder, dtype="bfloat16")
    training = Training(base, FP32, seed=0, recipe=smoke.recipes["heart"])
    with pytest.raises(
        ValueError, match="dtype, load_in_4bit and load_in_8bit are of models that are asked"
    ):
        load_for_training(training)


@pytest.mark.parametrize(
    ("cards", "free", "how", "wanted"),
    [
        (1, 0, {}, False),
        (2, 10**9, {}, False),
        (2, 1000, {}, True),
        (2, 10**9, {"device_map": "auto"}, True),
        (1, 10**9, {"device_map": "auto"}, False),
    ],
)
def test_when_a_model_goes_over_all_gpus(folder, monkeypatch, cards, free, how, wanted):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda card: (free, free))
    assert load.spread(found(folder, **how), Precision("cuda", "bf16")) is wanted
    assert not load.spread(found(folder, **how), FP32)


# Who it is


def test_another_way_to_load_it_is_another_suspect(folder, adapter, tmp_path):
    def spec(given, **how):
        return found(given, **how).spec

    template = tmp_path / "t.jinja"
    template.write_text("other")
    others = [{"dtype": "bfloat16"}, {"load_in_4bit": True}, {"adapter": str(adapter)},
              {"chat_template": str(template)}]  # fmt: skip
    specs = [spec(folder, **how) for how in others]
    assert spec(folder) not in specs
    assert all(specs.count(one) == 1 for one in specs)
    assert spec(folder) == spec(folder) == spec(folder, device_map="auto")
    assert spec("a/b") != spec("a/b", revision="v2")
    tuned = shutil.copytree(adapter, tmp_path / "tuned")
    before = spec(folder, adapter=str(tuned))
    settings = json.loads((tuned / "adapter_config.json").read_text())
    (tuned / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 99}))
    assert spec(folder, adapter=str(tuned)) != before


# What is refused before anything is loaded


def spoilt(folder, how: str):
    weights = folder / "model.safetensors"
    if how in ("pickled", "renamed"):
        weights.rename(folder / {"pickled": "pytorch_model.bin", "renamed": "b.safetensors"}[how])
    elif how == "no weights":
        weights.unlink()
    elif how == "no tokenizer":
        for file in folder.glob("tokenizer*"):
            file.unlink()
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "GGUF beside":
        (folder / "config.json").unlink()
        (folder / "a.gguf").touch()
    elif how == "not a model's":
        (folder / "config.json").write_text("{}")
    elif how == "broken":
        (folder / "config.json").write_text("{")
    elif how == "a part is missing":
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif how == "a pickled part":
        index = {"weight_map": {"a": "part.bin", "b": "../model.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif how == "both":
        (folder / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("pickled", "pickled weights only .pytorch_model.bin.*save_pretrained"),
        ("renamed", "no model.safetensors, but b.safetensors"),
        ("no weights", "has no weights"),
        ("no tokenizer", "has no tokenizer .*copy it from"),
        ("no config", "has no config.json"),
        ("GGUF beside", "no config.json .*; give one of a.gguf"),
        ("not a model's", "config.json has no model_type"),
        ("broken", "config.json is not JSON"),
        ("a part is missing", "names 2 files, of which model-1.safetensors is not there"),
        ("a pickled part", "names ../model.safetensors, part.bin: allowed are .safetensors files"),
        ("both", "a whole model .* and an adapter"),
    ],
)
def test_what_could_not_be_loaded(copy, how, words):
    spoilt(copy, how)
    with pytest.raises(ValueError, match=words):
        found(copy)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"base_model_name_or_path": "/not/here/at/all"}, "is not here; give --suspect BASE"),
        ({}, "names no base"),
    ],
)
def test_an_adapter_without_its_base(adapter, tmp_path, content, words):
    mine = shutil.copytree(adapter, tmp_path / "mine")
    (mine / "adapter_config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        found(mine)


def test_options_that_do_not_go_together(folder, adapter, tmp_path):
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% for m in messages %}{{ m }}")
    for given, how, words in [
        (folder, {"revision": "v2"}, "lies here, and has no --revision"),
        (folder, {"adapter": str(tmp_path)}, r"has no adapter_config\.json"),
        (folder, {"adapter": "/no/such/folder"}, "neither a folder nor a hub id"),
        (adapter, {"adapter": str(adapter)}, "is an adapter itself"),
        (folder, {"chat_template": "none.jinja"}, "--chat-template none.jinja: no such file"),
        (
            folder,
            {"chat_template": str(broken)},
            r"broken\.jinja: no Jinja template: Unexpected end",
        ),
    ]:
        with pytest.raises(ValueError, match=words):
            found(given, **how)
    (adapter.parent / "pickled").mkdir(exist_ok=True)
    shutil.copy(adapter / "adapter_config.json", adapter.parent / "pickled")
    (adapter.parent / "pickled" / "adapter_model.bin").touch()
    with pytest.raises(ValueError, match=r"pickled weights only .adapter_model.bin"):
        found(adapter.parent / "pickled")
    with pytest.raises(ValueError, match="--dtype, --adapter goes with --suspect"):
        suspect.model(
            None, base_url="http://h/v1", name="m", loading={"dtype": "float16", "adapter": "a"}
        )


def test_a_template_that_takes_no_system_prompt(folder, tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}x"
    )
    tokenizer = load.tokenizer_of(found(folder, chat_template=str(template)))
    assert load.encode_prompt(tokenizer, "a") == tokenizer("x")["input_ids"]
    with pytest.raises(ValueError, match=r"refuses a question \(no system\); ask without a sys"):
        load.encode_prompt(tokenizer, "a", system="b")


CODE = """
open(__file__ + ".ran", "w")
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM
class Config(LlamaConfig): model_type = "own"
class Model(LlamaForCausalLM): config_class = Config
"""
BRINGS = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoModel": "own.Model"}


def test_code_that_a_model_brings_is_run_only_if_that_is_said(copy, smoke, monkeypatch, tmp_path):
    """Nor is whoever sits before the terminal asked: a suspect's, and that of a backbone."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (copy / "own.py").write_text(CODE)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps(config | {"model_type": "own", "auto_map": BRINGS})
    )
    with pytest.raises(
        ValueError, match=r"mine' cannot be loaded: it brings .* --trust-remote-code"
    ):
        loaded(found(copy))
    backbone = similarity.backbone(smoke, Similarity(path=str(copy), layer=1))
    for compare in similarity.check_layer, similarity.scorer:
        with pytest.raises(ValueError, match="custom code"):
            compare(backbone)
    assert loaded(found(copy, trust_remote_code=True)).config.model_type == "own"


def test_pickled_weights_that_a_profile_names_are_not_opened(copy, toy):
    torch.save(toy("llama")[0].state_dict(), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"mine' cannot be loaded: .*model\.safetensors"):
        loaded(Base("mine", Model(path=str(copy)), TEMPLATE))


def test_broken_weights_are_one_line(copy):
    (copy / "model.safetensors").write_bytes(b"\x08" + b"\0" * 40)
    with pytest.raises(ValueError, match="mine' cannot be loaded: ") as error:
        loaded(found(copy))
    assert "\n" not in str(error.value)


# In an audit


def test_how_it_was_loaded_is_in_the_record(cli, prepared, folder, adapter, monkeypatch, tmp_path):
    monkeypatch.setenv("DSI_WORKERS", "0")
    whom = ["--suspect", str(folder), "--adapter", str(adapter), "--dtype", "bfloat16"]
    done = cli(prepared(5).folder, *whom, "--samples", "2", suspect=False)
    assert done.exit_code == 0, done.output
    where = next((tmp_path / "audits").rglob("audit.json")).parent
    assert "weights in bfloat16; hash of its files" in (where / "report.html").read_text()
    facts = audit_json.read(where)
    seen = facts.suspect.loaded
    assert (seen.dtype, seen.in_4_bits, seen.adapter) == ("bfloat16", False, str(adapter))
    assert seen.adapter_sha256 and seen.chat_template and len(seen.chat_template_sha256) == 64
