"""A file of answers (answers.jsonl): what a model said elsewhere, as a suspect or as a control."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.data.fields import composed, text_of
from dsi_core.data.files import read_file
from dsi_core.data.text import ReadOtherwise
from dsi_core.services import thoughts

RECORD = '{"prompt": "...", "response": "..."}'
COLUMNS = ["sample_id", "draw", "response"]
NAMED = 3  # prompts that are quoted where some are unknown
FIELDS = 10  # of a record that are named where one lacks: one keyed by prompts has hundreds


def read(path: str | Path, samples: pd.DataFrame, called: str = "samples") -> pd.DataFrame:
    """Read the answers to samples from a file of records, one for each answer.

    A record has `response`, and `sample_id` or `prompt` (equal to the sample's, except for spaces
    around it and how an accent is written; samples that share a prompt share its answers). `draw`,
    an integer, tells several answers to a sample apart: they are numbered from 0 in its order or,
    without it, in the order of the file. Other fields are ignored.

    Parameters
    ----------
    path
        Any format of `data.files.read_file`.
    samples
        Columns sample_id and prompt.
    called
        What they are to a user, whose file may hold answers to others of the same data.

    Returns
    -------
    pandas.DataFrame
        Columns sample_id, draw (0, 1, ... for each sample), response, in the order of `samples`;
        a sample that nothing answers has no row. Its attrs hold unknown, the prompts and
        sample_ids in the file that are no sample's, each once, and samples, how many there are.

    Raises
    ------
    ValueError
        Naming file, row and field for a record without an answer or a question, with a prompt
        other than its sample's, or with the draw of an earlier one; and where no record answers
        one of the samples.
    """
    path = Path(path)
    read_as = [composed(prompt).strip() for prompt in samples["prompt"]]
    prompts = dict(zip(samples["sample_id"], read_as, strict=True))
    by_prompt: dict[str, list[str]] = {}
    for sample, prompt in prompts.items():
        by_prompt.setdefault(prompt, []).append(sample)
    found: dict[str, dict[int, str]] = {sample: {} for sample in prompts}
    unknown: dict[str, None] = {}
    records = _records(path)
    for place, record in _placed(path, records):
        response = _response(record, place)
        asked, name = _asked(record, prompts, by_prompt, place)
        if not asked:
            unknown[name] = None
        for sample in asked:
            draw = _draw(record, len(found[sample]), place)
            if draw in found[sample]:
                raise ValueError(
                    f"{place}, field 'draw': {name!r} has another answer of draw {draw}; "
                    "number the answers to one sample from 0, or leave all draws out"
                )
            found[sample][draw] = response
    rows = [
        (sample, number, draws[draw])
        for sample, draws in found.items()
        for number, draw in enumerate(sorted(draws))
    ]
    all_of_them = f"{len(prompts)} {called}"
    if not rows:
        raise ValueError(
            f"{path}: none of its {len(records)} answers is to one of the {all_of_them}, but to "
            f"{_quoted(list(unknown))}"
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs |= {"unknown": list(unknown), "samples": all_of_them}
    return table


def evenly(answers: pd.DataFrame) -> pd.DataFrame:
    """Keep as many answers to each sample, its first ones, as the sample with the fewest has.

    The closest answer to a sample counts, and the best of many is closer than the best of few. If
    the number of answers depended on the coin, the test would find the coin in anybody's answers.

    answers: columns sample_id, draw (0, 1, ... for each sample); samples without answers do not
    count.
    """
    fewest = answers.groupby("sample_id")["draw"].nunique().min()
    return answers[answers["draw"] < fewest]


def without_thoughts(answers: pd.DataFrame) -> pd.DataFrame:
    """Cut off a control's thoughts, as the suspect's are; a reply of thoughts alone is empty."""
    texts = answers["response"].map(lambda text: thoughts.apart(text).answer)
    table = answers.assign(response=texts.astype(object))
    table.attrs |= answers.attrs
    return table


def said(answers: pd.DataFrame) -> str:
    """Hash what a model said, the same whatever the file's format, fields, order and spaces."""
    texts = answers["response"].map(lambda text: " ".join(composed(text).split()))
    told = list(zip(answers["sample_id"], answers["draw"], texts, strict=True))
    return hashlib.sha256(repr(told).encode()).hexdigest()  # escapes what UTF-8 cannot hold


def described(answers: pd.DataFrame) -> str:
    """Say which questions of a file, as it was read, are no sample's; "" where there are none.

    They may be those of rows that were not drawn, or are not tainted, or of other data.
    """
    unknown, samples = answers.attrs["unknown"], answers.attrs["samples"]
    beside = f"{len(unknown)} question(s) beside the {samples}: {_quoted(unknown)}"
    return beside if unknown else ""


def _quoted(unknown: list[str]) -> str:
    quoted = ", ".join(repr(name[:60]) for name in unknown[:NAMED])
    more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
    return quoted + more


def _records(path: Path) -> list:
    """Read them; how a dataset is read has options, how a file of answers is read has none."""
    try:
        records = read_file(path)
    except ReadOtherwise as error:
        raise ValueError(f"{error.what}; {error.mend}") from None
    if not records:
        raise ValueError(f"{path}: holds no answers; needs a record for each")
    return records


def _placed(path: Path, records: list) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its place in words."""
    for row, record in enumerate(records, start=1):
        place = f"{path}, row {row}"
        if not isinstance(record, dict):
            raise ValueError(f"{place}: is {type(record).__name__}, needs an object with fields")
        yield place, record


def _response(record: dict[str, Any], place: str) -> str:
    """Its answer; an empty text is one, an absent field is a mistake."""
    response = record.get("response")
    if response is None or (isinstance(response, float) and math.isnan(response)):
        raise ValueError(
            f"{place}, field 'response': is missing, needs the answer as text "
            f'("" = it said nothing), as in {RECORD}; has {_fields(record)}'
        )
    return text_of(response, f"{place}, field 'response'")


def _fields(record: dict[str, Any]) -> str:
    names = [str(name)[:60] for name in record]
    more = f" and {len(names) - FIELDS} more" if len(names) > FIELDS else ""
    return ", ".join(names[:FIELDS]) + more


def _asked(
    record: dict[str, Any], prompts: dict[str, str], by_prompt: dict[str, list[str]], place: str
) -> tuple[list[str], str]:
    """(the samples that a record answers, what it calls them)."""
    sample, prompt = (
        text_of(record.get(name), f"{place}, field {name!r}") for name in ("sample_id", "prompt")
    )
    if not sample and not prompt:
        raise ValueError(
            f"{place}: says neither 'prompt' nor 'sample_id', as in {RECORD}; has {_fields(record)}"
        )
    prompt = composed(prompt).strip()
    if not sample:
        return by_prompt.get(prompt, []), prompt
    if sample not in prompts:
        return [], sample
    if prompt and prompt != prompts[sample]:
        raise ValueError(
            f"{place}, field 'prompt': {prompt[:60]!r} is not the prompt of sample {sample}, "
            f"which is {prompts[sample][:60]!r}"
        )
    return [sample], sample


def _draw(record: dict[str, Any], following: int, place: str) -> int:
    """Its draw, or else the following number."""
    draw = record.get("draw")
    if draw is None or draw == "":  # a CSV file has no other way to leave one out
        return following
    if isinstance(draw, bool) or not str(draw).isdecimal():
        raise ValueError(f"{place}, field 'draw': {draw!r}, needs an integer of at least 0")
    return int(draw)
