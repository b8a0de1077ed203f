"""Hub datasets: their rows, or one line that says what is in the way."""

import re
from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
from helpers import says
from huggingface_hub.errors import GatedRepoError

from dsi_core.data import hub
from dsi_core.data.pairs import Dataset, described, load_pairs
from dsi_core.runtime import hub as runtime_hub
from dsi_core.settings.schema import Data

SOURCE = Data(hub="owner/name", prompt=["q"], output="a", config="en", split="test", revision="v2")


@pytest.fixture
def reachable(monkeypatch):
    monkeypatch.setattr(runtime_hub, "reachable", lambda endpoint: True)


def refused(monkeypatch, error) -> str:
    def load(*_, **__):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(ValueError) as caught:
        hub.rows(SOURCE)
    says(caught, "hub:owner/name (--config en, --split test, --revision v2): ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_which_rows_are_asked_for(monkeypatch, reachable):
    asked = []
    rows = datasets.Dataset.from_dict({"q": ["A?", "B?"], "a": ["a", "b"], "n": [1, 2]})
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *names, **how: asked.append((names, how)) or rows
    )
    table = load_pairs(Dataset("hub", SOURCE, seed=0))
    assert table["prompt"].tolist() == ["A?", "B?"]
    assert asked == [(("owner/name", "en"), {"split": "test", "revision": "v2"})]
    assert described(table) == [
        "hub owner/name (test): 2 rows read, 2 pairs; none left out",
        "columns that are not used: n",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("Config name is missing.\nPlease pick one: ['a', 'b']"), "one with --config"),
        (ValueError("BuilderConfig 'en' not found. Available: ['a']"), "one with --config"),
        (ValueError('Unknown split "test". Should be one of [...]'), "one with --split"),
        (datasets.exceptions.DatasetNotFoundError("'x' is a gated dataset"), "accept the licence"),
        (datasets.exceptions.DatasetNotFoundError("'x' doesn't exist"), "cannot be read"),
        (ConnectionError("Couldn't reach"), "cannot be reached .* give the file"),
        (RuntimeError("something else"), "something else"),
    ],
)
def test_one_line_for_what_is_in_the_way(monkeypatch, reachable, error, words):
    assert re.search(words, refused(monkeypatch, error))


def test_a_gated_dataset(monkeypatch, reachable):
    inner = GatedRepoError(
        "401", response=SimpleNamespace(headers={}, request=None, status_code=401)
    )
    outer = datasets.exceptions.DatasetNotFoundError("cannot be accessed")
    outer.__cause__ = inner
    assert "hf auth login" in refused(monkeypatch, outer)


def test_without_a_network_the_cache_alone_is_asked_at_once(monkeypatch, tmp_path):
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(ValueError, match="the hub cannot be reached and its files are not in the"):
        hub.rows(SOURCE)
    assert before == constants.HF_HUB_OFFLINE
