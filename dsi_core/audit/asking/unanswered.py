"""unanswered.jsonl: questions that an audit put in vain, and what their requests took.

Their answers, if a rerun gets them, are counted by themselves.
"""

import json
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
    path = folder / NAME
    path.touch(mode=0o600)
    torn = path.read_bytes()[-1:] not in (b"", b"\n")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n" if torn else "")  # close a line that a crash left open
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        disk.flush(file)


def read(folder: Path) -> pd.DataFrame:
    """Read them: columns `COLUMNS`. A line torn by a crash is left out."""
    path, rows = folder / NAME, []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.split("\n"):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return pd.DataFrame(rows, columns=COLUMNS)
