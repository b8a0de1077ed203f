"""What is kept of a batch under way, so that no question is submitted twice.

Each step is written to disk before it is done, and its result after it: a run that is killed
between any two steps goes on with the same batch, and never makes another of the same questions.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from dsi_core.runtime import disk

NAME = "batch.json"


class Pending(BaseModel):
    """A batch under way, as `batch.json` keeps it.

    Attributes
    ----------
    tag
        Names it at the service, in its file's name and its metadata, without naming this tool.
    questions
        [sample_id, draw] of each question.
    file, batch
        The service's ids; "" = not known yet.
    uploading, asked_for
        Whether the service may have got the file, and may have been asked to make the batch.
    """

    tag: str
    questions: list[tuple[str, int]]
    file: str = ""
    batch: str = ""
    uploading: bool = False
    asked_for: bool = False


def under_way(folder: Path) -> Pending | None:
    """Read which batch is under way in a folder; None = none.

    Raises `ValueError` for a file that nobody can read: it may be of a batch that was paid.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return Pending.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(
            f"{path} cannot be read: it names a batch that may be under way; mend it, or move it "
            "away to submit a new one"
        ) from None


def keep(folder: Path, pending: Pending) -> None:
    """Write it down, for its owner alone."""
    disk.write_text(folder / NAME, pending.model_dump_json(indent=1) + "\n", private=True)


def forget(folder: Path) -> None:
    """Remove it, once all that its batch brought is kept, or if nothing of it was paid."""
    (folder / NAME).unlink()


def submitted(folder: Path, questions: pd.DataFrame) -> pd.DataFrame:
    """Give those of some questions that a batch under way has, or may have.

    questions: all that lack an answer; columns sample_id, draw.
    """
    begun = under_way(folder)
    if begun is None or not begun.asked_for:
        return questions.head(0)
    asked = set(begun.questions)
    return questions.loc[[(row.sample_id, row.draw) in asked for row in rows_of(questions)]]


def rows_of(questions: pd.DataFrame) -> list[Any]:
    """Give each question as a named tuple."""
    return list(questions.itertuples(index=False))


def name_of(sample_id: Any, draw: Any) -> str:
    """Give a question's name in a batch's files."""
    return f"{sample_id}/{int(draw)}"
