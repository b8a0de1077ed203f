"""prepared.json: its format, and paths that name no machine."""

import json
import math

import pytest
from helpers import says, write_jsonl

from dsi_core.audit import prepared_json
from dsi_core.audit.prepared_json import Against, Compared
from dsi_core.evidence.blind import BlindCheck
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.schema import Data


def test_another_format_is_refused_with_a_way_out(prepared):
    path = prepared(5).folder / "prepared.json"
    said = json.loads(path.read_text())
    assert said["format"] == 2
    path.write_text(json.dumps({**said, "format": 3}))
    with pytest.raises(ValueError) as caught:
        prepared_json.read(path.parent)
    says(caught, "prepared.json is in format 3", "reads formats 1 and 2", "prepare the dataset")


def test_format_1_is_read(prepared):
    """It had no number, and no kind of a blind check."""
    path = prepared(5).folder / "prepared.json"
    said = json.loads(path.read_text())
    checks = [
        {"against": "the withheld twin", "auc": None, "low": None, "high": None, "pairs": [5, 2]},
        {"against": "chat", "auc": 0.9, "low": 0.8, "high": 1.0, "pairs": [5, 48]},
    ]
    path.write_text(
        json.dumps({**{k: v for k, v in said.items() if k != "format"}, "blind": checks})
    )
    twin, chat = prepared_json.read(path.parent)[0].blind
    assert (twin.against, twin.auc, twin.pairs) == (Against.TWIN, None, (5, 2))
    assert (chat.against, chat.name, chat.auc) == (Against.CONTROL_DATA, "chat", 0.9)


def test_a_broken_field_is_named(prepared):
    path = prepared(5).folder / "prepared.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "dropped": {"empty": "two"}}))
    with pytest.raises(ValueError) as caught:
        prepared_json.read(path.parent)
    says(caught, str(path), "dropped.empty", "'two'")


def test_a_check_of_too_few_pairs_has_no_number():
    nothing = BlindCheck(math.nan, math.nan, math.nan, (4, 12))
    check = Compared.of(nothing, Against.CONTROL_DATA, "few")
    assert (check.auc, check.low, check.high, check.pairs) == (None, None, None, (4, 12))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{folder}/pairs.jsonl", "./pairs.jsonl"),
        ("{folder}/below/x.jsonl", "./below/x.jsonl"),
        ("{tmp}/mine.jsonl", "../../mine.jsonl"),
        ("params/smoke/iid.jsonl", "params/smoke/iid.jsonl"),
        (f"{ROOT}/params/smoke/iid.jsonl", "params/smoke/iid.jsonl"),
    ],
)
def test_a_path_is_said_from_the_folder_or_the_repository(tmp_path, path, said):
    folder = tmp_path / "audits" / "boxes"
    path = path.format(folder=folder, tmp=tmp_path)
    assert prepared_json.portable(path, folder) == said
    found = ROOT / prepared_json.located(said, folder)
    assert found == ROOT / path


def test_the_key_is_of_content_and_names_no_place(smoke, tmp_path):
    """The same file elsewhere: the same key. Another text, part or setting: another key."""
    parts = [["0123456789abcdef", "published"]]

    def key(path, settings=smoke, parts=parts):
        data = {**settings.data, "other": Data(path=str(path), prompt=["q"], output="a")}
        return prepared_json.key(settings.changed(data=data), parts, tmp_path / "prepared")

    one, same, other = (tmp_path / name for name in ("a/x.jsonl", "b/y.jsonl", "c.jsonl"))
    one.parent.mkdir()
    same.parent.mkdir()
    write_jsonl(one, [{"q": "1", "a": "2"}])
    write_jsonl(same, [{"q": "1", "a": "2"}])
    write_jsonl(other, [{"q": "1", "a": "3"}])
    assert key(one) == key(same)
    keys = [
        key(one),
        key(other),
        key(one, smoke.changed(seed=1)),
        key(one, parts=[["0123456789abcdef", "withheld"]]),
    ]
    assert len(set(keys)) == 4
