"""The paper's own study (params/paper.yaml) and the numbers it prints (params/reported.yaml)."""

import re

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import load_profile, read_yaml

VICTIMS = ["dolly", "alpaca", "slimorca", "openhermes"]
LEGIBLE = {
    "dolly": 19,
    "alpaca": 20,
    "slimorca": 18,
    "openhermes": 18,
}  # distinct non-members our copy of Table 10 shows
PRECISION_MISPRINT = {("slimorca", "DPDLLM"): 48.1}  # printed 48.2; 13 of 27 is 48.148


@pytest.fixture(scope="module")
def paper():
    return load_profile("paper")


@pytest.fixture(scope="module")
def reported():
    return read_yaml(ROOT / "params" / "reported.yaml")


def test_victims_and_their_size(paper, reported):
    assert paper.victims == VICTIMS == list(paper.wild)
    for row in reported["table4"]["rows"]:
        data = paper.data[row["dataset"]]
        assert (data.hub, data.split) == (f"{row['owner']}/{row['name']}", row["part"])
        assert data.rows == (50_000 if row["size"] > 50_000 else None)
        assert (data.shuffle_seed, data.half) == (42, None)


def test_which_records_the_released_code_takes(paper):
    """main/dataset.py: turns and category; context first; halves by the same seed."""
    dolly, alpaca, slimorca, openhermes = (paper.data[victim] for victim in VICTIMS)
    assert (dolly.prompt, dolly.may_be_empty) == (["context", "instruction"], ["context"])
    assert (slimorca.turns, openhermes.turns) == (3, 2)
    assert openhermes.without == {"category": ["coding"]}
    assert {data.joined_by for data in (dolly, alpaca, slimorca, openhermes)} == {" "}
    for victim in VICTIMS:
        whole, x, other = (paper.data[f"{victim}{end}"] for end in ("", "_x", "_iid"))
        assert (x.half, other.half, other.apart_from) == (1, 2, f"{victim}_x")
        assert x.changed(half=None) == other.changed(half=None, apart_from=None) == whole


def test_pinned_revisions_are_whole_hashes(paper):
    """What has none is told at the head of the profile, and nothing else."""
    sources = {**paper.models, **paper.data}
    on_hub = {name: source.revision for name, source in sources.items() if source.hub}
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in on_hub.values() if revision)
    unpinned = {name for name, revision in on_hub.items() if revision is None}
    openhermes = {"openhermes", "openhermes_x", "openhermes_iid"}
    assert unpinned == {"glm-4-9b", "glm-2b", *openhermes}


def test_references_of_section_6_1(paper):
    hub = {name: model.hub for name, model in paper.models.items()}
    assert [(hub[r.without.base], hub[r.with_.base]) for r in paper.references] == [
        ("mistralai/Mistral-7B-Instruct-v0.1", "mistralai/Mistral-7B-v0.1"),
        ("google/gemma-7b-it", "google/gemma-7b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "meta-llama/Meta-Llama-3-8B"),
        ("Qwen/Qwen2-7B-Instruct", "Qwen/Qwen2-7B"),
        ("THUDM/glm-4-9b-chat-hf", "THUDM/glm-4-9b-hf"),
    ]
    assert all(r.without.data == [] and r.with_.data == ["victim"] for r in paper.references)
    assert {r.with_.recipe for r in paper.references} == {"qlora"}


def test_local_members_of_table_5(paper):
    assert [paper.models[s.base].hub for s in paper.suspects] == [
        "mistralai/Mistral-7B-v0.3",
        "google/gemma-2b",
        "meta-llama/Llama-3.1-8B",
        "meta-llama/Llama-3.2-3B",
        "Qwen/Qwen1.5-4B",
        "Qwen/Qwen1.5-7B",
        "Qwen/Qwen2.5-3B",
        "Qwen/Qwen2.5-7B",
        "THUDM/glm-2b",
        "THUDM/glm-10b",
    ]
    assert all(s.member and s.data == ["victim"] for s in paper.suspects)
    longer = [s.base for s in paper.suspects if s.recipe == "qlora_4_epochs"]
    assert longer == ["gemma-2b", "glm-2b"]
    assert {s.recipe for s in paper.suspects if s.base not in longer} == {"qlora"}


def test_no_remote_code_without_being_asked(paper):
    assert not any(model.trust_remote_code for model in paper.models.values())


@pytest.mark.parametrize(
    "name, rank, alpha, rate, epochs",
    [
        ("qlora", 8, 32, 1e-4, 3),
        ("qlora_4_epochs", 8, 32, 1e-4, 4),
        ("qlora_second", 4, 16, 5e-5, 4),
    ],
)
def test_recipes(paper, name, rank, alpha, rate, epochs):
    r = paper.recipes[name]
    assert (r.max_tokens, r.long_prompts, r.warmup_steps) == (512, "leave out", 2)
    assert (r.rank, r.alpha, r.learning_rate, r.epochs) == (rank, alpha, rate, epochs)
    assert (r.method, r.dropout, r.optimizer, r.batch_size) == (
        "qlora",
        0.05,
        "paged_adamw_8bit",
        8,
    )


def test_asking_and_deciding(paper):
    assert (paper.responses.temperature, paper.responses.draws, paper.responses.ask) == (
        1.0,
        3,
        "tainted",
    )
    assert (paper.responses.max_prompt_tokens, paper.responses.max_new_tokens) == (512, 128)
    assert (paper.similarity.hub, paper.similarity.layer, paper.similarity.rescale) == (
        "distilbert-base-uncased",
        5,
        False,
    )
    rescaled = [name for name, other in paper.similarities.items() if other.rescale]
    assert rescaled == ["distilbert-base-uncased rescaled", "roberta-large", "deberta-xlarge-mnli"]
    assert (paper.decision.delta_t, paper.decision.delta_s, paper.decision.mu) == (0.30, None, 20)
    assert paper.decision.rule == "text"


def test_both_rephrasing_attacks(paper):
    rephraser = paper.robustness.rephraser
    assert rephraser.system == "Please paraphrase the following sentences."
    assert rephraser.prompt == "{text}"
    assert rephraser.temperatures == rephraser.temperatures_of_data == [1.0]


@pytest.mark.parametrize("victim", VICTIMS)
def test_wild_models_of_table_10(paper, victim):
    wild = paper.wild[victim]
    assert (len(wild.members), len(wild.non_members)) == (10, LEGIBLE[victim])
    both = wild.members + wild.non_members
    assert len(set(both)) == len(both)  # nobody twice, so nobody member and non-member
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", hub) for hub in both)


def test_chat_template(paper):
    # as transformers compiles a template
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(
        paper.chat_template
    )
    user = {"role": "user", "content": "What is a verb?"}
    prompt = template.render(messages=[user], add_generation_prompt=True, bos_token="<s>")
    assert prompt == "<s>### Question: What is a verb? ### Answer: "
    tuned = [*(r.with_.base for r in paper.references), *(s.base for s in paper.suspects)]
    assert {paper.models[base].chat_template for base in tuned} == {paper.chat_template}
    asked = {paper.models[r.without.base].chat_template for r in paper.references}
    assert asked == {None}  # an instruct checkpoint's own


def percent(part, whole):
    return round(100 * part / whole, 1) if whole else None


def scores_from_counts(rows):
    right = {r["group"]: r["correct"] for r in rows}
    total = {r["group"]: r["total"] for r in rows}
    members = ("local members", "wild members")
    tp = sum(right[g] for g in members)
    fn = sum(total[g] for g in members) - tp
    fp = total["wild non-members"] - right["wild non-members"]
    precision = percent(tp, tp + fp)  # f1 is undefined with it, as the paper prints it
    return percent(tp, tp + fn), precision, precision and percent(2 * tp, 2 * tp + fp + fn)


@pytest.mark.parametrize(
    "table, methods",
    [("table6", ["DPDLLM", "dataset inference"]), ("table8", ["dataset inference"])],
)
def test_counts_reproduce_the_printed_scores(reported, table, methods):
    scores = {(s["dataset"], s["method"]): s for s in reported[table]["scores"]}
    assert sorted(scores) == sorted((v, m) for v in VICTIMS for m in methods)
    for key, printed in scores.items():
        rows = [r for r in reported[table]["rows"] if (r["dataset"], r["method"]) == key]
        assert [(r["group"], r["total"]) for r in rows] == [
            ("local members", 10),
            ("wild members", 10),
            ("wild non-members", 20),
        ]
        precision = PRECISION_MISPRINT.get(key, printed["precision"])
        assert scores_from_counts(rows) == (printed["recall"], precision, printed["f1"]), key


def test_undefined_scores_are_null(reported):
    for row in reported["table8"]["scores"]:
        assert (row["recall"], row["precision"], row["f1"]) == (0.0, None, None)


def test_tables_1_and_2_share_their_totals(reported):
    tuned, plain = reported["table1"]["rows"], reported["table2"]["rows"]
    assert [(r["category"], r["total"]) for r in tuned] == [
        (r["category"], r["total"]) for r in plain
    ]
    assert [r["tainted"] for r in tuned] == [151, 180, 869, 290]
    assert [r["tainted"] for r in plain] == [135, 54, 168, 263]


def test_iid_counts_and_their_figure_agree(reported):
    table7 = {
        (r["dataset"], r["method"], r["group"]): r["correct"] for r in reported["table7"]["rows"]
    }
    ours = [table7[v, "dataset inference", "non-members (2)"] for v in VICTIMS]
    assert ours == [20, 20, 18, 17]
    assert [table7[v, "DPDLLM", "non-members (2)"] for v in VICTIMS] == [15, 10, 13, 16]
    one_each = [r for r in reported["fig09"]["rows"] if r["references_each"] == 1]
    assert [r["correct"] for r in one_each] == ours


def test_online_share_follows_from_the_hours(reported):
    for row in reported["table9"]["rows"]:
        assert row["online_percent"] == round(100 * row["online_hours"] / row["offline_hours"], 2)


def test_every_table_names_its_source_and_known_datasets(reported):
    others = {
        "matching_pairs": "Foley et al., Matching Pairs",
        "imitation": "Gudibande, On Imitating Proprietary Language Models, ",
    }
    for name, table in reported.items():
        whose = next(
            (source for start, source in others.items() if name.startswith(start)),
            "Zhou et al., Blackbox Dataset Inference for LLM, §",
        )
        assert table["source"].startswith(whose), name
        for key in {"rows", "scores"} & set(table):
            assert len({tuple(row) for row in table[key]}) == 1, (
                name
            )  # the same columns in every row
            assert {row["dataset"] for row in table[key] if "dataset" in row} <= set(VICTIMS)
