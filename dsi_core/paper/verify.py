"""Do the released answers hold? Models that were tuned and asked here are compared with them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dsi_core.method import asking, participants, similarity, study
from dsi_core.method.asking import Query
from dsi_core.method.participants import Participant
from dsi_core.method.study import Study
from dsi_core.method.verdict import SUSPECT
from dsi_core.models import tuning
from dsi_core.paper import verified
from dsi_core.paper.verified import Verified
from dsi_core.runtime import released, store
from dsi_core.runtime.devices import CPU
from dsi_core.runtime.environment import variables
from dsi_core.settings.profile import load_profile

ANSWER = ["model_id", "sample_id", "draw"]
SHARED = ["wheels", "unpacked", "models"]  # of the store: base models and data are the same
PLACE = "verify"  # below the store, so that nothing made here is taken for a result of the study


@dataclass(frozen=True)
class View:
    """A study of one dataset with given answers.

    references, suspects: as `study.reference_answers` and `study.suspect_answers` return them;
    scores: of the references; tainted: how many samples are; evidence, verdicts: as of `study`.
    """

    references: pd.DataFrame
    suspects: pd.DataFrame
    scores: pd.DataFrame
    tainted: int
    evidence: pd.DataFrame
    verdicts: pd.DataFrame


def verify(profile: str, models: int = 3, seed: int = 0) -> Verified:
    """Tune and ask some models of a released study anew, and compare.

    A dataset is drawn at random, and a reference and suspects of its tuned models. Results lie
    apart in the store, in `verify/`, from where a rerun continues.

    Parameters
    ----------
    models
        How many at most.
    seed
        Of the choice.

    Raises
    ------
    ValueError
        There are no released answers of this profile, or they lack some of its models, or none
        of their models is tuned.
    """
    place = released.check(profile).resolve()
    run = study.start(profile)
    rng = np.random.default_rng(seed)
    run = study.only(run, [str(rng.choice(run.profile.victims))])
    with _apart("released", str(place)):
        asked = _asked(run)
        _check(run, participants.participants(run.profile), asked)
        chosen = _chosen(run, models, rng)
    found = _compared(run, chosen, asked, str(place), lambda switch: _apart("here", switch))
    return _together([found], f"{', '.join(m.model_id for m in chosen)} of {chosen[0].dataset}")


def verify_stored(profile: str) -> Verified:
    """Compare whatever this store has of a study, after `make reproduce`, with what is released.

    Nothing is tuned or asked: a model counts that has all its answers here. Untuned ones too, and
    the suspects of the profile's suites.

    Raises
    ------
    ValueError
        There are no released answers of this profile, or they lack some of its models, or the
        store has no model of this study.
    """
    place = released.check(profile).resolve()
    suites = load_profile(profile).suites
    studies = [study.start(profile), *(study.start(profile, suite) for suite in suites)]
    found: list[_Compared] = []
    seen: set[tuple[str, str]] = set()  # a suite has the references of the study
    for part in (study.only(run, [victim]) for run in studies for victim in run.profile.victims):
        with _apart("released", str(place)):
            asked = _asked(part)
        with _stored(released.OFF):
            everyone = participants.participants(part.profile)
            stored = [m for m in everyone if not _queries(part, [m], asked)[0].missing]
        fresh = {(m.dataset, m.model_id) for m in stored} - seen
        if fresh:
            with _apart("released", str(place)):
                _check(part, everyone, asked)
            found.append(_compared(part, stored, asked, str(place), _stored))
        seen |= fresh
    if not found:
        raise ValueError(
            f"{store.root()} has no answers of a model of profile {profile!r}: `make reproduce "
            f"PROFILE={profile}` makes them all, `dsi verify --models 3` those of three models"
        )
    datasets = ", ".join(dict.fromkeys(one.dataset for one in found))
    return _together(found, f"{len(seen)} models that answered about {datasets}")


@dataclass(frozen=True)
class _Compared:
    """One dataset's part of `Verified`, of a study or a suite, and what the sentence says of it.

    suspects: how many are judged; tainted: how many samples are, as released and here; by: on
    what models were tuned, as released and here.
    """

    dataset: str
    models: pd.DataFrame
    changed: pd.DataFrame
    suspects: int
    tainted: tuple[int, int]
    by: tuple[set[str], set[str]]


def _compared(
    run: Study,
    chosen: Sequence[Participant],
    asked: pd.DataFrame,
    place: str,
    here: Callable[[str], AbstractContextManager],
) -> _Compared:
    """Compare models of a study of one dataset.

    asked: as `_asked` gives it; here: a store, given what of released counts.
    """
    with _apart("released", place):
        references = study.reference_answers(run)
        suspects = study.suspect_answers(run, study.scores_of(run, references))
        before = _view(run, references, suspects)
        records = [_record(model) for model in chosen]
    with here(released.OFF):
        own = _answers(run, chosen, asked)
        own_records = [_record(model) for model in chosen]
    with here(place):
        after = _view(
            run,
            _replaced(before.references, own, "model_id"),
            _replaced(before.suspects, own, "suspect"),
        )
        pairs = _beside(before, own)
        scores = similarity.raw_scores(run.backbone, pairs[["a", "b"]])
        scaled = study.scale(run, pairs["dataset"], scores)
        pairs["similarity"] = np.where(pairs["a"] == pairs["b"], 1, scaled)  # also of empty answers
    rows = [
        _row(model, before, after, pairs, record, own_record)
        for model, record, own_record in zip(chosen, records, own_records, strict=True)
    ]
    both = before.verdicts.merge(after.verdicts, on=SUSPECT, suffixes=("_released", "_here"))
    both = both[[*SUSPECT, "verdict_released", "verdict_here"]]
    changed = both[both["verdict_released"] != both["verdict_here"]]
    counts = before.tainted, after.tainted
    by = _made_by(records), _made_by(own_records)
    return _Compared(run.profile.victims[0], pd.DataFrame(rows), changed, len(both), counts, by)


def _together(found: Sequence[_Compared], named: str) -> Verified:
    """All datasets' parts; named: which models these are."""
    models = pd.concat([one.models for one in found], ignore_index=True)
    models = models.drop_duplicates(["dataset", "model"], ignore_index=True)
    changed = pd.concat([one.changed for one in found], ignore_index=True)
    suspects = sum(one.suspects for one in found)
    tainted = {one.dataset: one.tainted for one in found}
    before, after = (sum(counts) for counts in zip(*tainted.values(), strict=True))
    there, here = (
        "; ".join(sorted(set().union(*sides))) or "nothing was tuned"
        for sides in zip(*(one.by for one in found), strict=True)
    )
    said = verified.sentence(named, models, suspects, changed, (before, after), here, there)
    return Verified(models, changed, said)


def _asked(run: Study) -> pd.DataFrame:
    """What the study asks its suspects, as the released answers of its references choose it."""
    if run.profile.responses.ask == "all":
        return run.pairs
    _check(run, participants.references(run.profile), run.pairs)
    return study.asked(run, study.reference_scores(run))


def _check(run: Study, models: Sequence[Participant], asked: pd.DataFrame) -> None:
    """Refuse a release that lacks answers of these models of the study."""
    lacking = [query.model_id for query in _queries(run, models, asked) if query.missing]
    if lacking:
        raise ValueError(
            f"the released answers of profile {run.profile.name!r} lack {', '.join(lacking)}: its "
            "settings changed since; pack them anew (`dsi release`) or go back to these settings"
        )


@contextmanager
def _apart(name: str, switch: str) -> Iterator[None]:
    """A store apart, and what of released answers counts in it."""
    theirs = store.make_root().resolve()
    ours = theirs / PLACE / name
    with variables({"DSI_STORE": str(ours), released.SWITCH: switch}):
        store.make_root()  # before others' entries seem to be those of a store without a mark
        for shared in SHARED:
            (theirs / shared).mkdir(exist_ok=True)
            link = ours / shared
            copied = link.is_dir() and not link.is_symlink()  # with the whole store
            if not (copied or (link.exists() and link.samefile(theirs / shared))):
                link.unlink(missing_ok=True)  # an absolute one, to where the store once was
                link.symlink_to(Path("../..") / shared, target_is_directory=True)
        yield


def _stored(switch: str) -> AbstractContextManager:
    """The store itself, and what of released answers counts in it."""
    return variables({released.SWITCH: switch})


def _chosen(run: Study, count: int, rng: np.random.Generator) -> list[Participant]:
    """A tuned reference and suspects, by chance, of those whose tuning is released."""
    tuned = [
        model
        for model in participants.participants(run.profile)
        if model.training.recipe is not None and store.manifest(tuning.record(model.training))
    ]
    mixed = [tuned[i] for i in rng.permutation(len(tuned))]
    first = [model for model in mixed if model.is_reference][:1]
    chosen = [*first, *(model for model in mixed if not model.is_reference)][:count]
    if not chosen:
        raise ValueError(
            f"no tuned model of {', '.join(run.profile.victims)} is released: `dsi release` packs "
            "how models were tuned where notebooks looked at it, `--whole-store` all of it"
        )
    return chosen


def _record(model: Participant) -> dict | None:
    """What is noted of its tuning; None = it was not tuned."""
    if model.training.recipe is None:
        return None
    record = store.manifest(tuning.record(model.training))
    assert record is not None, f"{model.model_id} is tuned"
    return record


def _answers(run: Study, models: Sequence[Participant], asked: pd.DataFrame) -> pd.DataFrame:
    """The models' own answers; tunes them first. Columns dataset, model_id, and of a query."""
    queries = _queries(run, models, asked)
    asking.query(queries)
    victim = run.profile.victims[0]
    tables = [asking.collected(q).assign(dataset=victim, model_id=q.model_id) for q in queries]
    return pd.concat(tables, ignore_index=True)


def _queries(run: Study, models: Sequence[Participant], asked: pd.DataFrame) -> list[Query]:
    """What the study asks these models: references all pairs, once; suspects what is `asked`."""
    sides = [[m for m in models if m.is_reference == side] for side in (True, False)]
    queries = asking.queries(sides[0], run.pairs, run.sampling.for_references())
    return queries + asking.queries(sides[1], asked, run.sampling)


def _view(run: Study, references: pd.DataFrame, suspects: pd.DataFrame) -> View:
    scores = study.scores_of(run, references)
    gaps = study.gaps_to(run, scores, suspects)
    return View(
        references=references,
        suspects=suspects,
        scores=scores,
        tainted=int(study.find_tainted(run, scores)["tainted"].sum()),
        evidence=study.evidence(run, scores, gaps),
        verdicts=study.verdicts(run, scores, gaps),
    )


def _replaced(answers: pd.DataFrame, own: pd.DataFrame, name: str) -> pd.DataFrame:
    """The answers with those that the models of `own` gave here in their places."""
    given = own.rename(columns={"model_id": name, "response": "own"})
    keys = [name, "sample_id", "draw"]
    table = answers.merge(given[[*keys, "own"]], how="left", on=keys, validate="1:1")
    return table.assign(response=table["own"].fillna(table["response"])).drop(columns="own")


def _beside(before: View, own: pd.DataFrame) -> pd.DataFrame:
    """Own answers (a) beside the released ones (b) to the same questions."""
    suspects = before.suspects.rename(columns={"suspect": "model_id"})
    known = pd.concat([before.references, suspects])[[*ANSWER, "response"]]
    both = own.merge(known, on=ANSWER, validate="1:1", suffixes=("", "_released"))
    return both.rename(columns={"response": "a", "response_released": "b"})


def _row(
    model: Participant,
    before: View,
    after: View,
    pairs: pd.DataFrame,
    record: dict | None,
    own: dict | None,
) -> dict:
    """What `Verified.models` says of a model."""
    answers = pairs[pairs["model_id"] == model.model_id]
    moved, verdicts, oracle = np.nan, ["", ""], [np.nan, np.nan]
    if model.is_reference:
        oracle = [_to_oracle(view, model) for view in (before, after)]
    else:
        one, other = (_of(view.evidence, model).set_index("sample_id") for view in (before, after))
        moved = float((other["evidence"] - one["evidence"]).abs().mean())
        verdicts = [_of(view.verdicts, model)["verdict"].item() for view in (before, after)]
    return {
        "dataset": model.dataset,
        "model": model.model_id,
        "loss_released": record["final_loss"] if record else np.nan,
        "loss_here": own["final_loss"] if own else np.nan,
        "answers": len(answers),
        "identical": float((answers["a"] == answers["b"]).mean()),
        "similarity": float(answers["similarity"].mean()),
        "oracle_released": oracle[0],
        "oracle_here": oracle[1],
        "evidence_moved": moved,
        "verdict_released": verdicts[0],
        "verdict_here": verdicts[1],
    }


def _of(table: pd.DataFrame, model: Participant) -> pd.DataFrame:
    return table[table["suspect"] == model.model_id]


def _to_oracle(view: View, model: Participant) -> float:
    """Mean similarity of a reference's answers to the oracle."""
    side = "after" if model.member else "before"
    return float(view.scores.loc[view.scores["reference"] == model.reference, side].mean())


def _made_by(records: Sequence[dict | None]) -> set[str]:
    """Precision and machine of some tunings, in words."""
    return {
        f"{r['precision']}, {r.get('cpu', 'a CPU') if r['device'] == CPU else r['device']}"
        for r in records
        if r is not None
    }
