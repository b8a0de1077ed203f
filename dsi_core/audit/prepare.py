"""The offline phase for any dataset (§5.2-5.3): references, tainted samples, known models and checks, in one folder that an audit needs."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from dsi_core.audit import prepared, suspect
from dsi_core.audit.prepared import ANSWERS, PARTS, Prepared
from dsi_core.data import columns, near_duplicates, text_classifier
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import participants, study
from dsi_core.method.accusation import profile_of
from dsi_core.method.study import Study
from dsi_core.models import tuning
from dsi_core.runtime import jobs, store
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import words
from dsi_core.settings import profile as params
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Similarity, Suspect

def run(
    given: str,
    profile: str = "small",
    *,
    withheld: str | None = None,
    iid: str | None = None,
    out: Path | None = None,
    prompt: tuple[str, ...] = (),
    output: str | None = None,
    rows: int | None = None,
    replace: bool = False,
    **overrides,
) -> Prepared:
    """Do, or finish, the offline phase for the dataset `given` and write its folder (default: audits/<its name>).

    withheld: the private twin, from the same source by the coin that left `given` published; the references train on both.
    iid: more pairs of the same kind, known to no party, to tune the hardest controls on. All three as in `sources.source`, with the
    same columns. overrides: seed, draws, delta_t, system ..., as in `params.load_profile`. Raises `ValueError` for a pair in both
    parts, and for a folder that holds another preparation (unless `replace`).
    """
    base = params.load_profile(profile, **overrides)
    how = {"prompt": prompt, "output": output}
    published, twin, more = (
        columns.source(g, base, **how, rows=rows if g is given else None) if g else None
        for g in (given, withheld, iid)
    )
    name = _name(base, given, withheld)
    folder = Path(out) if out else Path("audits") / name
    folder.mkdir(parents=True, exist_ok=True)
    members = [
        s for s in base.suspects if s.member and given in base.victims
    ]  # of its own dataset a profile has known members
    parts = _parts(base, published, twin) if twin else None
    if twin:
        base = base.model_copy(update={"data": {**base.data, words.PUBLISHED: published}})
        members = [
            s.model_copy(
                update={"data": [words.PUBLISHED if d == words.VICTIM else d for d in s.data]}
            )
            for s in members
        ]
        published = _written(folder / "pairs.jsonl", parts)
    settings = profile_of(base, name, published, more, members)
    jobs.quiet()
    pairs = load_pairs(dataset(settings, name))
    dropped = {**(parts.attrs if twin else {}), **pairs.attrs["dropped"]}
    pairs = pairs.assign(
        dataset=name,
        part=pairs["sample_id"].map(parts.set_index("sample_id")["part"]) if twin else PARTS[0],
    )
    key = _key(settings, pairs)
    if not replace:
        _refuse_other(folder, key)
    innocent = [s for s in settings.suspects if s.member or _innocent(settings, s, pairs)]
    left_out = sorted({c.name for c in base.controls} - {s.name for s in innocent})
    facts = {
        "name": name,
        "data": given,
        "withheld": withheld,
        "iid": iid,
        "dropped": dropped,
        "key": key,
        "left_out": left_out,
    }
    return _offline(folder, settings.model_copy(update={"suspects": innocent}), pairs, facts)


def _name(base: Profile, given: str, withheld: str | None) -> str:
    """What the prepared dataset is called: as its file or its dataset in the profile."""
    name = given if given in base.data else Path(given.removeprefix("hub:")).stem
    if given not in base.data and name in base.data:
        raise ValueError(
            f"{given}: profile {base.name!r} has another dataset {name!r}; rename the file"
        )
    return f"{name}_and_twin" if withheld else name


def _offline(folder: Path, settings: Profile, pairs: pd.DataFrame, facts: dict) -> Prepared:
    """References, tainted samples, known models and the blind check, written to the folder."""
    here = Study(settings, pairs.drop(columns="part"))
    scores = study.reference_scores(here)
    samples = pairs.merge(
        study.find_tainted(here, scores), on=["dataset", "sample_id"], validate="1:1"
    )
    known = _known(here, scores, samples)
    facts["blind"] = _blind(settings, samples)
    settings = settings.model_copy(update={"similarity": _with_baseline(here)})
    return prepared.write(
        Prepared(folder, facts, Study(settings, here.pairs), samples, scores, known)
    )


def of_profile(
    profile: str, figures_dir: str = "figures", *, again: bool = False, **overrides
) -> Prepared:
    """The preparation of a profile's own (first) victim dataset, kept with its figures: read, or made when it is not there yet (or `again`)."""
    folder = ROOT / figures_dir / profile / "prepared"
    if (folder / "prepared.json").exists() and not again:
        return prepared.read(folder)
    return run(
        params.load_profile(profile).victims[0], profile, out=folder, replace=True, **overrides
    )


def _parts(base: Profile, published: Data, withheld: Data) -> pd.DataFrame:
    """Both parts in one table (columns of `load_pairs` and part), in an order that does not show which is which."""
    both = base.model_copy(update={"data": {**base.data, PARTS[0]: published, PARTS[1]: withheld}})
    one, other = (load_pairs(dataset(both, p)).assign(part=p) for p in PARTS)
    shared = one.merge(other, on="sample_id")
    if len(shared):
        raise ValueError(
            f"{len(shared)} pair(s) are both published and withheld, the first: {shared['prompt_x'].iloc[0][:60]!r}"
        )
    table = pd.concat([one, other]).sort_values("sample_id", ignore_index=True)
    table.attrs = {
        "near-duplicates across the parts (kept)": int(near_duplicates.find(other, one, 0.8).sum())
    }
    return table


def _written(path: Path, pairs: pd.DataFrame) -> Data:
    """The pairs as a file of their own; part is not in it."""
    store.write_text(
        path,
        pairs[["prompt", "output", "category"]].to_json(
            orient="records", lines=True, force_ascii=False
        ),
    )
    return Data(path=str(path.resolve()), prompt=["prompt"], output="output", category="category")


def _innocent(profile: Profile, control, pairs: pd.DataFrame) -> bool:
    """Whether a control trains on none of the pairs of D."""
    return (
        not control.data
        or not tuning.training_pairs(tuning.training(profile, profile.victims[0], control))["sample_id"]
        .isin(pairs["sample_id"])
        .any()
    )


def _known(here: Study, scores: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Answers of the known models to the tainted samples, with their gaps and statuses."""
    chosen = samples[samples["tainted"]]
    if not len(here.profile.suspects) or chosen.empty:
        return pd.DataFrame(columns=[*ANSWERS, "reference", "gap"])
    told = (
        study.answers(participants.suspects(here.profile), chosen, here.sampling)
        .rename(columns={"model_id": "suspect"})
        .drop(columns="role")
    )
    told = told.merge(study.suspects(here), on=["dataset", "suspect"]).merge(
        chosen[["sample_id", "output"]], on="sample_id"
    )
    told["status"] = [
        suspect.status(r.response, r.output, here.profile.decision.mu) for r in told.itertuples()
    ]
    return study.gaps_to(here, scores, told.drop(columns="output"))


def _with_baseline(here: Study) -> Similarity:
    """The similarity settings with the baseline that the scores were scaled with: an audit need not find it again."""
    settings = here.profile.similarity
    return (
        settings.model_copy(
            update={"baseline": study.baseline(here, here.profile.victims[0]).f1}
        )
        if settings.rescale
        else settings
    )


def _blind(profile: Profile, samples: pd.DataFrame) -> list[dict]:
    """The blind check of the published part against the twin and against each control's data."""
    one, other = (samples[samples["part"] == p] for p in PARTS)
    rows = (
        [{"against": "the withheld twin", **_checked(one, other, profile)}]
        if len(other)
        else []
    )
    names = dict.fromkeys(
        words.dataset_of(profile, profile.victims[0], d)
        for s in profile.suspects
        if not s.member
        for d in s.data
    )
    return rows + [
        {"against": n, **_checked(one, load_pairs(dataset(profile, n)), profile)} for n in names
    ]


def _checked(one: pd.DataFrame, other: pd.DataFrame, profile: Profile) -> dict:
    return asdict(text_classifier.blind_check(one, other, profile.seed))


def _key(profile: Profile, pairs: pd.DataFrame) -> str:
    """Names what a preparation is of: settings, and the pairs with their parts."""
    return store.key(
        {
            "settings": prepared.settings(profile),
            "pairs": pairs[["sample_id", "part"]].to_numpy().tolist(),
        }
    )


def _refuse_other(folder: Path, key: str) -> None:
    if (folder / "prepared.json").exists() and prepared.facts(folder)["key"] != key:
        raise ValueError(
            f"{folder} holds a preparation with other data or settings; choose another folder with --out"
        )
