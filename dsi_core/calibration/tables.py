"""The tables of notebook 10: what the exact tests find and how often they err, by what varies."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from dsi_core.audit import answers_file, suspect
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.calibration import draws, models, null, trials
from dsi_core.calibration.draws import Draw
from dsi_core.calibration.models import Kind, Model
from dsi_core.method import closeness, similarity
from dsi_core.method.closeness import Combine, Measure, Statistic
from dsi_core.models import tuning
from dsi_core.runtime import store
from dsi_core.runtime.environment import quiet
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile, load_profile

RUNS = 30  # orders of asking in which a model is tried
STATISTICS = [Statistic(measure, combine) for measure in Measure for combine in Combine]


@dataclass(frozen=True)
class Calibrated:
    """Every model of the calibration and what it answered.

    Attributes
    ----------
    profile
        Its settings.
    pool
        Both wordings, as `draws.pool`.
    drawn
        The draws, by number.
    models
        model, kind, group, of_draw (whose D it saw; None = of none), epochs, share, dilution,
        final_loss (nats per token over the last epoch; NaN = not tuned).
    answers
        model, row, draw, response: those that may be evidence.
    """

    profile: Profile
    pool: pd.DataFrame
    drawn: dict[int, Draw]
    models: pd.DataFrame
    answers: pd.DataFrame

    def names(self, kind: Kind, numbers: Iterable[int] | None = None) -> list[str]:
        """Names of the models of a kind, of these draws."""
        chosen = self.models[self.models["kind"] == str(kind)]
        if numbers is not None:
            chosen = chosen[chosen["of_draw"].isin(list(numbers))]
        return chosen["model"].tolist()


def run(profile: str) -> Calibrated:
    """Ask every model of the profile's section `calibration`; tunes what the store lacks."""
    settings = load_profile(profile)
    quiet()
    how = models.how(settings)
    pool = draws.pool(how.wordings)
    numbers = [*how.development, *how.confirmation]
    drawn = {number: draws.draw(pool, number) for number in numbers}
    asked, tables = [], []
    for one in drawn.values():
        of_draw = models.of_draw(settings, one)
        tables.append(models.answers(settings, of_draw, one.rows))
        asked += of_draw
    innocents = models.innocents(settings)
    if innocents:
        tables.append(models.answers(settings, innocents, pool))
    written = [_from_file(name, path, pool) for name, path in how.answers.items()]
    answers = pd.concat([*tables, *written], ignore_index=True)
    facts = [_facts(model) for model in [*asked, *innocents]]
    facts += [
        {"model": name, "kind": str(Kind.INNOCENT), "group": "written"} for name in how.answers
    ]
    return Calibrated(settings, pool, drawn, pd.DataFrame(facts), _usable(answers, pool, settings))


def _from_file(name: str, path: str, pool: pd.DataFrame) -> pd.DataFrame:
    """The answers that a file holds, as `models.answers`."""
    prompts = pool.rename(columns={"row": "sample_id"})[["sample_id", "prompt"]]
    read = answers_file.read(ROOT / path, prompts)
    return read.rename(columns={"sample_id": "row"}).assign(model=name)


def _usable(answers: pd.DataFrame, pool: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """Those answers that an audit would take for evidence."""
    oracle = answers["row"].map(pool.set_index("row")["first"])
    mu = profile.decision.mu
    statuses = [
        suspect.status(response, first, mu)
        for response, first in zip(answers["response"], oracle, strict=True)
    ]
    kept = [status == AnswerStatus.ANSWERED for status in statuses]
    return answers[kept].reset_index(drop=True)


def _facts(model: Model) -> dict:
    loss = None
    if model.training.recipe is not None:
        manifest = store.manifest(tuning.record(model.training))
        loss = manifest["final_loss"] if manifest else None
    return {
        "model": model.name,
        "kind": str(model.kind),
        "group": model.group,
        "of_draw": model.draw,
        "epochs": model.epochs,
        "share": model.share,
        "dilution": model.dilution,
        "final_loss": loss,
    }


def draws_table(run: Calibrated) -> pd.DataFrame:
    """Show the draws: draw, used for, rows, published, first wordings published, overlap.

    overlap: the largest share of D that another draw of the same use has in its own.
    """
    how = models.how(run.profile)
    rows = []
    for number, one in run.drawn.items():
        use = "development" if number in how.development else "confirmation"
        same = how.development if number in how.development else how.confirmation
        own = set(one.published["row"])
        others = [set(run.drawn[n].published["row"]) for n in same if n != number]
        rows.append(
            {
                "draw": number,
                "for": use,
                "rows": len(one.rows),
                "published": len(own),
                "first wording published": int(one.published["first_published"].sum()),
                "overlap": max((len(own & other) / len(own) for other in others), default=0.0),
            }
        )
    return pd.DataFrame(rows)


def statistics(run: Calibrated, numbers: Sequence[int], alpha: float) -> pd.DataFrame:
    """Compare what may be measured, on the weak members of some draws.

    Returns
    -------
    pandas.DataFrame
        measure, combine, kind, as `trials.summary`; the largest effect first.
    """
    tables = []
    for statistic in STATISTICS:
        tried = pd.concat(
            [
                _of_draw(run, run.drawn[n], run.names(Kind.WEAK, [n]), alpha, statistic)
                for n in numbers
            ]
        )
        tables.append(tried.assign(**{k: str(v) for k, v in asdict(statistic).items()}))
    summed = trials.summary(pd.concat(tables), ["measure", "combine", "kind"])
    return summed.sort_values(["kind", "effect"], ascending=[True, False], ignore_index=True)


def members(
    run: Calibrated, kind: Kind, alpha: float, numbers: Sequence[int] | None = None
) -> pd.DataFrame:
    """Try all members of a kind by both twins.

    Returns `trials.table` with what `Calibrated.models` says of each.
    """
    tables = []
    for number, one in run.drawn.items():
        names = run.names(kind, [number])
        if names and (numbers is None or number in numbers):
            tables.append(_of_draw(run, one, names, alpha))
    if not tables:
        return pd.DataFrame()
    tried = pd.concat(tables, ignore_index=True).rename(columns={"kind": "twin"})
    return tried.merge(run.models, on="model", validate="m:1")


def innocent_trials(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Try innocent models on the draws of confirmation: as `trials.table`, with their kind."""
    tables = []
    for number in models.how(run.profile).confirmation:
        one = run.drawn[number]
        names = [*run.names(Kind.INNOCENT), *run.names(Kind.OTHER_WORDING, [number])]
        answered = run.answers[run.answers["row"].isin(one.rows["row"])]
        counts = answered.groupby("model")["row"].nunique()
        names = [name for name in names if counts.get(name, 0) > len(one.rows) / 2]
        tables.append(_of_draw(run, one, names, alpha))
    tried = pd.concat(tables, ignore_index=True).rename(columns={"kind": "twin"})
    return tried.merge(run.models, on="model", validate="m:1")


def thrown_anew(run: Calibrated, coins: int, samples: int, seed: int, alpha: float) -> pd.DataFrame:
    """Test every model's answers under coins thrown anew, as `null.p_values`."""
    close = trials.close(closeness.DEFAULT, run.answers, run.pool)
    names = [*run.names(Kind.INNOCENT), *run.names(Kind.OTHER_WORDING)]
    chosen = null.innocents(close[close["model"].isin(names)], run.pool)
    chosen = [model for model in chosen if len(model.wording) >= samples]
    return null.p_values(chosen, coins, samples, seed, alpha=alpha)


def _of_draw(
    run: Calibrated,
    one: Draw,
    names: list[str],
    alpha: float,
    statistic: Statistic = closeness.DEFAULT,
) -> pd.DataFrame:
    answers = run.answers[run.answers["model"].isin(names)]
    answers = answers[answers["row"].isin(one.rows["row"])]
    backbone = similarity.backbone(run.profile) if statistic.measure == Measure.BERTSCORE else None
    close = trials.close(statistic, answers, one.rows, backbone)
    return trials.table(close, one, names, alpha=alpha, runs=RUNS)
