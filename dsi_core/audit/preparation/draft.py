"""A preparation before any work: what is read, refused and decided of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.audit import answers_file, control_files
from dsi_core.audit.plan import AUDITS, folder_name
from dsi_core.audit.preparation import innocents, lengths, prepared_json, split, usable
from dsi_core.audit.preparation.prepared import INSIDE
from dsi_core.audit.preparation.prepared_json import Answers, Facts
from dsi_core.data import columns, near_duplicates
from dsi_core.data.files import called
from dsi_core.data.pairs import dataset, described, load_pairs, sides
from dsi_core.method import accusation, similarity
from dsi_core.runtime import progress
from dsi_core.runtime.disk import sha256_of
from dsi_core.runtime.environment import quiet
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.schema import Data, Rule
from dsi_core.settings.words import has_iid, iid_of, rewordings_of

OCCUPIED = (
    "{folder} holds a preparation with other data or settings, or of an earlier version; "
    "choose another folder with --out"
)


@dataclass(frozen=True)
class Draft:
    """A preparation before any work: what was read, checked and decided.

    Parameters
    ----------
    folder
        Where it will lie.
    settings
        The profile in which D is the dataset; its suspects are the known models.
    pairs
        D.
    answers
        Of each control that is a file of answers, by name.
    facts
        What the folder will say of it.
    unmeasured
        Rows of which it is not known yet whether they are too long, a line each.
    fetch
        Whether models may be fetched for what is told beforehand.
    """

    folder: Path
    settings: Profile
    pairs: pd.DataFrame
    answers: Mapping[str, pd.DataFrame]
    facts: Facts
    unmeasured: tuple[str, ...]
    fetch: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read and left out, and what else there is to know before work, a line each."""
        parts, told = self.facts.split, _notes(self.settings, self.facts.name, self.fetch)
        if parts is not None:
            told.insert(0, f"{split.in_words(parts, self.settings.seed)} {split.OTHERWISE}")
        return (*told, *self.unmeasured)


def draft(
    given: str,
    profile: str = "small",
    *,
    iid: str | None = None,
    other_words: str | None = None,
    control_answers: Sequence[str] = (),
    half: bool = True,
    out: str | Path | None = None,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    rows: int | None = None,
    name: str | None = None,
    reading: Mapping[str, Any] | None = None,
    replace: bool = False,
    fetch: bool = True,
    **overrides: Any,
) -> Draft:
    """Read and check a dataset, and decide how it is prepared; no model is asked or tuned.

    Parameters
    ----------
    given
        D, as `columns.source` reads it.
    profile
        Whose references, recipes and controls.
    iid
        More pairs of the same kind, known to no party, to tune the hardest controls on.
    other_words
        D's facts in other words: a control for each reference is tuned on it.
    control_answers
        Files of answers (`answers_file`) by innocents: each is a control, called as its file.
    half
        If there is no data like D, and D is large enough, accuse a random part of it and tune the
        hardest controls on another.
    out
        The folder; None = audits/<its name>/prepared in the working directory.
    prompt, output
        The columns, of all alike.
    rows
        Accuse a random sample of this many pairs of `given`.
    name
        What D is called; None = as its file, or as the profile calls it.
    reading
        More settings of how D, and what is given beside it, are read, as `columns.source` takes
        them.
    replace
        Whether another preparation in the folder may be replaced.
    fetch
        Whether models may be fetched and unpacked to count the tokens of rows that may be too long,
        and data of the hub read that controls train on.
    overrides
        seed, draws, delta_t, system ..., as in `load_profile`.

    Raises
    ------
    ValueError
        For rows, draws or a seed that are too small, a name that the profile gives to another
        dataset, another rule than the text's, other words that nearly repeat D, rows that are too
        long (`lengths`), controls that are one model under several names, a file of answers that
        is none or another control's, and (unless `replace`) a folder that holds another
        preparation.
    """
    for option, value, least in (
        ("--rows", rows, 1),
        ("--responses", overrides.get("draws"), 1),
        ("--seed", overrides.get("seed"), 0),
    ):  # the profile that they go into would be blamed
        if value is not None and value < least:
            raise ValueError(f"{option} is {value}; needs at least {least}")
    progress.say("reading the data")
    base = load_profile(profile, **overrides)
    refuse_rule(base)
    how = dict(reading or {})
    accused = columns.source(given, base, prompt=prompt, output=output, rows=rows, **how)
    like, reworded = (
        columns.source(source, base, prompt=prompt, output=output, **columns.fitting(source, how))
        if source
        else None
        for source in (iid, other_words)
    )
    name = _name(base, given, name)
    folder = AUDITS / folder_name(name) / INSIDE if out is None else Path(out)
    parts = None
    if half and like is None and not has_iid(base.data, name):
        parts = split.at_random(base, name, accused)
    if parts is not None:
        accused, like = parts.accused, parts.like
    # of its own dataset a profile has known members
    members = [s for s in base.suspects if s.member and given in base.victims]
    settings = accusation.profile_of(base, name, accused, like, members)
    settings = _with_other_words(settings, name, reworded)
    innocents.refuse_twins(settings, f"profile {base.name!r}")
    quiet()
    settings, unmeasured = _less_long(settings, name, fetch)
    pairs = load_pairs(dataset(settings, name))
    _refuse_copies(settings, name, pairs)
    own = {n: ROOT / path for n, path in base.control_answers.get(name, {}).items()}
    taken = {s.name for s in settings.suspects} | {innocents.RETRIEVAL} | set(own)
    files = own | control_files.by_name(control_answers, taken)
    called = "rows" if rows is None and parts is None else "rows drawn"
    answers = {
        control: answers_file.without_thoughts(answers_file.read(path, pairs, called))
        for control, path in files.items()
    }
    control_files.refuse_copies(
        (
            f"profile {base.name!r}, control {control!r}"
            if control in own
            else f"--control-answers {files[control]}",
            answers_file.said(table),
        )
        for control, table in answers.items()
    )
    hashes = {control: sha256_of(path) for control, path in files.items()}
    key = prepared_json.key(settings, pairs["sample_id"].tolist(), hashes, folder)
    if not replace:
        _refuse_other(folder, key)
    innocent = [
        s
        for s in settings.suspects
        if s.member or innocents.is_innocent(settings, s, pairs, fetch=fetch)
    ]
    facts = Facts(
        name=name,
        data=given,
        iid=iid,
        other_words=other_words,
        split=None if parts is None else split.said(settings, name, parts, pairs),
        control_answers={
            control: Answers(
                sha256=hashes[control], samples=0, others=answers_file.described(table)
            )
            for control, table in answers.items()
        },
        dropped=pairs.attrs["dropped"],
        key=key,
        left_out=sorted({c.name for c in base.controls} - {s.name for s in innocent}),
    )
    settings = settings.changed(suspects=innocent)
    return Draft(folder, settings, pairs, answers, facts, tuple(unmeasured), fetch)


def refuse_rule(profile: Profile) -> None:
    """Refuse a profile that counts by another rule than an audit does.

    Raises
    ------
    ValueError
        Names the rule, and the one that is allowed.
    """
    if profile.decision.rule != Rule.TEXT:
        raise ValueError(
            f"profile {profile.name!r}: decision.rule is {str(profile.decision.rule)!r}; "
            f"an audit counts by the paper's words, rule: {Rule.TEXT}"
        )


def _name(base: Profile, given: str, name: str | None) -> str:
    """What the prepared dataset is called: as asked, or as its file or the profile calls it."""
    if given in base.data:
        if name not in (None, given):
            raise ValueError(f"--name {name}: {given!r} is what profile {base.name!r} calls it")
        return given
    if name is not None and not name.strip():
        raise ValueError("--name is empty; without it the dataset is called as its file")
    name = name or called(given)
    if name in base.data:
        raise ValueError(
            f"{given}: profile {base.name!r} has another dataset {name!r}; --name gives another"
        )
    return name


def _given(settings: Profile, name: str) -> list[str]:
    """D, and the datasets that are given or drawn beside it."""
    like = [iid_of(settings.data, name)] if has_iid(settings.data, name) else []
    return [name, *like, *rewordings_of(settings.data, name)]


def _less_long(settings: Profile, name: str, fetch: bool) -> tuple[Profile, list[str]]:
    """The settings without the rows that are too long, and what could not be measured, in words."""
    lines = []
    for part in _given(settings, name):
        checked = lengths.check(settings, part, fetch=fetch)
        if checked.leave_out:
            source = settings.data[part].changed(leave_out=list(checked.leave_out))
            settings = settings.changed(data={**settings.data, part: source})
        lines += [
            f"{part}: {rows:,} rows may be too long for {base}, which is not here yet: their "
            "tokens are counted before the work begins"
            for base, rows in checked.unmeasured.items()
        ]
    return settings, lines


def _notes(settings: Profile, name: str, fetch: bool) -> list[str]:
    lines = []
    for part in _given(settings, name):
        source = settings.data[part]
        read = described(load_pairs(dataset(settings, part)))
        lines += [f"{part}: {line}" for line in (*read[:1], sides(source), *read[1:])]
    pairs = load_pairs(dataset(settings, name))
    lines += [f"{name}: {line}" for line in usable.notes(pairs, settings, name)]
    if fetch:
        cut = lengths.compared_in_part(pairs, similarity.backbone(settings))
        if cut:
            lines.append(
                f"{name}: {cut:,} outputs are longer than the similarity can read; their "
                "beginnings are compared"
            )
    return lines


def _with_other_words(settings: Profile, name: str, given: Data | None) -> Profile:
    """The settings with controls tuned on what rewords D: `given`, or else what the profile has."""
    data = settings.data
    if given is not None:
        data = {n: d for n, d in data.items() if d.other_words_of != name}
        data[f"{name}_in_other_words"] = given.changed(other_words_of=name)
    settings = settings.changed(data=data)
    controls = [
        control
        for other in rewordings_of(settings.data, name)
        for control in innocents.in_other_words(settings.references, other)
    ]
    return settings.changed(suspects=[*settings.suspects, *controls])


def _refuse_copies(settings: Profile, name: str, pairs: pd.DataFrame) -> None:
    """Other words that nearly repeat D teach D: a model that trains on them is not innocent."""
    for other in rewordings_of(settings.data, name):
        table = load_pairs(dataset(settings, other))
        near = table[near_duplicates.find(table, pairs)]
        if len(near):
            raise ValueError(
                f"{table.attrs['where']}: {len(near)} of its {len(table)} pairs nearly repeat a "
                f"pair of {name}, the first: {near['prompt'].iloc[0][:60]!r}; a model tuned on "
                "them is no innocent: --other-words needs other words"
            )


def _refuse_other(folder: Path, key: str) -> None:
    if prepared_json.lies_in(folder) and prepared_json.read(folder)[0].key != key:
        raise ValueError(OCCUPIED.format(folder=folder))
