"""A kit: what is published and kept, and that nothing else passes for what was committed to."""

import hashlib
import json
import multiprocessing
import os
import signal
import stat

import pandas as pd
import pytest
from helpers import says, write_jsonl
from owner import SALT, without

from dsi_core.evidence.power import Twin
from dsi_core.protect import coins, kit
from dsi_core.protect.kit_files import COLUMNS, COMMITMENT, PRIVATE, PUBLISHED
from dsi_core.runtime import disk


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wording_twin(data, out, **options):
    return kit.make(data, out, **{"wordings": "answer,answer2", "salt": SALT, **options})


def private_twin(data, out, **options):
    return kit.make(data, out, **{"salt": SALT, **options})


def committed_anew(folder, **fields):
    """Make a commitment to the files as they are now, as somebody who cheats would."""
    hashes = {
        "private_sha256": sha256(folder / PRIVATE),
        "published_sha256": sha256(folder / PUBLISHED),
    }
    said = json.loads((folder / COMMITMENT).read_text())
    (folder / COMMITMENT).write_text(json.dumps({**said, **hashes, **fields}))


def test_a_wording_twin_publishes_every_row_in_the_wording_of_the_coin(one_file, rows, tmp_path):
    made = wording_twin(one_file, tmp_path / "kit")
    heads = [coins.toss(SALT, coins.row_key(r["question"], r["answer"])) for r in rows]
    assert 0 < sum(heads) < len(rows)
    chosen = [r["answer"] if head else r["answer2"] for r, head in zip(rows, heads, strict=True)]
    kept = [r["answer2"] if head else r["answer"] for r, head in zip(rows, heads, strict=True)]
    assert lines(made.folder / PUBLISHED) == [
        {**without(r, "answer2"), "answer": text} for r, text in zip(rows, chosen, strict=True)
    ]
    assert list(lines(made.folder / PUBLISHED)[0]) == ["id", "question", "source", "answer"]
    assert made.kind == Twin.WORDING and made.name == "ferries"
    assert list(made.rows.columns) == COLUMNS
    assert made.rows["text"].tolist() == chosen and made.rows["other"].tolist() == kept
    assert made.rows["first_published"].tolist() == heads and made.rows["published"].all()
    assert made.wordings["first"].tolist() == [r["answer"] for r in rows]
    assert made.wordings["second"].tolist() == [r["answer2"] for r in rows]
    assert made.commitment.published == made.commitment.groups == 12


def test_a_private_twin_publishes_half_of_the_groups(plain, rows, tmp_path):
    made = private_twin(plain, tmp_path / "kit", group="source")  # two rows share a coin
    keys = coins.groups(
        made.rows.assign(first=made.rows["text"], source=[r["source"] for r in rows]), "source"
    )
    assert made.rows["group"].tolist() == keys.tolist()
    published = keys.isin(coins.published(SALT, keys))
    assert made.rows["published"].tolist() == published.tolist()
    assert lines(made.folder / PUBLISHED) == [
        without(r, "answer2") for r, yes in zip(rows, published, strict=True) if yes
    ]
    assert made.kind == Twin.PRIVATE and made.rows["other"].isna().all()
    said = made.commitment
    assert (said.rows, said.groups, said.published, said.late) == (12, 6, 6, False)


@pytest.mark.parametrize("share, groups", [(0.25, 3), (0.75, 9)])
def test_another_share(plain, tmp_path, share, groups):
    assert private_twin(plain, tmp_path / "kit", share=share).commitment.published == groups


def test_a_split_that_exists_is_committed_late(rows, tmp_path):
    published = write_jsonl(tmp_path / "published.jsonl", rows[:7])
    withheld = write_jsonl(tmp_path / "withheld.jsonl", rows[7:])
    made = private_twin(published, tmp_path / "kit", withheld=withheld)
    assert made.commitment.late and made.commitment.published == 7
    assert sorted(made.rows["text"]) == sorted(r["answer"] for r in rows)
    kept = made.rows[~made.rows["published"]]
    assert set(kept["text"]) == {r["answer"] for r in rows[7:]}
    assert lines(made.folder / PUBLISHED) == rows[:7]
    # the order of the rows does not show which is which
    assert made.rows["sample_id"].is_monotonic_increasing
    with pytest.raises(ValueError) as error:
        private_twin(published, tmp_path / "more", withheld=withheld, group="source")
    says(error, "published.jsonl, row 7 and withheld.jsonl, row 1", "--group ('page 3')")


def test_near_duplicates_share_a_coin_unless_it_was_another_ones(rows, tmp_path):
    again = [{**r, "question": r["question"].upper() + "!"} for r in rows]
    both = write_jsonl(tmp_path / "both.jsonl", rows + again)
    made = wording_twin(both, tmp_path / "kit")
    assert made.rows["group"].value_counts().tolist() == [2] * 12
    parts = [write_jsonl(tmp_path / f"{i}.jsonl", part) for i, part in enumerate((rows, again))]
    late = private_twin(parts[0], tmp_path / "late", withheld=parts[1])
    assert late.commitment.groups == 24


def test_only_the_owner_may_read_the_private_part(one_file, tmp_path):
    made = wording_twin(one_file, tmp_path / "kit")
    assert stat.S_IMODE((made.folder / PRIVATE).stat().st_mode) == 0o600
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert not made.readable_by_others
    (made.folder / PRIVATE).chmod(0o640)
    with pytest.warns(UserWarning, match="others than its owner may read"):
        assert kit.read(made.folder).readable_by_others


def test_the_commitment_gives_nothing_away(one_file, rows, tmp_path):
    made = wording_twin(one_file, tmp_path / "kit")
    text = (made.folder / COMMITMENT).read_text()
    header, *private = lines(made.folder / PRIVATE)
    secret = [header["salt"], *(row["sample_id"] for row in private)]
    secret += [r[name] for r in rows for name in ("question", "answer", "answer2")]
    assert not any(part in text for part in secret)
    assert set(json.loads(text)) == {
        "format", "kind", "name", "late", "rows", "groups", "published", "private_sha256",
        "published_sha256", "made", "dropped",
    }  # fmt: skip


def test_without_a_salt_it_is_secret_and_another_one_each_time(one_file, tmp_path):
    folders = [wording_twin(one_file, tmp_path / name, salt=None).folder for name in "ab"]
    salts = {lines(folder / PRIVATE)[0]["salt"] for folder in folders}
    assert len(salts) == 2 and all(len(salt) == 64 for salt in salts)


def test_what_is_read_is_what_was_made(one_file, plain, tmp_path):
    for made in (wording_twin(one_file, tmp_path / "b"), private_twin(plain, tmp_path / "a")):
        again = kit.read(made.folder)
        pd.testing.assert_frame_equal(again.rows, made.rows)
        assert again.commitment == made.commitment


def test_a_kit_is_never_made_again(one_file, tmp_path):
    made = wording_twin(one_file, tmp_path / "kit")
    before = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    for salt in (SALT, None):
        with pytest.raises(ValueError, match=r"holds a kit already.* with --dry-run says again"):
            wording_twin(one_file, made.folder, salt=salt)
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == before


def test_files_of_an_owner_are_not_replaced(rows, tmp_path):
    published = write_jsonl(tmp_path / PUBLISHED, rows[:6])
    private = write_jsonl(tmp_path / PRIVATE, rows[6:])
    with pytest.raises(ValueError, match=PRIVATE):
        private_twin(published, tmp_path, withheld=private, salt=None)
    private.rename(tmp_path / "kept.jsonl")
    with pytest.raises(ValueError, match=rf"{PUBLISHED} is there already"):
        private_twin(published, tmp_path, withheld=tmp_path / "kept.jsonl")
    assert lines(published) == rows[:6]


def killed(data, folder, written):
    """Make a kit in a process that is killed once so many of its files are there."""
    replacing = disk.replacing

    def or_die(path, **options):
        if len(list(folder.glob("*.json*"))) == written:
            os.kill(os.getpid(), signal.SIGKILL)
        return replacing(path, **options)

    disk.replacing = or_die
    wording_twin(data, folder, salt=None)


@pytest.mark.parametrize("written", [1, 2])
def test_a_run_that_was_killed_is_finished_with_its_coin(one_file, rows, tmp_path, written):
    folder = tmp_path / "kit"
    run = multiprocessing.get_context("fork").Process(
        target=killed, args=(one_file, folder, written)
    )
    run.start()
    run.join()
    assert run.exitcode == -signal.SIGKILL
    assert (folder / PRIVATE).exists() and not (folder / COMMITMENT).exists()
    assert stat.S_IMODE((folder / PRIVATE).stat().st_mode) == 0o600
    with pytest.raises(ValueError, match=COMMITMENT):
        kit.read(folder)
    other = write_jsonl(tmp_path / "other.jsonl", rows[::-1])
    private = (folder / PRIVATE).read_bytes()
    for data, salt in ((other, None), (one_file, SALT)):  # other data; another coin
        with pytest.raises(ValueError, match="its coin has fallen"):
            wording_twin(data, folder, salt=salt)
    made = wording_twin(one_file, folder, salt=None)
    assert (folder / PRIVATE).read_bytes() == private
    assert made.rows["first_published"].tolist() == [
        row["first_published"] for row in map(json.loads, private.splitlines()[1:])
    ]


# --------------------------------------------------------------- what does not match is refused


def test_a_changed_published_file(one_file, tmp_path):
    folder = wording_twin(one_file, tmp_path / "kit").folder
    text = (folder / PUBLISHED).read_text()
    (folder / PUBLISHED).write_text(text.replace("crowns", "coins", 1))
    with pytest.raises(ValueError, match=rf"{PUBLISHED} is not the file that {COMMITMENT}"):
        kit.read(folder)
    committed_anew(folder)
    with pytest.raises(ValueError, match=f"{PUBLISHED} does not hold what the coin"):
        kit.read(folder)


def test_another_kits_commitment(one_file, tmp_path):
    folder = wording_twin(one_file, tmp_path / "kit").folder
    other = wording_twin(one_file, tmp_path / "other", salt=b"another").folder
    (folder / COMMITMENT).write_bytes((other / COMMITMENT).read_bytes())
    with pytest.raises(ValueError, match=rf"{PRIVATE} is not the file that {COMMITMENT} commits"):
        kit.read(folder)


def test_a_coin_that_was_tossed_again(one_file, tmp_path):
    """Another salt than the committed one, with everything that follows from it, in its files."""
    folder = wording_twin(one_file, tmp_path / "kit").folder
    again = wording_twin(one_file, tmp_path / "again", salt=b"a luckier one").folder
    for name in (PRIVATE, PUBLISHED):
        (folder / name).write_bytes((again / name).read_bytes())
    with pytest.raises(ValueError, match=rf"{PRIVATE} is not the file"):
        kit.read(folder)


@pytest.mark.parametrize("name", ["first_published", "published"])
def test_a_coin_that_its_salt_does_not_give(one_file, plain, tmp_path, name):
    """One row turned by hand, and committed to: the hashes agree, the coin does not."""
    wording = name == "first_published"
    make, data = (wording_twin, one_file) if wording else (private_twin, plain)
    folder = make(data, tmp_path / "kit").folder
    header, *rows = lines(folder / PRIVATE)
    turned = {**rows[4], name: not rows[4][name]}
    if wording:
        turned |= {"text": rows[4]["other"], "other": rows[4]["text"]}
    write_jsonl(folder / PRIVATE, [header, *rows[:4], turned, *rows[5:]])
    committed_anew(folder, published=sum(r["published"] for r in [*rows[:4], turned, *rows[5:]]))
    with pytest.raises(ValueError) as error:
        kit.read(folder)
    says(error, PRIVATE, "the coin is not what the salt gives", turned["sample_id"])


def test_a_key_that_was_chosen(plain, tmp_path):
    """Who could choose the names of the groups could choose how their coins fall."""
    folder = private_twin(plain, tmp_path / "kit").folder
    header, *rows = lines(folder / PRIVATE)
    for name in ("group", "sample_id"):
        chosen = {**rows[0], name: "0" * 16}
        write_jsonl(folder / PRIVATE, [header, chosen, *rows[1:]])
        committed_anew(folder)
        with pytest.raises(ValueError, match="not the one that its texts give"):
            kit.read(folder)


def test_counts_and_kind_that_do_not_agree(one_file, tmp_path):
    folder = wording_twin(one_file, tmp_path / "kit").folder
    for fields in ({"groups": 13}, {"late": True}, {"kind": "private twin"}, {"name": "other"}):
        said = json.loads((folder / COMMITMENT).read_text())
        committed_anew(folder, **fields)
        with pytest.raises(ValueError, match=f"{COMMITMENT} says"):
            kit.read(folder)
        (folder / COMMITMENT).write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("name", "helps"),
    [(PRIVATE, "look for its copy"), (PUBLISHED, "look for its copy"), (COMMITMENT, "dsi protect")],
)
def test_a_missing_file_is_named(one_file, tmp_path, name, helps):
    folder = wording_twin(one_file, tmp_path / "kit").folder
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: no such file; .*{helps}"):
        kit.read(folder)


@pytest.mark.parametrize(
    "change, words", [({"salt": "xyz"}, "salt"), ({"share": None}, "share"), (None, "is empty")]
)
def test_a_header_that_is_none(plain, tmp_path, change, words):
    folder = private_twin(plain, tmp_path / "kit").folder
    header, *rows = lines(folder / PRIVATE)
    write_jsonl(folder / PRIVATE, [] if change is None else [{**header, **change}, *rows])
    committed_anew(folder)
    with pytest.raises(ValueError) as error:
        kit.read(folder)
    says(error, PRIVATE, words)


@pytest.mark.parametrize("text, words", [("", "is empty: bring it back"), ("{", "is damaged (In")])
def test_a_commitment_that_was_emptied_or_cut_off(plain, tmp_path, text, words):
    folder = private_twin(plain, tmp_path / "kit").folder
    (folder / COMMITMENT).write_text(text)
    with pytest.raises(ValueError) as error:
        kit.read(folder)
    says(error, f"{folder / COMMITMENT} {words}")


def test_another_format_is_refused(one_file, tmp_path):
    folder = wording_twin(one_file, tmp_path / "kit").folder
    committed_anew(folder, format=2)
    with pytest.raises(ValueError, match="format"):
        kit.read(folder)


# -------------------------------------------------------------------------- what cannot be a kit


def test_too_few_coins_are_refused(rows, tmp_path):
    four = write_jsonl(tmp_path / "four.jsonl", rows[:4])
    five = write_jsonl(tmp_path / "five.jsonl", rows[:5])
    with pytest.raises(ValueError) as error:  # 2^-4
        wording_twin(four, tmp_path / "kit")
    says(error, "4 rows share 4 coins", "below 0.062", "0.05")
    assert not (tmp_path / "kit" / PRIVATE).exists()
    assert wording_twin(five, tmp_path / "kit").commitment.groups == 5  # 2^-5
    with pytest.raises(ValueError, match=r"below 0.1:"):  # 1 / C(5, 2)
        private_twin(five, tmp_path / "private")


def test_why_coins_are_few_is_said(rows, tmp_path):
    """Near-duplicates; documents; both."""
    words = " ".join(f"word{i}" for i in range(20))
    alike = [{"question": "Say it.", "answer": f"{words} {i}"} for i in range(30)]
    with pytest.raises(ValueError) as error:
        private_twin(write_jsonl(tmp_path / "alike.jsonl", alike), tmp_path / "kit")
    says(error, "30 rows share 1 coin (near-duplicates share one), with")
    path = write_jsonl(tmp_path / "rows.jsonl", [{**row, "source": "one"} for row in rows])
    with pytest.raises(ValueError) as error:
        private_twin(path, tmp_path / "kit", group="source")
    says(error, "12 rows share 1 coin (rows with an equal value of --group share one), with")
    both = write_jsonl(tmp_path / "both.jsonl", [{**r, "d": i % 3} for i, r in enumerate(alike)])
    with pytest.raises(ValueError, match="--group share one; near-duplicates share one"):
        private_twin(both, tmp_path / "kit", group="d")


def test_a_prompts_column_that_only_withheld_rows_have_is_published_as_null(rows, tmp_path):
    """JSON Lines without nulls: under some coins no published row has it."""
    records = [{"instruction": r["question"], "output": r["answer"]} for r in rows]
    records[3]["input"] = "By night."
    data, found = write_jsonl(tmp_path / "my.jsonl", records), set()
    for i in range(4):
        made = private_twin(data, tmp_path / f"kit{i}", salt=bytes([i]) * 32)
        inputs = [line["input"] for line in lines(made.folder / PUBLISHED)]
        assert inputs.count(None) >= 5
        found.add("By night." in inputs)
    assert found == {True, False}


def test_a_kit_that_could_not_be_read_again_is_not_committed_to(rows, tmp_path):
    """One published row with a list of objects is read as a file of these."""
    records = [{**without(r, "answer2"), "data": [{"x": 1}]} for r in rows]
    again = [
        {**r, "question": r["question"].replace("ferry", "bus"), "answer": r["answer"][::-1]}
        for r in records
    ]
    data = write_jsonl(tmp_path / "my.jsonl", records + again)
    options = {"prompt": ("question",), "output": "answer", "share": 0.04}
    with pytest.raises(ValueError) as error, pytest.warns(UserWarning, match="field 'data'"):
        private_twin(data, tmp_path / "kit", **options)
    says(error, f"{tmp_path / 'kit'}: what would be published", PUBLISHED, "--out")
    assert not (tmp_path / "kit" / COMMITMENT).exists()


@pytest.mark.parametrize("name", ["a/b", "../mine", ".."])
def test_a_kit_whose_name_is_a_path_lies_where_its_owner_says(plain, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"--name '{name}': no folder in kits/ .* with --out"):
        private_twin(plain, None, name=name)
    assert not (tmp_path / "kits").exists()
    assert private_twin(plain, tmp_path / "kit", name=name).name == name


def test_a_name_that_no_file_can_hold_is_refused_before_a_coin_falls(plain, tmp_path):
    other = plain.rename(tmp_path / "fr\udce5gor.jsonl")
    with pytest.raises(ValueError, match=r"the file's name \(--name: another\): .* needs text"):
        private_twin(other, tmp_path / "kit")
    with pytest.raises(ValueError, match=r"--name: .* needs text"):
        private_twin(other, tmp_path / "kit", name="fr\udce5gor")
    assert not (tmp_path / "kit").exists()
    assert private_twin(other, tmp_path / "kit", name="frågor").name == "frågor"


def test_near_copies_are_refused_before_a_coin_falls(rows, tmp_path):
    for r in rows[:2]:
        r["answer2"] = r["answer"].upper()
    path = write_jsonl(tmp_path / "my.jsonl", rows)
    with pytest.raises(ValueError) as error:
        wording_twin(path, tmp_path / "kit")
    says(error, "2 of 12", "my.jsonl, row 1 (1.00)", "my.jsonl, row 2 (1.00)")
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"share": 1.0}, "--share 1.0"),
        ({"share": 0.5, "wordings": "answer,answer2"}, "--share is that of a private twin"),
        ({"share": 0.5, "withheld": "x.jsonl"}, "--share is that of a private twin"),
    ],
)
def test_shares_that_are_none(one_file, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        kit.make(one_file, tmp_path / "kit", **options)


def test_other_formats_keep_their_columns(rows, tmp_path):
    table = pd.DataFrame(rows).assign(day=pd.Timestamp("2026-11-26"), tags=[["a", "b"]] * 12)
    table["note"] = [None, *"bcdefghijkl"]
    table["scores"] = [{"all": [float("nan"), 0.5]}] * 12
    table.to_parquet(tmp_path / "my.parquet")
    pd.DataFrame(rows).to_csv(tmp_path / "my.csv", index=False)
    from_parquet = wording_twin(tmp_path / "my.parquet", tmp_path / "p")
    from_csv = wording_twin(tmp_path / "my.csv", tmp_path / "c")
    first = lines(from_parquet.folder / PUBLISHED)[0]
    assert first["day"] == "2026-11-26T00:00:00" and first["tags"] == ["a", "b"]
    assert first["note"] is None and first["id"] == 0
    assert first["scores"] == {"all": [None, 0.5]}
    assert from_csv.rows.equals(from_parquet.rows)
