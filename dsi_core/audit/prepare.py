"""The offline phase for any dataset (§5.2-5.3), which leaves one folder that an audit needs.

References, tainted samples, known models and the blind check.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dsi_core.audit import prepared, prepared_json, suspect
from dsi_core.audit.plan import AUDITS
from dsi_core.audit.prepared import INSIDE, KNOWN, Prepared
from dsi_core.audit.prepared_json import Against, Compared, Facts, Part
from dsi_core.data import columns, near_duplicates, text_classifier
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import accusation, participants, study
from dsi_core.method.study import Study
from dsi_core.models import tuning
from dsi_core.runtime import store
from dsi_core.runtime.environment import quiet
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile, load_profile
from dsi_core.settings.schema import Data, Rule, Similarity, Suspect
from dsi_core.settings.words import PUBLISHED, VICTIM, dataset_of

PAIRS = "pairs.jsonl"  # both parts of D, where there is a private twin
OCCUPIED = (
    "{folder} holds a preparation with other data or settings, or of an earlier version; "
    "choose another folder with --out"
)
NEAR_DUPLICATE = 0.8  # Jaccard similarity of two pairs that are counted across the parts
TWIN = "the withheld twin"


@dataclass(frozen=True)
class Parts:
    """The two parts of D in one table, in an order that does not show which is which.

    pairs: columns of `load_pairs` and part; near_duplicates: withheld pairs that nearly repeat a
    published one. They stay.
    """

    pairs: pd.DataFrame
    near_duplicates: int


def run(
    given: str,
    profile: str = "small",
    *,
    withheld: str | None = None,
    iid: str | None = None,
    out: str | Path | None = None,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    rows: int | None = None,
    replace: bool = False,
    **overrides,
) -> Prepared:
    """Do, or finish, the offline phase for a dataset.

    Parameters
    ----------
    given
        The published data, as `columns.source` reads it.
    profile
        Whose references, recipes and controls.
    withheld
        The private twin, from the same source by the coin that left `given` published; the
        references train on both.
    iid
        More pairs of the same kind, known to no party, to tune the hardest controls on.
    out
        The folder; None = audits/<its name>/prepared in the working directory.
    prompt, output
        The columns, of all three alike.
    rows
        A random sample of this many pairs of `given`.
    replace
        Whether another preparation in the folder may be replaced.
    overrides
        seed, draws, delta_t, system ..., as in `load_profile`.

    Raises
    ------
    ValueError
        For a pair in both parts, a name that the profile gives to another dataset, another rule
        than the text's, and (unless `replace`) a folder that holds another preparation.
    """
    base = load_profile(profile, **overrides)
    if base.decision.rule != Rule.TEXT:
        raise ValueError(
            f"profile {profile!r}: decision.rule is {str(base.decision.rule)!r}; "
            f"an audit counts by the paper's words, rule: {Rule.TEXT}"
        )
    published = columns.source(given, base, prompt=prompt, output=output, rows=rows)
    other, more = (
        columns.source(source, base, prompt=prompt, output=output) if source else None
        for source in (withheld, iid)
    )
    name = _name(base, given, withheld)
    folder = AUDITS / name / INSIDE if out is None else Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    # of its own dataset a profile has known members
    members = [s for s in base.suspects if s.member and given in base.victims]
    parts = None
    if other is not None:
        parts = both_parts(base, published, other)
        base = base.changed(data={**base.data, PUBLISHED: published})
        members = [_of_published(member) for member in members]
        published = _written(folder / PAIRS, parts.pairs, replace)
    settings = accusation.profile_of(base, name, published, more, members)
    quiet()
    pairs = load_pairs(dataset(settings, name))
    dropped = pairs.attrs["dropped"]
    if parts is None:
        pairs = pairs.assign(part=str(Part.PUBLISHED))
    else:
        dropped = {"near-duplicates across the parts (kept)": parts.near_duplicates, **dropped}
        pairs = pairs.assign(
            part=pairs["sample_id"].map(parts.pairs.set_index("sample_id")["part"])
        )
    pairs = pairs.assign(dataset=name)
    key = prepared_json.key(settings, pairs[["sample_id", "part"]].to_numpy().tolist(), folder)
    if not replace:
        _refuse_other(folder, key)
    innocent = [s for s in settings.suspects if s.member or is_innocent(settings, s, pairs)]
    facts = Facts(
        name=name,
        data=given,
        withheld=withheld,
        iid=iid,
        dropped=dropped,
        key=key,
        left_out=sorted({c.name for c in base.controls} - {s.name for s in innocent}),
    )
    return _offline(folder, settings.changed(suspects=innocent), pairs, facts)


def of_profile(
    profile: str, figures_dir: str = "figures", *, again: bool = False, **overrides
) -> Prepared:
    """Give the preparation of a profile's own (first) victim dataset, kept with its figures.

    Read, or made when it is not there yet, or when `again` is asked for.
    """
    folder = ROOT / figures_dir / profile / "prepared"
    if prepared_json.lies_in(folder) and not again:
        return prepared.read(folder)
    victim = load_profile(profile).victims[0]
    return run(victim, profile, out=folder, replace=True, **overrides)


def _name(base: Profile, given: str, withheld: str | None) -> str:
    """What the prepared dataset is called: as its file or its dataset in the profile."""
    name = given if given in base.data else Path(given.removeprefix("hub:")).stem
    if given not in base.data and name in base.data:
        raise ValueError(
            f"{given}: profile {base.name!r} has another dataset {name!r}; rename the file"
        )
    return f"{name}_and_twin" if withheld else name


def _of_published(member: Suspect) -> Suspect:
    """A known member, trained on the published part alone."""
    return member.changed(data=[PUBLISHED if d == VICTIM else d for d in member.data])


def _offline(folder: Path, settings: Profile, pairs: pd.DataFrame, facts: Facts) -> Prepared:
    """References, tainted samples, known models and the blind check, written to the folder."""
    run = Study(settings, pairs.drop(columns="part"))
    scores = study.reference_scores(run)
    tainted = study.find_tainted(run, scores)
    samples = pairs.merge(tainted, on=["dataset", "sample_id"], validate="1:1")
    known = _known(run, scores, samples)
    facts = facts.changed(blind=_blind(settings, samples))
    run = run.changed(similarity=_with_baseline(run))
    return prepared.write(Prepared(folder, facts, run, samples, scores, known))


def both_parts(base: Profile, published: Data, withheld: Data) -> Parts:
    """Join the published and the withheld part. Raises `ValueError` for a pair that is in both."""
    both = base.changed(data={**base.data, Part.PUBLISHED: published, Part.WITHHELD: withheld})
    one, other = (load_pairs(dataset(both, part)).assign(part=str(part)) for part in Part)
    shared = one.merge(other, on="sample_id")
    if len(shared):
        raise ValueError(
            f"{len(shared)} pair(s) are both published and withheld, "
            f"the first: {shared['prompt_x'].iloc[0][:60]!r}"
        )
    pairs = pd.concat([one, other]).sort_values("sample_id", ignore_index=True)
    near = near_duplicates.find(other, one, NEAR_DUPLICATE)
    return Parts(pairs, int(near.sum()))


def _written(path: Path, pairs: pd.DataFrame, replace: bool) -> Data:
    """The pairs as a file for their owner alone; part is not in it.

    Those of another twin are kept, unless they may be replaced.
    """
    table = pairs[["prompt", "output", "category"]]
    text = table.to_json(orient="records", lines=True, force_ascii=False)
    if path.exists() and path.read_text(encoding="utf-8") != text and not replace:
        raise ValueError(OCCUPIED.format(folder=path.parent))
    store.write_text(path, text, private=True)
    return Data(path=str(path.resolve()), prompt=["prompt"], output="output", category="category")


def is_innocent(profile: Profile, control: Suspect, pairs: pd.DataFrame) -> bool:
    """Tell whether a control trains on none of the pairs of D."""
    if not control.data:
        return True
    training = tuning.training(profile, profile.victims[0], control)
    trained_on = tuning.training_pairs(training)["sample_id"]
    return not trained_on.isin(pairs["sample_id"]).any()


def _known(run: Study, scores: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Responses of the known models to the tainted samples, with their gaps and statuses."""
    chosen = samples[samples["tainted"]]
    models = participants.suspects(run.profile)
    if not models or chosen.empty:
        return pd.DataFrame(columns=KNOWN)
    table = study.answers(models, chosen, run.sampling)
    table = table.rename(columns={"model_id": "suspect"}).drop(columns="role")
    table = table.merge(study.suspects(run), on=["dataset", "suspect"])
    table = table.merge(chosen[["sample_id", "output"]], on="sample_id")
    mu = run.profile.decision.mu
    table["status"] = [
        str(suspect.status(response, output, mu))
        for response, output in zip(table["response"], table["output"], strict=True)
    ]
    return study.gaps_to(run, scores, table.drop(columns="output"))


def _with_baseline(run: Study) -> Similarity:
    """The similarity settings with the baseline that the scores were scaled with.

    So an audit need not find it again.
    """
    settings = run.profile.similarity
    if not settings.rescale:
        return settings
    return settings.changed(baseline=study.baseline(run, run.profile.victims[0]).f1)


def _blind(profile: Profile, samples: pd.DataFrame) -> list[Compared]:
    """The blind check of the published part against the twin and against each control's data."""
    published, withheld = (samples[samples["part"] == str(part)] for part in Part)
    others = [] if withheld.empty else [(Against.TWIN, TWIN, withheld)]
    victim = profile.victims[0]
    innocent = [s for s in profile.suspects if not s.member]
    names = dict.fromkeys(dataset_of(profile, victim, d) for s in innocent for d in s.data)
    others += [(Against.CONTROL_DATA, n, load_pairs(dataset(profile, n))) for n in names]
    return [
        Compared.of(text_classifier.blind_check(published, pairs, profile.seed), against, name)
        for against, name, pairs in others
    ]


def _refuse_other(folder: Path, key: str) -> None:
    if prepared_json.lies_in(folder) and prepared_json.read(folder)[0].key != key:
        raise ValueError(OCCUPIED.format(folder=folder))
