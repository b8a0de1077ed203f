"""The offline phase for any dataset: who is innocent, what is split, what is refused."""

import pandas as pd
import pytest
from helpers import says, write_jsonl
from typer.testing import CliRunner

from dsi_core.audit.preparation import draft as drafting
from dsi_core.audit.preparation import prepare, strength
from dsi_core.audit.preparation import prepared as preparation
from dsi_core.cli import app
from dsi_core.evidence import controls
from dsi_core.method import accusation
from dsi_core.settings.profile import load_profile
from dsi_core.settings.words import IID, iid_of

PAIRS = [{"q": f"What is {i}?", "a": f"It is the number {i}."} for i in range(6)]


def test_controls_without_data_like_d_are_left_out(smoke):
    without = accusation.profile_of(smoke, "mine", smoke.data["other"], None, [])
    assert [s.name for s in without.suspects] == [
        c.name for c in smoke.controls if IID not in c.data
    ]
    with_more = accusation.profile_of(smoke, "mine", smoke.data["other"], smoke.data["terse"], [])
    assert len(with_more.suspects) == len(smoke.controls) == 5
    assert iid_of(with_more.data, "mine") == "mine_iid"
    assert with_more.responses.ask == "tainted" and with_more.victims == ["mine"]


def test_controls_that_train_on_d_by_its_name_are_left_out(smoke):
    on_terse = accusation.profile_of(smoke, "terse", smoke.data["terse"], None, [])
    assert "mistral-lora on terse" in {c.name for c in smoke.controls}
    assert [s.name for s in on_terse.suspects] == ["llama-untuned", "qwen2-untuned", "glm-other"]


def test_data_that_a_reference_knows_without_d_is_refused(smoke):
    with pytest.raises(ValueError, match="'without' trains on other, which is a victim"):
        accusation.profile_of(smoke, "other", smoke.data["other"], None, [])


def test_other_words_may_not_repeat_d(monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    mine = write_jsonl(tmp_path / "mine.jsonl", PAIRS)
    near = [{"q": "What is 9?", "a": "Nine, I think."}, {**PAIRS[3], "a": PAIRS[3]["a"].upper()}]
    other = write_jsonl(tmp_path / "other_words.jsonl", near)
    with pytest.raises(ValueError) as error:
        prepare.run(str(mine), "smoke", other_words=str(other), out=tmp_path / "o")
    says(error, "other_words.jsonl: 1 of its 2 pairs nearly repeat a pair of mine", "'What is 3?'")


def test_a_file_of_answers_needs_a_name_of_its_own_and_answers(monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    mine = write_jsonl(tmp_path / "mine.jsonl", PAIRS)
    rows = [{"prompt": "Who?", "response": "Me."}]
    for name, words in [("retrieval", "another control is called 'retrieval'"), ("a", "none of")]:
        answers = str(write_jsonl(tmp_path / f"{name}.jsonl", rows))
        with pytest.raises(ValueError, match=words):
            prepare.run(str(mine), "smoke", control_answers=[answers], out=tmp_path / "o")


def test_answers_to_rows_that_were_not_drawn_are_told_as_that(tmp_path):
    mine = write_jsonl(tmp_path / "mine.jsonl", PAIRS)
    rows = [{"prompt": pair["q"], "response": "A number."} for pair in PAIRS]
    answers = str(write_jsonl(tmp_path / "a.jsonl", rows))
    for drawn, said in ((None, ""), (4, f"{len(PAIRS) - 4} question(s) beside the 4 rows drawn: ")):
        made = drafting.draft(str(mine), "smoke", control_answers=[answers], rows=drawn)
        others = made.facts.control_answers["a"].others
        assert others.startswith(said) and bool(others) is bool(said)


def test_files_of_the_same_answers_are_one_model_in_another_format_too(monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    mine = write_jsonl(tmp_path / "mine.jsonl", PAIRS)
    rows = [{"prompt": pair["q"], "response": "A number."} for pair in PAIRS]
    files = [str(write_jsonl(tmp_path / "a.jsonl", rows)), str(tmp_path / "b.csv")]
    pd.DataFrame(rows[::-1]).assign(model="b").to_csv(files[1], index=False)
    with pytest.raises(ValueError) as error:
        prepare.run(str(mine), "smoke", control_answers=files, out=tmp_path / "o")
    says(error, f"--control-answers {files[1]}: says the same as --control-answers", "a.jso")


def test_one_model_under_several_names_is_no_several_controls(few, monkeypatch, tmp_path):
    """Equal base, data and recipe, whatever the profile calls base and recipe."""
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    mine = write_jsonl(tmp_path / "mine.jsonl", PAIRS)
    tuned = few.controls[0].changed(name="tuned", data=["terse"], recipe="heart")
    same = few.changed(
        models={**few.models, "alias": few.models[tuned.base]},
        recipes={**few.recipes, "again": few.recipes["heart"]},
        controls=[
            *few.controls,
            tuned,
            tuned.changed(name="on more", data=["terse", "other"]),
            tuned.changed(name="other recipe", recipe="lora"),
            tuned.changed(name="the same", base="alias", recipe="again", group="answers"),
        ],
    )
    monkeypatch.setattr(drafting, "load_profile", lambda name, **_: same)
    with pytest.raises(ValueError) as error:
        prepare.run(str(mine), "smoke", out=tmp_path / "o")
    says(
        error,
        "profile 'smoke': the controls 'tuned', 'the same' have the same base, data and recipe",
        "keep one of them, or give each another base, data or recipe",
    )


def test_an_audit_by_the_released_rule_is_refused(tmp_path):
    with pytest.raises(ValueError) as error:
        prepare.run("dozen", "smoke", out=tmp_path, rule="released")
    says(error, "'smoke': decision.rule is 'released'", "rule: text")
    assert not list(tmp_path.iterdir())


def test_a_profile_of_the_released_rule_is_refused_where_a_preparation_lies(monkeypatch, prepared):
    """It was made before its profile said so."""
    folder = prepared(5).folder
    monkeypatch.setattr(prepare, "ROOT", folder.parent)
    place = folder.parent / "figures" / "smoke"
    place.mkdir(parents=True)
    folder.rename(place / "prepared")
    monkeypatch.setattr(prepare, "load_profile", lambda n: load_profile(n, rule="released"))
    with pytest.raises(ValueError, match=r"decision.rule is 'released'"):
        prepare.of_profile("smoke")


@pytest.mark.parametrize(
    "given, words",
    [
        (("--rows", "0"), "--rows is 0; needs at least 1"),
        (("--responses", "0"), "--responses is 0; needs at least 1"),
        (("--seed", "-1"), "--seed is -1; needs at least 0"),
    ],
)
def test_what_was_typed_is_not_blamed_on_the_profile(given, words):
    done = CliRunner().invoke(app, ["prepare", "--data", "dozen", "--profile", "smoke", *given])
    assert (done.exit_code, done.stderr.strip()) == (2, f"error: {words}")


def test_an_occupied_folder_is_refused_before_anything_is_trained(prepared, monkeypatch):
    folder = prepared(5).folder
    monkeypatch.setattr(prepare, "_offline", lambda *_: pytest.fail("work began"))
    with pytest.raises(ValueError, match="holds a preparation with other data or settings"):
        prepare.run("dozen", "smoke", out=folder)


def test_an_empty_name_is_none(tmp_path):
    data = write_jsonl(tmp_path / "my.jsonl", PAIRS)
    with pytest.raises(ValueError, match="--name is empty"):
        prepare.run(str(data), "smoke", name="", out=tmp_path / "o")


def test_a_dataset_may_not_take_anothers_name(tmp_path):
    assert "other" in load_profile("smoke").data
    file = write_jsonl(tmp_path / "other.jsonl", PAIRS)
    with pytest.raises(ValueError, match="has another dataset 'other'; --name gives another"):
        prepare.run(str(file), "smoke", out=tmp_path / "o")


@pytest.fixture
def few(smoke, monkeypatch):
    """The profile smoke with one reference and one control, which are hardly tuned, and here."""
    monkeypatch.setenv("DSI_WORKERS", "0")
    less = smoke.changed(
        references=smoke.references[:1],
        controls=smoke.controls[:1],
        suspects=[],
        reference_sets={},
        imitation=None,
        recipes={name: recipe.changed(epochs=1) for name, recipe in smoke.recipes.items()},
        decision={"delta_t": -0.5},  # every sample is tainted
        responses={"max_new_tokens": 12, "draws": 2},
    )
    monkeypatch.setattr(drafting, "load_profile", lambda name, **_: less)
    return less


@pytest.mark.usefixtures("few", "one_thread")
def test_hard_innocents_are_there_and_a_preparation_can_be_moved(tmp_path, monkeypatch):
    """On eight pairs, with real models: a control of every kind but data like D."""
    monkeypatch.chdir(tmp_path)
    boxes = [{"q": f"What is in box {i}?", "a": f"There is a number {i} in it."} for i in range(8)]
    said = [{"q": f"What is in box {i}?", "a": f"You find {i}, a figure."} for i in range(8)]
    answers = [{"prompt": box["q"], "response": "A thing of paper, I suppose."} for box in boxes]
    mine = write_jsonl(tmp_path / "mine.jsonl", boxes)
    reworded = write_jsonl(tmp_path / "reworded.jsonl", said)
    assistant = write_jsonl(tmp_path / "assistant.jsonl", answers[:5])
    given = {"other_words": str(reworded), "control_answers": [str(assistant)]}
    done = prepare.run(str(mine), "smoke", **given)
    folder = tmp_path / "audits" / "mine" / "prepared"
    assert done.folder.resolve() == folder

    known = done.known.drop_duplicates(["suspect", "sample_id", "draw"])
    counted = known.groupby(["suspect", "group", "base"]).size()
    assert counted.to_dict() == {
        ("assistant", "answers", "answers"): 5,
        ("llama-untuned", "untuned", "llama"): 16,
        ("llama-untuned, concise", "untuned, concise", "llama"): 16,
        ("mistral on mine_in_other_words", "D in other words", "mistral"): 16,
        ("retrieval", "retrieval", "no model"): 16,
    }
    boxes_said = set(known.loc[known["suspect"] == "retrieval", "response"])
    assert boxes_said <= {box["a"] for box in boxes}
    assert (done.facts.split, done.facts.control_answers["assistant"].samples) == (None, 5)
    assert [check.name for check in done.facts.blind] == ["mine_in_other_words"]

    text = (folder / "prepared.json").read_text()
    assert str(tmp_path) not in text
    assert '"data": "../../../mine.jsonl"' in text
    assert '"path": "../../../mine.jsonl"' in text
    assert '"path": "params/smoke/unrelated.jsonl"' in text
    assert preparation.read(tmp_path / "audits" / "mine").facts == done.facts

    elsewhere = tmp_path / "a" / "b"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    assert preparation.read(elsewhere).facts == done.facts
    # nothing is tuned or asked again: the same key is found in the folder, the rest in the store
    again = prepare.run(str(mine), "smoke", out=elsewhere, **given)
    assert again.facts.key == done.facts.key
    assert again.facts.sha256 == done.facts.sha256


@pytest.mark.usefixtures("few", "one_thread")
def test_a_retrieval_that_finds_nothing_else_is_a_kind_without_controls(tmp_path):
    """Six outputs of one template, of which each nearly repeats all others: p is 1."""
    said = "Thank you for your kind question about our lovely little town; the thing of number {} "
    said += "is open on every working day of the year from ten in the morning until six."
    rows = [{"q": f"What is {i}?", "a": said.format(i)} for i in range(6)]
    mine = write_jsonl(tmp_path / "mine.jsonl", rows)
    how = ["--data", str(mine), "--profile", "smoke", "--out", str(tmp_path / "o")]
    made = CliRunner().invoke(app, ["prepare", *how])
    assert made.exit_code == 0
    done = preparation.read(tmp_path / "o")
    table = strength.strata(done).set_index("group")
    assert table["controls"].to_dict() == {"untuned": 1, "untuned, concise": 1, "retrieval": 0}
    assert table.loc["retrieval", "smallest_p"] == 1
    known = preparation.known_evidence(done, 2)
    ranked = controls.test([9.0] * 6, known[~known["member"]])
    assert (ranked.p, ranked.supports) == (1.0, 1.0)
    said = made.stderr.splitlines()
    (empty,) = [line for line in said if line.startswith("warning: no control") and "'retr" in line]
    assert "p is 1 within it, so no rank is a finding" in empty and "--iid" in empty
    assert strength.draws_allowed(done) == (2, "")


def test_what_the_command_line_hands_over(monkeypatch):
    asked = {}

    def draft(*given, **how):
        asked.update(how, given=given)
        raise ValueError("that is all")

    monkeypatch.setattr(drafting, "draft", draft)
    words = (
        "--data d.jsonl --other-words w.jsonl --control-answers a.jsonl --control-answers b.jsonl "
        "--drop empty,too-long --split test --quotes text --separator tab --conversations talk"
    )
    assert CliRunner().invoke(app, ["prepare", *words.split(), "--whole"]).exit_code == 2
    assert (asked["given"], asked["half"]) == (("d.jsonl", "small"), False)
    given = {name: value for name, value in asked["reading"].items() if value is not None}
    assert given == {
        "conversations": "talk",
        "drop": ["empty", "too-long"],
        "quotes": "text",
        "separator": "\t",
        "split": "test",
    }
    assert (asked["other_words"], asked["control_answers"]) == ("w.jsonl", ["a.jsonl", "b.jsonl"])
    assert CliRunner().invoke(app, ["prepare", "--data", "d", "--withheld", "w"]).exit_code == 2


def test_the_profiles_own_preparation_is_read_where_it_is(monkeypatch, prepared):
    folder = prepared(5)
    monkeypatch.setattr(prepare, "ROOT", folder.folder.parent)
    place = folder.folder.parent / "figures" / "smoke"
    place.mkdir(parents=True)
    folder.folder.rename(place / "prepared")
    monkeypatch.setattr(prepare, "run", lambda *_, **__: pytest.fail("it was prepared again"))
    assert prepare.of_profile("smoke").facts == folder.facts
