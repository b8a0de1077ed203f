"""The answers that an audit has stored: `responses.jsonl` in its folder, a line each."""

from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dsi_core.audit import answers_file
from dsi_core.audit.asking import same_model, unanswered
from dsi_core.audit.plan import Plan
from dsi_core.audit.suspect import AnswerFacts
from dsi_core.models import responses
from dsi_core.runtime import disk

COLUMNS = [*responses.COLUMNS, *(field.name for field in fields(AnswerFacts))]


def answers(plan: Plan) -> pd.DataFrame:
    """Read the stored answers: sample_id, draw, response, and the fields of `AnswerFacts`.

    From a file, with a kit, equally many to each sample: its maker may know what the coin decided.
    """
    stored = answers_in(plan.folder)
    of_a_file = plan.answers_file is not None and plan.kit is not None
    return answers_file.evenly(stored) if of_a_file else stored


def beside(plan: Plan) -> pd.DataFrame:
    """Read the answers to neutral questions (`same_model`), with the same columns."""
    return answers_in(plan.folder / same_model.FOLDER)


def is_fixed(plan: Plan) -> bool:
    """Tell whether anything was answered, be it a neutral question, or may have been billed."""
    return len(answers(plan)) + len(beside(plan)) + len(unanswered.read(plan.folder)) > 0


def answers_in(folder: Path) -> pd.DataFrame:
    """Read the answers that lie in a folder, as `answers`."""
    path = folder / responses.FILE
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    file = path.stat()
    return _read(path, file.st_ino, file.st_size, file.st_mtime_ns).copy(deep=False)


@lru_cache(maxsize=4)  # an audit looks at the same answers many times before it asks again
def _read(path: Path, *_: int) -> pd.DataFrame:
    unsaid = asdict(AnswerFacts())
    lines = disk.whole_lines(path)
    rows = [{**unsaid, **{k: v for k, v in line.items() if v is not None}} for line in lines]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.drop_duplicates(["sample_id", "draw"], ignore_index=True)


def complete(plan: Plan, answers: pd.DataFrame) -> pd.DataFrame:
    """Give the samples, in order, before the first that lacks an answer.

    All samples where a file answers: what it lacks was not answered.
    """
    if plan.answers_file is not None:
        return plan.samples
    counts = answers.groupby("sample_id")["draw"].nunique()
    enough = counts.reindex(plan.samples["sample_id"], fill_value=0) >= plan.draws
    return plan.samples[enough.to_numpy().cumprod().astype(bool)]
