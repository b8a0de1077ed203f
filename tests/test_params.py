"""Profiles: what contradicts itself or is unknown is refused, naming field and value."""

import copy

import pytest
import yaml
from conftest import says

from dsi_core import params
from dsi_core.params import ROOT, load_profile, read_yaml


@pytest.fixture
def profile_of(tmp_path, monkeypatch):
    """profile_of(raw, **overrides): load a profile written from this YAML value (or text)."""
    (tmp_path / "params").mkdir()
    monkeypatch.setattr(params, "ROOT", tmp_path)

    def load(raw, **overrides):
        text = raw if isinstance(raw, str) else yaml.safe_dump(raw)
        (tmp_path / "params" / "mine.yaml").write_text(text, encoding="utf-8")
        return load_profile("mine", **overrides)

    return load


@pytest.fixture(scope="module")
def raw():
    return read_yaml(ROOT / "params" / "smoke.yaml")


def edited(raw: dict, path: str, value) -> dict:
    """The profile with the setting at `path` replaced; list items go by number."""
    whole = part = copy.deepcopy(raw)
    *way, last = [int(k) if k.isdigit() else k for k in path.split("/")]
    for k in way:
        part = part[k]
    part[last] = value
    return whole


SFT = {"learning_rate": 0.1, "epochs": 1}
REFUSED = {  # path: value, parts of the message
    "unknown section": ("thresholds", 7, ["thresholds", "got 7"]),
    "unknown field of a recipe": ("recipes/heart/epoch", 5, ["recipes.heart.epoch", "got 5"]),
    "unknown field of a dataset": ("data/dozen/outptu", "answer", ["data.dozen.outptu", "'answer'"]),
    "unknown method": ("recipes/heart/method", "rlhf", ["recipes.heart.method", "'rlhf'", "qlora", "full"]),
    "wrong kind": ("recipes/heart/learning_rate", "fast", ["recipes.heart.learning_rate", "'fast'"]),
    "zero draws": ("responses/draws", 0, ["responses.draws", "got 0"]),
    "negative mu": ("decision", {"mu": -1}, ["decision.mu", "got -1"]),
    "unknown family": ("models/llama/toy", "gpt2", ["models.llama.toy", "'gpt2'", "mistral"]),
    "unknown drop": ("data/dozen/drop", ["doubles"], ["data.dozen.drop", "'doubles'", "duplicates"]),
    "lora without rank and alpha": ("recipes/lora", {"method": "lora", **SFT}, ["recipes.lora", "rank and alpha"]),
    "lora without rank": ("recipes/lora", {"method": "lora", "alpha": 64, **SFT}, ["recipes.lora", "rank"]),
    "qlora without alpha": ("recipes/qlora", {"method": "qlora", "rank": 8, **SFT}, ["recipes.qlora", "alpha"]),
    "full with rank": ("recipes/heart", {"method": "full", "rank": 8, **SFT}, ["recipes.heart", "rank and alpha"]),
    "two sources": ("data/dozen/hub", "owner/name", ["data.dozen", "exactly one source", "'hub'", "'path'"]),
    "no source": ("models/llama", {}, ["models.llama", "exactly one source", "none"]),
    "toy and hub": ("models/llama/hub", "owner/name", ["models.llama", "exactly one source", "'hub'", "'toy'"]),
    "package without member": ("models/llama", {"package": {"a==1": "0"}}, ["models.llama", "package and member"]),
    "no output column": ("data/other", {"path": "a.csv", "prompt": ["q"]}, ["data.other", "prompt + output", "conversations"]),
    "columns and conversations": ("data/dozen/conversations", "turns", ["data.dozen", "conversations"]),
    "prompt and conversations": ("data/other", {"path": "a.csv", "prompt": ["q"], "conversations": "c"}, ["data.other", "conversations"]),
    "data without recipe": ("suspects/4/data", ["other"], ["suspects.4", "data and recipe go together"]),
    "recipe without data": ("suspects/4/recipe", "heart", ["suspects.4", "data and recipe go together"]),
    "member without victim data": ("suspects/4/member", True, ["'llama-untuned'", "member is True", "[]"]),
    "non-member with victim data": ("suspects/0/member", False, ["'llama-full'", "member is False", "['victim']"]),
    "reference without D saw D": ("references/0/without/data", ["other", "victim"], ["'mistral'", "'without' must not"]),
    "reference with D never saw it": ("references/2/with/data", ["other"], ["'llama'", "'with' must train on"]),
    "unknown recipe": ("suspects/0/recipe", "hart", ["unknown recipe 'hart'", "known: heart, lora, qlora"]),
    "unknown base": ("suspects/0/base", "lama", ["unknown model 'lama'", "gemma, glm, llama"]),
    "unknown training data": ("suspects/5/data", ["othr"], ["unknown data 'othr'", "dozen, other, terse"]),
    "unknown victim": ("victims", ["twelve"], ["unknown victim 'twelve'", "dozen, other, terse"]),
    "unknown wild victim": ("wild", {"x": {"members": [], "non_members": []}}, ["unknown victim 'x'"]),
    "data called victim": ("data/victim", {"path": "a.csv", "prompt": ["q"], "output": "a"}, ["'victim'", "data may not be called"]),
    "one name twice": ("suspects/1/name", "llama-full", ["names", "must differ", "'llama-full', 'llama-full'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(raw, profile_of, case):
    path, value, parts = REFUSED[case]
    with pytest.raises(ValueError) as error:
        profile_of(edited(raw, path, value))
    says(error, "params/mine.yaml", *parts)


def test_every_mistake_is_listed_at_once(raw, profile_of):
    with pytest.raises(ValueError) as error:
        profile_of(edited(edited(raw, "responses/draws", 0), "recipes/heart/epochs", -3))
    says(error, "2 setting(s)", "responses.draws", "got 0", "recipes.heart.epochs", "got -3")


@pytest.mark.parametrize("text", ["scale: [", "", "- a\n- b\n", "scale: words only\n"])
def test_a_file_that_is_no_profile(profile_of, text):
    with pytest.raises(ValueError) as error:
        profile_of(text)
    says(error, "params/mine.yaml")


def test_a_section_without_settings_keeps_its_defaults(raw, profile_of):
    assert profile_of(edited(raw, "decision", {}), mu=3).decision.model_dump() == {
        "delta_t": 0.30, "delta_s": None, "mu": 3, "copy_score": 0.95}


def test_unknown_profile_names_the_known():
    with pytest.raises(ValueError) as error:
        load_profile("smok")
    says(error, "'smok'", "paper, small, smoke")


@pytest.mark.parametrize("override, parts", [
    ({"delta": 0.2}, ["unknown parameter 'delta'", "delta_t", "seed, victims"]),
    ({"recipes": {}}, ["unknown parameter 'recipes'"]),
    ({"draws": "many"}, ["responses.draws", "'many'"]),
    ({"draws": 0}, ["responses.draws", "got 0"]),
    ({"temperature": -0.5}, ["responses.temperature", "got -0.5"]),
    ({"ask": "some"}, ["responses.ask", "'some'", "tainted"]),
    ({"mu": 1.5}, ["decision.mu", "got 1.5"]),
    ({"victims": ["twelve"]}, ["unknown victim 'twelve'", "dozen"]),
    ({"seed": "x"}, ["seed", "'x'"]),
])
def test_refused_override(override, parts):
    with pytest.raises(ValueError) as error:
        load_profile("smoke", **override)
    says(error, *parts)


def test_overrides_reach_decision_and_responses():
    new = dict(delta_t=0.5, delta_s=0.1, mu=0, copy_score=0.9, temperature=0, draws=2, ask="tainted", max_new_tokens=9, batch_size=1)
    profile = load_profile("smoke", seed=7, victims=["other"], **new)
    assert {**profile.decision.model_dump(), **profile.responses.model_dump()} == new
    assert (profile.seed, profile.victims) == (7, ["other"])


def test_none_is_the_profile_s_own_value():
    plain = load_profile("smoke")
    assert load_profile("smoke", seed=None, victims=None, mu=None, delta_t=None, draws=None, ask=None) == plain
    assert (plain.seed, plain.victims, plain.responses.ask) == (0, ["dozen"], "all")
    assert plain.decision.model_dump() == {"delta_t": 0.30, "delta_s": None, "mu": 20, "copy_score": 0.95}  # method.md
    assert (plain.responses.draws, plain.responses.temperature) == (3, 1.0)


def test_settings_cannot_be_changed_later(smoke):
    with pytest.raises(ValueError):
        smoke.decision.mu = 5
    assert smoke.decision.mu == 20
