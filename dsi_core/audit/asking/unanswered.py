"""unanswered.jsonl: questions that an audit put in vain, and what their requests took.

Their answers, if a rerun gets them, are counted by themselves.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.runtime import disk, provenance
from dsi_core.services.billing import Lost

NAME = "unanswered.jsonl"
COLUMNS = ["sample_id", "draw", *asdict(Lost()), "at"]


def add(folder: Path, questions: Iterable[tuple[Any, Lost]]) -> None:
    """Keep what (question, `Lost`) took, where it took anything; only the owner may read it."""
    lines = [
        {"sample_id": row.sample_id, "draw": int(row.draw), **asdict(lost), "at": provenance.now()}
        for row, lost in questions
        if lost.requests
    ]
    if not lines:
        return
    with disk.appending(folder / NAME, private=True) as write:
        write(lines)


def read(folder: Path) -> pd.DataFrame:
    """Read them: columns `COLUMNS`. A line torn by a crash is left out."""
    return pd.DataFrame(list(disk.whole_lines(folder / NAME)), columns=COLUMNS)
