"""What `dsi protect` says, by its door."""

import re

import pytest
from helpers import write_jsonl
from owner import without
from typer.testing import CliRunner

from dsi_core import cli
from dsi_core.protect import kit as kits
from dsi_core.protect import summary
from dsi_core.protect.draft import draft


@pytest.fixture(autouse=True)
def few_audits(monkeypatch):
    monkeypatch.setattr(summary, "RUNS", 10)
    monkeypatch.setattr(summary, "SAMPLES", (8,))


def protect(*options):
    done = CliRunner().invoke(cli.app, ["protect", *map(str, options)])
    return done.exit_code, " ".join(done.output.split())


def test_a_wording_twin(one_file, tmp_path):
    folder = tmp_path / "kit"
    code, said = protect("--data", one_file, "--wordings", "answer,answer2", "--out", folder)
    assert code == 0
    assert said.startswith(
        "ferries: wording twin, 12 rows with 12 coins prompt = question, output = answer columns "
        "that are not used: id, source (published as they are) the two wordings of a row share"
    )
    assert "near copies: 0 of 12" in said
    assert "smallest p of an audit: 0.00024" in said  # 2^-12
    assert re.search(r"samples 0.2 SD 0.4 SD 0.6 SD 0.8 SD 8 \S+ \S+ \S+ \S+ 12 ", said)
    for line in ("first publish", "then publish", "keep"):
        assert f" {line} {folder}/" in said
    assert (folder / "commitment.json").exists()
    code, said = protect("--data", one_file, "--wordings", "answer,answer2", "--out", folder)
    assert code == 2 and said.startswith(f"error: {folder} holds a kit already")


def test_a_private_twin_of_documents(plain, tmp_path):
    options = ("--data", plain, "--group", "source", "--out", tmp_path / "kit")
    code, said = protect(*options, "--share", "0.4")
    assert code == 2 and "no p-value can be below 0.067" in said  # 1 / C(6, 2)
    code, said = protect(*options)
    assert code == 0
    assert "12 rows with 6 coins (up to 2 rows share one), of which 3 publish their rows" in said
    assert "smallest p of an audit: 0.05 " in said  # 1 / C(6, 3)


def test_columns_are_named_by_what_they_are_taken_for(rows, tmp_path):
    """Prompt and output, or a conversation; one that decides who shares a coin is used."""
    path = write_jsonl(tmp_path / "my.jsonl", [without(r, "answer2", "id") for r in rows])
    made = draft(path, group="source", prompt=("question",), output="answer")
    assert summary.of_draft(made).splitlines()[1] == "prompt = question, output = answer"
    assert made.unused == () and draft(path).unused == ("source",)
    talks = [
        {
            "messages": [
                {"role": "user", "content": r["question"]},
                {"role": "assistant", "content": r["answer"]},
            ],
            **({"note": "x"} if r is rows[-1] else {}),
        }
        for r in rows
    ]
    said = summary.of_draft(draft(write_jsonl(tmp_path / "talks.jsonl", talks))).splitlines()
    assert said[1] == "prompt and output from messages"
    assert said[2] == "columns that are not used: note (published as they are)"


def test_rows_without_a_document_are_counted(rows, tmp_path):
    rows = [without(r, "answer2") for r in rows]
    rows[0]["source"], rows[1]["source"] = None, ""
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    said = summary.of_draft(draft(path, group="source"))
    assert "2 rows have no value of --group" in said
    assert "no value" not in summary.of_draft(draft(path))


def test_looking_first_tosses_nothing(one_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, said = protect("--data", one_file, "--wordings", "answer,answer2", "--dry-run")
    assert code == 0 and "12 coins" in said and "publish " not in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dataset_has_the_name_that_it_is_given(one_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--data", one_file, "--wordings", "answer,answer2")
    code, said = protect(*options, "--name", "Ferries of 2026")
    assert code == 0 and said.startswith("Ferries of 2026: wording twin, 12 rows")
    assert kits.read(tmp_path / "kits" / "Ferries of 2026").name == "Ferries of 2026"


def test_an_empty_name_is_none(one_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("", " "):
        with pytest.raises(ValueError, match="--name is empty"):
            draft(one_file, wordings="answer,answer2", name=name)


def test_without_out_it_lies_in_kits(one_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert protect("--data", one_file, "--wordings", "answer,answer2")[0] == 0
    assert (tmp_path / "kits" / "ferries" / "private.jsonl").exists()


def test_what_is_to_be_looked_at(rows, tmp_path):
    rows[0]["answer2"] = rows[0]["answer"].replace("crowns,", "crowns:")
    rows[1]["answer2"] = rows[1]["answer2"].replace("11 crowns", "12 crowns")
    rows[2]["answer2"] += " Ask the captain of the Ragnhild when you are there, or anybody."
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    found = summary.warnings(draft(path, wordings="answer,answer2"))
    assert found[0].startswith(
        "near copies, which add nothing in 1 of 12 rows: my.jsonl, row 1 (1.00)"
    )
    assert found[1] == "numbers differ in 1 of 12 rows: my.jsonl, row 2 (11, 12)"
    assert (
        found[2]
        == "names (words with a capital) differ in 1 of 12 rows: my.jsonl, row 3 (Ragnhild)"
    )
    assert found[3].startswith(
        "lengths differ (outside 0.8 to 1.25) in 1 of 12 rows: my.jsonl, row 3"
    )
    assert found[4].startswith(
        "the two sides can be told apart by habits: has ':': 0% of the first"
    )


def test_of_german_it_is_said_that_names_are_told_by_capitals(tmp_path):
    things = ["Hut", "Baum", "Fluss", "Berg", "Stuhl", "Tisch", "Garten", "Brunnen"]
    rows = [
        {
            "question": f"Was kostet der {thing}?",
            "answer": f"Für den {thing} zahlen Sie mit der Karte am Schalter {i} Euro.",
            "answer2": f"Ein {thing} kommt auf {i} Euro, und unser Kassierer nimmt gern Bargeld.",
        }
        for i, thing in enumerate(things)
    ]
    said = draft(write_jsonl(tmp_path / "my.jsonl", rows), wordings="answer,answer2")
    assert (said.compared["names"] != "").all()
    (told,) = (text for text in summary.warnings(said) if text.startswith("names"))
    assert "which says little where nouns have one" in told


def test_of_a_split_that_exists_near_duplicates_are_told(rows, tmp_path):
    again = {**rows[2], "question": rows[2]["question"].upper()}
    published = write_jsonl(tmp_path / "published.jsonl", rows[:8])
    withheld = write_jsonl(tmp_path / "withheld.jsonl", [*rows[8:], again])
    late = draft(published, withheld=withheld)
    (found,) = summary.warnings(late)
    assert found.startswith("1 withheld rows nearly repeat") and "withheld.jsonl, row 5" in found
    assert "is its owner's word" in summary.of_draft(late)
    assert summary.warnings(draft(published)) == []


def test_power_rises_with_samples_and_effect_and_falls_with_the_share(
    plain, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(summary, "RUNS", 30)
    monkeypatch.setattr(summary, "SAMPLES", (10,))
    many = [
        {name: f"{text} {j}a {j}b {j}c" for name, text in without(r, "id").items()}
        for r in rows
        for j in range(3)
    ]
    path = write_jsonl(tmp_path / "many.jsonl", many)
    half, tenth = (summary.power_table(draft(path, share=share)) for share in (0.5, 0.1))
    assert half["samples"].tolist() == [10, 36]
    strong = half["0.8 SD"]
    assert strong[1] > strong[0] and strong[1] > half["0.2 SD"][1]
    assert strong[1] > tenth["0.8 SD"][1]


def test_rows_of_a_template_are_told(rows, tmp_path):
    """Ten rows with coins of their own; but not nine, one coin, prompts alone, or all there is."""
    sides = ["string, {} is percussion.", "percussion, {} is string."]
    made = [
        {
            "question": f"Identify which instrument is string or percussion: Lute{i}, gong{i}",
            "answer": f"Some{i} is {sides[i % 2].format(f'gong{i}')}",
            "source": "instruments",
        }
        for i in range(10)
    ]
    others = [without(r, "answer2", "id") for r in rows]
    others = [{**r, "question": f"Tell{i} me: {r['question']}"} for i, r in enumerate(others)]

    def told(*some, **options):
        said = summary.warnings(draft(write_jsonl(tmp_path / "my.jsonl", some), **options))
        return [text for text in said if "template" in text]

    (text,) = told(*others, *made)
    assert text.startswith("10 rows seem made from templates, the first of each: my.jsonl, row 13;")
    assert not told(*others, *made[:9])
    assert not told(*others, *made, group="source")
    assert not told(*made)
    alone = [{**r, "answer": f"{r['answer']} a{i} b{i} c{i}"} for i, r in enumerate(made)]
    assert not told(*others, *alone)


def test_a_random_sample_of_the_rows(plain, tmp_path):
    options = ("--data", plain, "--rows", "8", "--out", tmp_path / "kit")
    code, said = protect(*options)
    assert code == 0 and said.startswith("plain: private twin, 8 rows with 8 coins, of which 4 ")
    assert "left out: 4 not drawn (--rows); the kit neither publishes nor withholds these" in said
    made = kits.read(tmp_path / "kit")
    assert made.commitment.dropped == {"not drawn (--rows)": 4} and len(made.rows) == 8
    again = draft(plain, sample=8)
    assert again.table["sample_id"].tolist() == made.rows["sample_id"].tolist()
    for rows, words in ((0, "allowed is 1 to 12"), (13, "allowed is 1 to 12")):
        code, said = protect("--data", plain, "--rows", rows)
        assert code == 2 and words in said
    code, said = protect("--data", plain, "--rows", 8, "--withheld", plain)
    assert code == 2 and "--rows is drawn before a coin is tossed" in said
