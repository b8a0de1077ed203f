"""The offline phase for any dataset (§5.2-5.3), which leaves one folder that an audit needs.

References, tainted samples, known models, innocents that are hard to tell, and the blind check.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dsi_core.audit import answers_file, innocents, lengths, prepared, prepared_json, suspect
from dsi_core.audit.plan import AUDITS
from dsi_core.audit.prepared import INSIDE, KNOWN, Prepared
from dsi_core.audit.prepared_json import Answers, Compared, Facts, Split
from dsi_core.data import columns, near_duplicates, text_classifier
from dsi_core.data.files import called
from dsi_core.data.pairs import Dataset, count, dataset, described, load_pairs
from dsi_core.method import accusation, participants, similarity, study
from dsi_core.method.participants import Participant
from dsi_core.method.study import Study
from dsi_core.models import tuning
from dsi_core.models.sampling import Sampling
from dsi_core.runtime import progress
from dsi_core.runtime.environment import quiet
from dsi_core.runtime.paths import ROOT
from dsi_core.runtime.released import sha256_of
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.schema import Data, Rule, Similarity, Suspect
from dsi_core.settings.words import dataset_of, iid_of

OCCUPIED = (
    "{folder} holds a preparation with other data or settings, or of an earlier version; "
    "choose another folder with --out"
)
REFERENCES, KNOWN_MODELS, CHECKING = PHASES = (
    "tuning and asking references",
    "tuning and asking known models",
    "comparing the controls' data",
)
# Pairs of which enough are tainted to audit by, and that tune a control as D tunes a member
SMALLEST_PART = 24


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
    notes
        What was read and left out, and what else there is to know before work, a line each.
    """

    folder: Path
    settings: Profile
    pairs: pd.DataFrame
    answers: Mapping[str, pd.DataFrame]
    facts: Facts
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """D split at random: the part that is accused, and one like it for the hardest controls."""

    accused: Data
    like: Data
    pairs: int  # of both and of what is left over


def run(given: str, profile: str = "small", **how: Any) -> Prepared:
    """Do, or finish, the offline phase for a dataset: `make` what `draft` decides."""
    return make(draft(given, profile, **how))


@progress.phases(dict.fromkeys(PHASES))
def make(draft: Draft) -> Prepared:
    """Do, or finish, what a draft decided; its folder holds the result."""
    draft.folder.mkdir(parents=True, exist_ok=True)
    pairs = draft.pairs.assign(dataset=draft.facts.name)
    return _offline(draft.folder, draft.settings, pairs, draft.answers, draft.facts)


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
        Where there is nothing like D, and D is large enough, accuse a random part of it and tune
        the hardest controls on another.
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
        For a name that the profile gives to another dataset, another rule than the text's, other
        words that nearly repeat D, rows that are too long (`lengths`), a file of answers that is
        none, and (unless `replace`) a folder that holds another preparation.
    """
    progress.say("reading the data")
    base = load_profile(profile, **overrides)
    if base.decision.rule != Rule.TEXT:
        raise ValueError(
            f"profile {profile!r}: decision.rule is {str(base.decision.rule)!r}; "
            f"an audit counts by the paper's words, rule: {Rule.TEXT}"
        )
    how = dict(reading or {})
    accused = columns.source(given, base, prompt=prompt, output=output, rows=rows, **how)
    like, reworded = (
        columns.source(source, base, prompt=prompt, output=output, **columns.fitting(source, how))
        if source
        else None
        for source in (iid, other_words)
    )
    name = _name(base, given, name)
    folder = AUDITS / name / INSIDE if out is None else Path(out)
    parts = None
    if half and like is None and not has_more(base, name):
        parts = split_at_random(base, name, accused)
    if parts is not None:
        accused, like = parts.accused, parts.like
    # of its own dataset a profile has known members
    members = [s for s in base.suspects if s.member and given in base.victims]
    settings = accusation.profile_of(base, name, accused, like, members)
    settings = _with_other_words(settings, name, reworded)
    quiet()
    settings, unmeasured = _less_long(settings, name, fetch)
    pairs = load_pairs(dataset(settings, name))
    _refuse_copies(settings, name, pairs)
    files = _files(base, settings, name, control_answers)
    answers = {
        control: answers_file.without_thoughts(answers_file.read(path, pairs))
        for control, path in files.items()
    }
    hashes = {control: sha256_of(path) for control, path in files.items()}
    key = prepared_json.key(settings, pairs["sample_id"].tolist(), hashes, folder)
    if not replace:
        _refuse_other(folder, key)
    innocent = [
        s for s in settings.suspects if s.member or is_innocent(settings, s, pairs, fetch=fetch)
    ]
    facts = Facts(
        name=name,
        data=given,
        iid=iid,
        other_words=other_words,
        split=None if parts is None else _said(settings, name, parts, pairs),
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
    notes = (*_notes(settings, name, fetch), *unmeasured)
    return Draft(folder, settings, pairs, answers, facts, notes)


def of_profile(
    profile: str, figures_dir: str = "figures", *, again: bool = False, **overrides
) -> Prepared:
    """Give the preparation of a profile's own (first) victim dataset, kept with its figures.

    Read, or made when it is not there yet, or when `again` is asked for.
    """
    folder = ROOT / str(figures_dir) / profile / "prepared"
    if prepared_json.lies_in(folder) and not again:
        return prepared.read(folder)
    victim = load_profile(profile).victims[0]
    return run(victim, profile, out=folder, replace=True, **overrides)


def _name(base: Profile, given: str, name: str | None) -> str:
    """What the prepared dataset is called: as asked, or as its file or the profile calls it."""
    if given in base.data:
        if name not in (None, given):
            raise ValueError(f"--name {name}: {given!r} is what profile {base.name!r} calls it")
        return given
    name = name or called(given)
    if name in base.data:
        raise ValueError(
            f"{given}: profile {base.name!r} has another dataset {name!r}; --name gives another"
        )
    return name


def _given(settings: Profile, name: str) -> list[str]:
    """D, and the datasets that are given or drawn beside it."""
    like = [iid_of(settings.data, name)] if has_more(settings, name) else []
    return [name, *like, *_reworded(settings, name)]


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
        said = f"prompt = {' + '.join(source.prompt)}, output = {source.output}"
        if source.conversations:
            said = f"prompt and output from {source.conversations}"
        read = described(load_pairs(dataset(settings, part)))
        lines += [f"{part}: {line}" for line in (*read[:1], said, *read[1:])]
    if fetch:
        pairs = load_pairs(dataset(settings, name))
        cut = lengths.compared_in_part(pairs, similarity.backbone(settings))
        if cut:
            lines.append(
                f"{name}: {cut:,} outputs are longer than the similarity can read; their "
                "beginnings are compared"
            )
    return lines


def has_more(profile: Profile, name: str) -> bool:
    """Tell whether a profile has data like that of a dataset, apart from it."""
    return any(data.apart_from == name for data in profile.data.values())


def split_at_random(profile: Profile, name: str, source: Data) -> Parts | None:
    """Split D by the profile's seed.

    Half of it is accused, or so many pairs as are asked for (`rows`); as many of the rest, less
    near-duplicates, are like it.

    Returns
    -------
    Parts or None
        None where D has under 4 x `SMALLEST_PART` pairs, or under `SMALLEST_PART` beside those
        asked for; and where the source says itself how it is drawn.
    """
    if source.shuffle_seed is not None or source.apart_from is not None:
        return None
    pairs = count(Dataset(name, source, profile.seed))
    accused = source.rows or pairs // 2
    enough = pairs - accused >= SMALLEST_PART if source.rows else pairs >= 4 * SMALLEST_PART
    if not enough:
        return None
    like = min(accused, pairs - accused)
    return Parts(source.changed(rows=accused), source.changed(rows=like), pairs)


def _said(settings: Profile, name: str, parts: Parts, accused: pd.DataFrame) -> Split:
    like = load_pairs(dataset(settings, iid_of(settings.data, name)))
    return Split(pairs=parts.pairs, accused=len(accused), like=len(like))


def _with_other_words(settings: Profile, name: str, given: Data | None) -> Profile:
    """The settings with controls tuned on what rewords D: `given`, or else what the profile has."""
    data = settings.data
    if given is not None:
        data = {n: d for n, d in data.items() if d.other_words_of != name}
        data[f"{name}_in_other_words"] = given.changed(other_words_of=name)
    settings = settings.changed(data=data)
    controls = [
        control
        for other in _reworded(settings, name)
        for control in innocents.in_other_words(settings.references, other)
    ]
    return settings.changed(suspects=[*settings.suspects, *controls])


def _reworded(settings: Profile, name: str) -> list[str]:
    """The datasets that say the same as D in other words."""
    return [other for other, data in settings.data.items() if data.other_words_of == name]


def _refuse_copies(settings: Profile, name: str, pairs: pd.DataFrame) -> None:
    """Other words that nearly repeat D teach D: who trains on them is no innocent."""
    for other in _reworded(settings, name):
        table = load_pairs(dataset(settings, other))
        near = table[near_duplicates.find(table, pairs, innocents.NEAR_DUPLICATE)]
        if len(near):
            raise ValueError(
                f"{table.attrs['where']}: {len(near)} of its {len(table)} pairs nearly repeat a "
                f"pair of {name}, the first: {near['prompt'].iloc[0][:60]!r}; a model tuned on "
                "them is no innocent: --other-words needs other words"
            )


def _files(base: Profile, settings: Profile, name: str, given: Sequence[str]) -> dict[str, Path]:
    """The files of answers by the names of their controls: the profile's own, and those given."""
    files = {n: ROOT / path for n, path in base.control_answers.get(name, {}).items()}
    taken = {s.name for s in settings.suspects} | {innocents.RETRIEVAL}
    for path in map(Path, given):
        if path.stem in taken | set(files):
            raise ValueError(
                f"--control-answers {path}: another control is called {path.stem!r}; "
                "rename the file"
            )
        files[path.stem] = path
    return files


def _offline(
    folder: Path,
    settings: Profile,
    pairs: pd.DataFrame,
    answers: Mapping[str, pd.DataFrame],
    facts: Facts,
) -> Prepared:
    """References, tainted samples, known models and the blind check, written to the folder."""
    run = Study(settings, pairs)
    progress.begin(REFERENCES, _work(run))
    scores = study.reference_scores(run)
    tainted = study.find_tainted(run, scores)
    samples = pairs.merge(tainted, on=["dataset", "sample_id"], validate="1:1")
    progress.begin(KNOWN_MODELS)
    known = _known(run, scores, samples, answers)
    progress.begin(CHECKING)
    answered = known.groupby("suspect")["sample_id"].nunique()
    files = {
        name: said.changed(samples=int(answered.get(name, 0)))
        for name, said in facts.control_answers.items()
    }
    facts = facts.changed(control_answers=files, blind=_blind(settings, samples))
    run = run.changed(similarity=_with_baseline(run))
    return prepared.write(Prepared(folder, facts, run, samples, scores, known))


def _work(run: Study) -> dict[str, float | None]:
    """How much work each phase is, of what the store lacks: passes over pairs, and answers."""
    profile = run.profile
    asked = [
        (REFERENCES, participants.references(profile), run.sampling.for_references()),
        (KNOWN_MODELS, participants.suspects(profile), run.sampling),
    ]
    work: dict[str, float | None] = {}
    for phase, models, sampling in asked:
        missing = [q for q in study.queries(models, run.pairs, sampling) if q.missing]
        work[phase] = sum(q.job().cost for q in missing)
    return {**work, CHECKING: 1.0}


def is_innocent(
    profile: Profile, control: Suspect, pairs: pd.DataFrame, *, fetch: bool = True
) -> bool:
    """Tell whether a control trains on none of the pairs of D.

    fetch: whether data of the hub is read for it; else what trains on it is taken to be innocent.
    """
    if not control.data:
        return True
    training = tuning.training(profile, profile.victims[0], control)
    if not fetch and any(d.source.hub for d in training.datasets):
        return True
    trained_on = tuning.training_pairs(training)["sample_id"]
    return not trained_on.isin(pairs["sample_id"]).any()


def _known(
    run: Study, scores: pd.DataFrame, samples: pd.DataFrame, answers: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Responses of the known models to the tainted samples, with their gaps and statuses."""
    chosen = samples[samples["tainted"]]
    if chosen.empty:
        return pd.DataFrame(columns=KNOWN)
    models = participants.suspects(run.profile)
    in_files = [
        _of_texts(table, name, innocents.ANSWERS, innocents.OF_A_FILE)
        for name, table in answers.items()
    ]
    retrieved = innocents.retrieved(chosen, _neighbours(run), run.sampling.draws)
    retrieval = _of_texts(retrieved, innocents.RETRIEVAL, innocents.RETRIEVAL, innocents.NO_MODEL)
    tables = [
        _of_models(models, chosen, run.sampling),
        _of_models(innocents.concise(models), chosen, innocents.concisely(run.sampling)),
        *in_files,
        retrieval,
    ]
    table = pd.concat([t for t in tables if len(t)], ignore_index=True)
    table = table.assign(dataset=run.profile.victims[0])
    table = table.merge(chosen[["sample_id", "output"]], on="sample_id")
    mu = run.profile.decision.mu
    table["status"] = [
        str(suspect.status(response, output, mu))
        for response, output in zip(table["response"], table["output"], strict=True)
    ]
    return study.gaps_to(run, scores, table.drop(columns="output"))


def _of_models(models: list[Participant], chosen: pd.DataFrame, sampling: Sampling) -> pd.DataFrame:
    """Known models' answers: suspect, sample_id, draw, response, member, group, base."""
    if not models:
        return pd.DataFrame()
    said = study.answers(models, chosen, sampling).rename(columns={"model_id": "suspect"})
    known = [(m.model_id, m.member, m.group, m.trained.base) for m in models]
    who = pd.DataFrame(known, columns=["suspect", "member", "group", "base"])
    return said.drop(columns=["role", "dataset"]).merge(who, on="suspect", validate="m:1")


def _of_texts(said: pd.DataFrame, name: str, group: str, base: str) -> pd.DataFrame:
    """The same of a control that is no model here."""
    return said.assign(suspect=name, member=False, group=group, base=base)


def _neighbours(run: Study) -> pd.DataFrame:
    """The pairs that a retrieval-like innocent looks up: those like D, or else D's others."""
    profile = run.profile
    victim = profile.victims[0]
    if not has_more(profile, victim):
        return run.pairs
    return load_pairs(dataset(profile, iid_of(profile.data, victim)))


def _with_baseline(run: Study) -> Similarity:
    """The similarity settings with the baseline that the scores were scaled with.

    So an audit need not find it again.
    """
    settings = run.profile.similarity
    if not settings.rescale:
        return settings
    return settings.changed(baseline=study.baseline(run, run.profile.victims[0]).f1)


def _blind(profile: Profile, samples: pd.DataFrame) -> list[Compared]:
    """The blind check of D against what each control was tuned on."""
    victim = profile.victims[0]
    innocent = [s for s in profile.suspects if not s.member]
    names = dict.fromkeys(dataset_of(profile.data, victim, d) for s in innocent for d in s.data)
    return [
        Compared.of(
            text_classifier.blind_check(samples, load_pairs(dataset(profile, n)), profile.seed), n
        )
        for n in names
    ]


def _refuse_other(folder: Path, key: str) -> None:
    if prepared_json.lies_in(folder) and prepared_json.read(folder)[0].key != key:
        raise ValueError(OCCUPIED.format(folder=folder))
