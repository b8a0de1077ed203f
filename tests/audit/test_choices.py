"""What would be asked, what it may cost, and what may not be asked for."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import twins
from asking import plan, seeds, stranger
from helpers import STRANGER, says, write_jsonl
from servers import reply

from dsi_core.audit import choices, suspect
from dsi_core.audit.asking import cost, run
from dsi_core.audit.dry_run import dry_run, summary
from dsi_core.audit.plan import folder_name
from dsi_core.audit.preparation import prepared as preparation
from dsi_core.audit.preparation.prepared_json import Answers
from dsi_core.protect import kit as kits
from dsi_core.runtime import provenance, store
from dsi_core.runtime.disk import sha256_of


def test_a_dry_run_asks_nothing_and_says_what_it_would_cost(prepared, server, cli, tmp_path):
    folder = prepared(10)
    prices = ["--price-in", "1", "--price-out", "2"]
    how = ["--budget", "12", "--extra-body", '{"top_k": 1}']
    before = set(tmp_path.rglob("*"))
    done = cli(folder.folder, "--dry-run", "--json", *prices, *how)
    said = json.loads(done.stdout)
    assert done.exit_code == 0 and server.asked == [] and set(tmp_path.rglob("*")) == before
    assert (said["samples"], said["queries"], said["already answered"]) == (10, 12, 0)
    assert said["within budget"] == {"samples": 4, "attainable": 0.5, "can reach alpha": False}
    assert said["power"] == {} and said["conclusion"].startswith("This audit cannot find anything")
    assert said["at most"] == {
        "tokens read": 12 * 49,
        "tokens written": 12 * 48,
        "cost": pytest.approx(12 * 145e-6),
    }
    assert said["about"]["tokens read"] == 12 * 17 / 4 + 12 * 16
    assert said["about"]["cost"] < said["at most"]["cost"]
    first = folder.tainted.iloc[0]
    (seed,) = seeds([{"sample_id": first["sample_id"], "draw": 0}], folder.folder)
    assert said["first request"] == {
        "model": "m-1",
        "messages": [{"role": "user", "content": first["prompt"]}],
        "temperature": 1.0,
        "max_tokens": 48,
        "seed": seed,
        "stream": False,
        "top_k": 1,
    }
    server.script = stranger
    assert cli(folder.folder, *how).exit_code == 0
    assert said["first request"] in server.asked and len(server.asked) == 12


def test_a_dry_run_of_a_local_model_has_no_request(prepared):
    planned = choices.plan(prepared(5), *suspect.model("owner/name"))
    dry = dry_run(planned)
    assert dry.first_request is None and dry.queries == 15 and not planned.stops_early
    assert dry.folder.startswith("audits/boxes/name-")
    assert "cost" not in summary(dry) and "--price" not in summary(dry)
    paid = choices.plan(prepared(5), *suspect.model("owner/name"), price_in=1, price_out=1)
    assert summary(dry_run(paid)).count(", cost 0.00") == 2


def test_what_is_about_read_and_written_has_all_in_it_and_is_no_more_than_at_most(tmp_path, server):
    """The system prompt, in bytes; answers as long as they may be; two rounds of six neutral."""
    how = {"system": "Soyez bref, s'il vous plaît.", "max_new_tokens": 2, "neutral": 2}
    with pytest.warns(UserWarning, match="answers are cut at 2"):
        planned = plan(twins.private(tmp_path, 8), server, **how)
    dry = dry_run(planned)
    sizes = planned.samples["prompt"].map(len).sum() + 8 * (len(how["system"]) + 1)
    neutral = 12 * (cost.MOST_NEUTRAL_BYTES / 4 + 16)
    assert dry.about.tokens_read == int(sizes / 4 + 8 * 16 + neutral) < dry.at_most.tokens_read
    assert dry.about.tokens_written == dry.at_most.tokens_written == 8 * 2 + 12 * 12


def test_a_dry_run_says_what_money_suffices_for(prepared, server):
    """A sample costs 435 millionths at most, so that 0.00092 USD suffice for two of them.

    At usual costs it suffices for more: as long as 435 millionths are left.
    """
    folder = prepared(10)
    planned = plan(folder, server, budget="0.00092 USD", price_in=1, price_out=2)
    dry = dry_run(planned)
    written = min(dry.about.tokens_written / dry.queries, 48)
    each = 3 * (17 / 4 + 16 + 2 * written) * 1e-6
    usual = next(n for n in range(1, 11) if n * each + 435e-6 > 0.00092)
    assert (dry.within_budget.samples, dry.samples_left, dry.queries) == (2, 2, 6)
    assert dry.about_within_budget.samples == usual > 2
    assert dry.at_most.cost == pytest.approx(6 * 145e-6) and dry.at_most.cost <= 0.00092
    assert f"at usual costs about {usual} of 10 samples" in summary(dry)
    server.script = lambda prompt, n: reply(STRANGER, usage=None)
    assert run.run(planned).judgement.samples == dry.within_budget.samples


def test_a_dry_run_of_too_little_money_says_that_nothing_can_be_found(tmp_path, server):
    """Of a kit of 8, where five samples are the fewest that can find."""
    kit, prices = twins.wording(tmp_path, 8), {"price_in": 1, "price_out": 1}
    one = plan(kit, server, **prices)
    most = one.budget.cost(cost.worst(one, one.samples["prompt"].iloc[0]))
    for samples, words in {
        1: "This audit cannot find anything at alpha = 0.05",
        3: "A finding at alpha = 0.05 is possible only if answers cost less than they may: the "
        "budget surely suffices for 3 samples, and at usual costs for about 8",
        6: "A finding at alpha = 0.05 is possible with 6 samples",
    }.items():
        money = f"{most * (samples + 0.5):.9f} USD"
        dry = dry_run(plan(kit, server, budget=money, **prices))
        assert dry.within_budget.samples == samples
        assert dry.conclusion.startswith(words)


def test_a_dry_run_says_what_is_left_to_ask_and_to_pay(prepared, server, monkeypatch):
    """Two rounds of six neutral questions and 20 samples; broken off by the budget after 18.

    It goes on within a second: what came since the last round is told from what came before.
    """
    monkeypatch.setattr(provenance, "now", lambda: "2026-01-01T00:00:00+00:00")
    server.script = lambda prompt, n: reply(STRANGER, usage={"prompt_tokens": 9})
    how = {"neutral": 2, "draws": 2, "stop_early": False, "price_in": 1, "price_out": 1}
    folder = prepared(20)
    whole = dry_run(plan(folder, server, **how))
    assert (whole.queries, whole.neutral_queries, whole.already_answered) == (52, 12, 0)
    run.run(plan(folder, server, budget="48", **how))
    assert len(server.asked) == 48
    spent = dry_run(plan(folder, server, budget="48", **how))
    assert (spent.queries, spent.at_most.cost, spent.already_answered) == (0, 0, 48)
    rest = dry_run(plan(folder, server, **how))
    assert (rest.queries, rest.neutral_queries, rest.samples_left) == (4 + 6, 6, 2)
    assert rest.already_answered == 48 and rest.within_budget.samples == 20
    assert rest.at_most.cost < whole.at_most.cost / 3
    run.run(plan(folder, server, **how))
    assert len(server.asked) == 58
    assert dry_run(plan(folder, server, **how)).queries == 0


def test_a_dry_run_of_what_was_found_asks_no_more(tmp_path, server):
    kit = twins.wording(tmp_path, 8)
    server.script = twins.knows(kit)
    run.run(plan(kit, server, alpha=0.2))
    dry = dry_run(plan(kit, server, alpha=0.2))
    assert (len(server.asked), dry.queries, dry.already_answered) == (4, 0, 4)
    assert "nothing would be asked within the budget and the plan; 4 are" in summary(dry)


def test_a_dry_run_says_that_the_key_is_not_set(prepared, server, cli, monkeypatch):
    monkeypatch.setenv("THE_KEY", "sk-1")
    asked = cli(prepared(5).folder, "--dry-run", "--key-env", "THE_KEY")
    assert asked.exit_code == 0 and "not ready" not in asked.stdout
    monkeypatch.delenv("THE_KEY")
    asked = cli(prepared(5).folder, "--dry-run", "--key-env", "THE_KEY")
    assert asked.exit_code == 0
    first = asked.stdout.splitlines()[0]
    assert first.startswith("not ready: the environment variable THE_KEY") and "not set" in first


def test_who_stops_early_is_chosen_and_without_a_choice_an_api(prepared, server):
    folder, local = prepared(5), suspect.model("owner/name")
    choice = None, True, False
    assert [plan(folder, server, stop_early=c).stops_early for c in choice] == [True, True, False]
    told = [choices.plan(folder, *local, stop_early=c).stops_early for c in choice]
    assert told == [False, True, False]


def test_one_seed_for_several_answers_to_a_prompt_is_told(prepared):
    folder = prepared(5)

    def told(draws, **extra):
        whom = suspect.model(None, base_url="http://h/v1", name="m", key_env="K", extra=extra)
        with helpers.telling() as said:
            choices.plan(folder, *whom, draws=draws)
        return [str(one.message) for one in said]

    (words,) = told(3, seed=0)
    assert words.startswith("--extra-body sets one seed for all 3 answers to a prompt")
    assert told(1, seed=0) == told(3) == []


def test_who_is_asked_about_what_decides_the_folder(prepared, server):
    """Whatever else there is to choose is fixed by plan.json in it."""
    folder = prepared(6)
    one = plan(folder, server).folder
    for same in ({"alpha": 0.2}, {"budget": "9"}, {"draws": 2}, {"system": "x"}, {"timeout": 5}):
        assert plan(folder, server, **same).folder == one, same
    assert plan(folder, server, name="m-2").folder != one
    assert plan(prepared(5, name="fewer"), server).folder.name != one.name


def test_the_folder_is_named_by_content_alone(prepared):
    """The same on every machine, for the same preparation and suspect."""
    folder = prepared(5)
    whom = suspect.model(None, base_url="http://h/v1", name="org/m 1", key_env="K")
    made = choices.plan(folder, *whom)
    assert made.suspect_key == store.key({"api": "http://h/v1", "model": "org/m 1"})
    hashes = {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest()
        for f in folder.folder.iterdir()
        if f.suffix in (".json", ".jsonl")
    }
    name = store.key({"subject": hashes, "suspect": made.suspect_key})
    assert made.folder.name == f"m-1-{name}"


REFUSED = {
    "no model": (["--base-url", "http://h/v1"], "needs --model"),
    "two suspects": (
        ["--base-url", "http://h/v1", "--model", "m", "--suspect", "owner/name"],
        "either --base-url",
    ),
    "no suspect": ([], "either --base-url"),
    "no such suspect": (["--suspect", "no/such/model"], "neither a folder"),
    "no URL": (["--base-url", "h:8000", "--model", "m"], "is not of the form https://host/v1"),
    "a folder of answers": (["--answers", "."], "--answers .: is a folder; give one file of it"),
}
REFUSED_OPTIONS = {
    "budget of words": (["--budget", "much"], "needs a number of queries"),
    "budget of nothing": (["--budget", "0"], "needs a number of queries"),
    "half a query": (["--budget", "2.5"], "queries are whole"),
    "money without prices": (["--budget", "2.50 USD"], "--price-in and --price-out"),
    "less than a sample": (
        ["--budget", "2"],
        "a budget of 2 queries is less than one sample, which takes 3",
    ),
    "less than a sample's money": (
        ["--budget", "0.0004 USD", "--price-in", "1", "--price-out", "2"],
        "a budget of 0.0004 is less than one sample, which may cost 0.000435",
    ),
    "negative price": (["--price-in", "-1", "--price-out", "1"], "--price-in and --price-out"),
    "no sample": (["--samples", "0"], "--samples is 0; allowed: 1 to 5"),
    "too many samples": (["--samples", "6"], "allowed: 1 to 5"),
    "controls of a kit": (["--control-answers", "x.jsonl"], "go with --kit"),
    "profile of a kit": (["--profile", "small"], "goes with --kit"),
    "length of a kit": (["--max-new-tokens", "9"], "it is the preparation's (48)"),
    "alpha 1": (["--alpha", "1"], "--alpha is 1.0"),
    "alpha 0": (["--alpha", "0"], "--alpha is 0.0"),
    "no answer": (["--responses", "0"], "--responses is 0; allowed: 1 to 3"),
    "too many answers": (["--responses", "4"], "allowed: 1 to 3"),
    "temperature": (["--temperature", "-1"], "--temperature is -1; needs at least 0"),
    "concurrency": (["--concurrency", "0"], "--concurrency is 0; needs at least 1"),
    "timeout": (["--timeout", "0"], "--timeout is 0; needs at least 0.001"),
    "patience": (["--patience", "-1"], "--patience is -1; needs at least 0"),
    "a thought": (["--reasoning-tokens", "-1"], "--reasoning-tokens is -1; needs at least 0"),
    "no length": (["--max-new-tokens", "0"], "--max-new-tokens is 0; needs at least 1"),
    "neutral": (["--same-model", "13"], "--same-model is 13; allowed: 0 to 12"),
    "no JSON": (["--extra-body", "{x"], "is not JSON"),
    "not a number": (["--extra-body", '{"top_p": NaN}'], "NaN is a number of Python's alone"),
    "a key for its name": (["--key-env", "sk-abc"], "perhaps the key itself"),
    "a long key for its name": (["--key-env", "gsk_0123456789abcdefghij"], "perhaps the key"),
    "no object": (["--extra-body", "[1]"], "is not a JSON object"),
    "a field that is never sent": (
        ["--omit", "seed", "--omit", "foo"],
        "--omit foo: no request has it; allowed: max_completion_tokens, max_tokens, seed, stream",
    ),
    "a word for a proxy": (["--proxy", "foo", "--dry-run"], "not of the form http://host:port"),
    "our own field": (["--extra-body", '{"n": 2}'], "extra sets n"),
    "no key": (["--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
    **{  # a byte of Latin-1, as Python gives what stands on the command line
        f"no UTF-8 in {option}": ([option, "M\udcfcller"], f"{option}: 'M\\udcfcller' holds half")
        for option in ("--case", "--examiner", "--model", "--system-prompt")
    },
    "no UTF-8 anywhere": (["--out", "M\udcfcller"], """the command line: "'M\\udcfcller'" holds"""),
}


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_OPTIONS])
def test_bad_arguments_are_refused_in_plain_words(prepared, server, cli, name):
    folder = prepared(5)
    options, words = {**REFUSED, **REFUSED_OPTIONS}[name]
    done = cli(folder.folder, *options, suspect=name in REFUSED_OPTIONS)
    assert (done.exit_code, done.stdout, server.asked) == (2, "", [])
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and words in last
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr


def test_no_option_is_ignored(tmp_path):
    kit = twins.private(tmp_path, 8)
    rows = [{"prompt": prompt, "response": "x"} for prompt in kit.rows["prompt"]]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    local = suspect.model("owner/name")
    for whom, how, words in (
        (local, {"draws": 0}, "responses is 0; needs at least 1"),
        (local, {"neutral": 6}, "--same-model 6 goes with --base-url"),
        (("said", None), {"answers": file, "neutral": 6}, "--same-model 6 goes with --base-url"),
        *(
            (("said", None), {"answers": file, **asking}, f"{words}: with --answers nobody is")
            for asking, words in (
                ({"temperature": 0.0}, "--temperature 0.0"),
                ({"system": "Be brief."}, "--system-prompt Be brief."),
                ({"max_new_tokens": 2}, "--max-new-tokens 2"),
                ({"budget": "9"}, "--budget 9"),
                ({"price_in": 0.0, "price_out": 2.0}, "--price-in 0.0, --price-out 2.0"),
            )
        ),
    ):
        with pytest.raises(ValueError, match=words):
            choices.plan(kit, *whom, **how)
    assert choices.plan(kit, *local, neutral=0).neutral == 0


def test_an_audit_never_lies_in_the_preparation(prepared, monkeypatch, tmp_path):
    """Nor where earlier versions prepared: in audits/<dataset> itself."""
    folder, whom = prepared(5), suspect.model("owner/name")
    with pytest.raises(ValueError, match="lies in the preparation; an audit needs another folder"):
        choices.plan(folder, *whom, out=folder.folder / "here")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audits").mkdir()
    moved = preparation.read(folder.folder.rename(tmp_path / "audits" / "boxes"))
    assert choices.plan(moved, *whom).folder.parent == Path("audits/boxes-audits")


@pytest.mark.parametrize("name", ["--x", "-模型", "🎉"])
def test_no_folder_begins_with_a_dash(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    planned = choices.plan(twins.private(tmp_path, 8), name, suspect.model("owner/name")[1])
    assert planned.folder.name.startswith("_")


@pytest.mark.parametrize(
    "name, written",
    [
        ("boxes_1.2+3", "boxes_1.2+3"),
        ("問答", "問答"),
        ("اختبار", "اختبار"),
        ("हिन्दी", "हिन्दी"),
        ("O\u0308dland", "Ödland"),
        ("a/b", "a-b-f5effa31772a"),
        ("a b", "a-b-"),
        ("a b?", "a-b-"),
        ("..", "__-"),
        ("-rf", "_rf-"),
        ("mine.", "mine_-"),
        ("x" * 300, "x" * 100 + "-"),
        ("問" * 100, "問" * 33 + "-"),
    ],
)
def test_a_dataset_s_folder_keeps_letters_of_any_script(name, written):
    """What is altered ends with the name's own key, so that no two names share a folder."""
    made = folder_name(name)
    assert made.startswith(written) and len(made.encode()) <= 113
    assert made == written or re.fullmatch(re.escape(written) + "[0-9a-f]{12}", made)


def test_no_two_names_share_a_folder():
    names = ["a b", "a-b", "a/b", "a--b", "a b-f5effa31772a", "-b", "_b", ".", "..", "問答", "問?"]
    assert len({folder_name(name) for name in [*names, "x" * 300, "x" * 301]}) == 13
    assert folder_name("Ödland") == folder_name("O\u0308dland")


def test_an_audit_never_lies_in_the_kit_though_one_works_there(tmp_path, monkeypatch):
    kit = twins.private(tmp_path, 8)
    monkeypatch.chdir(kit.folder)
    for here in (kit, kits.read(Path())):
        with pytest.raises(ValueError, match=r"audits/boxes-audits lies in the kit; .*\(--out\)"):
            choices.plan(here, *suspect.model("owner/name"))
    assert (
        choices.plan(kit, *suspect.model("owner/name"), out=tmp_path / "o").out.parent == tmp_path
    )


def test_no_warning_of_a_length_that_nobody_asks_for(tmp_path, recwarn):
    """Texts of a kit longer than an answer would be cut at; a file's are not cut."""
    rows = [{**row, "answer": row["answer"] * 40} for row in twins.rows(8)]
    data = write_jsonl(tmp_path / "boxes.jsonl", rows)
    columns = {"prompt": ("question",), "output": "answer"}
    kit = kits.make(data, tmp_path / "kit", salt=twins.SALT, **columns)
    said = [{"prompt": row["question"], "response": row["answer"]} for row in rows]
    file = write_jsonl(tmp_path / "said.jsonl", said)
    recwarn.clear()
    choices.plan(kit, "said", None, answers=file, out=tmp_path / "o")
    assert not [str(one.message) for one in recwarn if "are cut at" in str(one.message)]
    with pytest.warns(UserWarning, match="are cut at"):
        choices.plan(kit, *suspect.model("owner/name"), out=tmp_path / "o")


def test_a_preparation_without_tainted_samples_judges_nobody(prepared):
    folder = prepared(5)
    bare = replace(folder, samples=folder.samples.assign(tainted=False))
    with pytest.raises(ValueError) as caught:
        choices.plan(bare, *suspect.model("owner/name"))
    says(caught, str(folder.folder), "no tainted sample")


def test_no_more_is_asked_for_than_every_control_has_answered(prepared, server, tmp_path):
    """Of a control file one answer to each prompt, of the other controls three."""
    made = prepared(6)
    once = made.known["suspect"].ne("glm-other") | made.known["draw"].eq(0)
    made = preparation.write(replace(made, known=made.known[once]))
    assert plan(made, server).draws == plan(made, server, draws=1).draws == 1
    with pytest.raises(ValueError) as caught:
        plan(made, server, draws=3)
    says(caught, "--responses is 3; allowed: 1, as control 'glm-other' has 1 to a sample")
    rows = [{"prompt": p, "response": f"x {i}"} for p in made.tainted["prompt"] for i in range(3)]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    with pytest.warns(UserWarning, match="the first 1 count: 12 of 18 are not used"):
        planned = choices.plan(made, "said", None, answers=file, out=tmp_path / "o")
    assert planned.draws == 1


def test_a_preparation_with_one_model_as_several_controls_is_refused(prepared, smoke):
    """It was made before preparing refused it."""
    made, whom = prepared(5), suspect.model("owner/name")
    said = Answers(sha256="aa", samples=5)
    facts = made.facts.changed(control_answers={"one": said, "two": said.changed(sha256="bb")})
    choices.plan(replace(made, facts=facts), *whom)
    copied = made.facts.changed(control_answers={"one": said, "two": said})
    with pytest.raises(ValueError) as caught:
        choices.plan(replace(made, facts=copied), *whom)
    says(caught, f"{made.folder}: control 'two': says the same as", "control 'one'; each")
    first = smoke.controls[0]
    study = made.study.changed(suspects=[first, first.changed(name="again")])
    with pytest.raises(ValueError) as caught:
        choices.plan(replace(made, study=study), *whom)
    says(caught, f"{made.folder}: the controls '{first.name}', 'again' have the same base, data")


def test_the_suspect_is_no_control_of_its_preparation(prepared, tmp_path):
    """Nor under another name, by content: it would rank among models that never saw the data."""
    made = prepared(5)
    rows = [{"prompt": prompt, "response": STRANGER} for prompt in made.tainted["prompt"]]
    file = write_jsonl(tmp_path / "suspect.jsonl", rows)
    one = Answers(sha256=sha256_of(file), samples=5)
    made = replace(made, facts=made.facts.changed(control_answers={"one": one}))
    with pytest.raises(ValueError) as caught:
        choices.plan(made, "m", None, answers=file)
    says(caught, f"{made.folder}: control 'one': says the same as --answers {file}; each")
    write_jsonl(file, [{**row, "response": "Another text."} for row in rows])
    assert choices.plan(made, "m", None, answers=file).answers_file == file


def test_answers_to_rows_that_are_not_tainted_are_told_as_that(prepared, tmp_path):
    """A file that answers all of D is no mistake."""
    made = prepared(5)
    prompts = [*made.tainted["prompt"], "What is in a box that is not tainted?"]
    file = write_jsonl(tmp_path / "a.jsonl", [{"prompt": p, "response": "x"} for p in prompts])
    with pytest.warns(
        UserWarning, match=r"has 1 question\(s\) beside the 5 tainted samples: 'What"
    ):
        choices.plan(made, "m", None, answers=file)


# --- Files of answers --------------------------------------------------------------------------


@pytest.fixture
def controlled(tmp_path):
    """controlled(name=(text, count), ..., **how) = a plan for a kit of 8, with these controls.

    Each is a file "name.jsonl", whose folder may be named too, of so many answers.
    """
    kit = twins.wording(tmp_path, 8)

    def make(controls, **how):
        files = []
        for name, (text, count) in controls.items():
            (file := tmp_path / f"{name}.jsonl").parent.mkdir(exist_ok=True)
            rows = [{"prompt": p, "response": text} for p in kit.rows["prompt"][:count]]
            files.append(write_jsonl(file, rows))
        whom = ("m", None) if how else suspect.model("owner/name")
        return choices.plan(kit, *whom, control_answers=files, out=tmp_path / "o", **how)

    return make


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        (
            {"k1/c": ("x", 8), "k2/c": ("y", 8)},
            ["k2/c.jsonl: another control is called 'c'; rename the file"],
        ),
        (
            {"a": ("x", 8), "b": ("x", 8)},
            ["b.jsonl: says the same as --control-answers ", "a.jsonl; each control is an"],
        ),
        ({"a": ("<think>x</think> ", 8)}, ["a.jsonl: has a text for none of the 8 samples"]),
        ({"a": ("", 3)}, ["a.jsonl: has a text for none of the 8 samples; leave it out"]),
        ({"a": ("\u00ad", 8)}, ["a.jsonl: has a text for none of the 8 samples; leave it out"]),
    ],
)
def test_a_control_is_a_model_of_its_own_that_says_something(controlled, controls, words):
    with pytest.raises(ValueError) as caught:
        controlled(controls)
    says(caught, "--control-answers ", *words)


def test_the_suspect_is_no_control(controlled, tmp_path):
    """By content: a copy of its file under another name is it."""
    controlled({"m": (STRANGER, 8)})  # writes the file
    with pytest.raises(ValueError) as caught:
        controlled({"a": (STRANGER, 8)}, answers=tmp_path / "m.jsonl")
    says(caught, "a.jsonl: says the same as --answers", "m.jsonl; each", "none is the susp")


def test_how_many_samples_a_control_covers_is_told(controlled):
    with helpers.telling() as told:
        controls = controlled({"a": ("x", 3), "b": (STRANGER, 8)}).controls
    assert controls.groupby("control").size().to_dict() == {"1. a": 3, "2. b": 8}
    (said,) = [str(one.message) for one in told]
    assert "a.jsonl: has a text for 3 of 8 samples; where it has no answer, the mean of" in said


@pytest.mark.parametrize(("draws", "used"), [(None, 3), (2, 2)])
def test_answers_of_a_file_beyond_those_that_count_are_told(prepared, tmp_path, draws, used):
    folder = prepared(9)
    rows = [{"prompt": p, "response": f"x {i}"} for p in folder.tainted["prompt"] for i in range(5)]
    file = write_jsonl(tmp_path / "said.jsonl", rows)
    words = f"said.jsonl: .* a sample the first {used} count: {9 * (5 - used)} of 45 are not used"
    with pytest.warns(UserWarning, match=words):
        planned = choices.plan(folder, "said", None, answers=file, draws=draws, out=tmp_path / "o")
    assert run.run(planned).judgement.answers == 9 * used
