"""Pairs as a file of the store."""

import pandas as pd

from dsi_core.data import stored
from dsi_core.data.files import read_file
from dsi_core.runtime import disk, store


def test_pairs_are_written_once_for_each_content(empty_store, monkeypatch):
    pairs = pd.DataFrame({"prompt": ["Wer?", "Wo?"], "output": ["Der Fährmann.", "Am\nFluss."]})
    path = stored.write("mixed", "mine", pairs)
    assert read_file(path) == pairs.to_dict("records")
    assert store.manifest(path.parent)["pairs"] == 2
    other = stored.write("mixed", "mine", pairs[:1])
    monkeypatch.setattr(disk, "write_text", None)
    assert stored.write("mixed", "mine", pairs) == path != other
