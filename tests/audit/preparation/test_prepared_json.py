"""prepared.json: its format, and paths that name no machine."""

import json
import math

import pytest
from helpers import says, write_jsonl

from dsi_core.audit.preparation import prepared_json
from dsi_core.audit.preparation.prepared_json import Compared, Facts
from dsi_core.evidence.blind import BlindCheck
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.schema import Data, Endpoint, Model


@pytest.mark.parametrize(("said", "number"), [({"format": 2}, 2), ({"format": 4}, 4), ({}, 1)])
def test_another_format_is_refused_with_a_way_out(prepared, said, number):
    """Format 1 had no number; before format 3 a part could be withheld."""
    path = prepared(5).folder / "prepared.json"
    content = json.loads(path.read_text())
    assert content.pop("format") == 3
    path.write_text(json.dumps({**content, **said}))
    with pytest.raises(ValueError) as caught:
        prepared_json.read(path.parent)
    says(
        caught,
        f"prepared.json is in format {number}; this version of dsi_core reads format 3",
        "prepare the dataset again with --out",
        "`dsi protect --withheld`",
    )


def test_a_broken_field_is_named(prepared):
    path = prepared(5).folder / "prepared.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "dropped": {"empty": "two"}}))
    with pytest.raises(ValueError) as caught:
        prepared_json.read(path.parent)
    says(caught, str(path), "dropped.empty", "'two'")


def test_a_check_of_too_few_pairs_has_no_number():
    nothing = BlindCheck(*[math.nan] * 5, (4, 12))
    check = Compared.of(nothing, "few")
    assert (check.auc, check.p, check.noticed, check.pairs) == (None, None, None, (4, 12))


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


def test_a_service_is_named_without_what_may_be_secret(smoke, tmp_path):
    """The folder is passed on."""
    endpoint = Endpoint(
        base_url="https://me:word-1@host/v1?key=word-2",
        model="served",
        key_env="KEY",
        proxy="http://me:word-3@proxy",
        extra={"user": "word-4"},
    )
    profile = smoke.changed(models={**smoke.models, "far": Model(endpoint=endpoint)})
    prepared_json.write(tmp_path, Facts(name="d", data="d.jsonl", key="k"), profile)
    assert "word-" not in (tmp_path / "prepared.json").read_text()
    _, read = prepared_json.read(tmp_path)
    assert read.models["far"].endpoint == Endpoint(base_url="https://host/v1", model="served")
    assert read.models["llama"] == smoke.models["llama"]


def test_the_key_is_of_content_and_names_no_place(smoke, tmp_path):
    """The same file elsewhere: the same key. Another text, pair, file or setting: another key."""

    def key(path, settings=smoke, pairs=("0123456789abcdef",), answers=None):
        data = {**settings.data, "other": Data(path=str(path), prompt=["q"], output="a")}
        settings = settings.changed(data=data)
        return prepared_json.key(settings, list(pairs), answers or {}, tmp_path / "prepared")

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
        key(one, pairs=["fedcba9876543210"]),
        key(one, answers={"assistant": "aa"}),
        key(one, answers={"assistant": "bb"}),
    ]
    assert len(set(keys)) == 6
