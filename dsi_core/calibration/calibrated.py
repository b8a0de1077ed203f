"""Every model of a calibration and what it answered: tuned and asked, or read from the store."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsi_core.audit import answers_file, suspect
from dsi_core.audit.preparation.draft import refuse_rule
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.calibration import draws, models
from dsi_core.calibration.draws import Draw
from dsi_core.calibration.models import Kind, Model
from dsi_core.models import tuning
from dsi_core.runtime import store
from dsi_core.runtime.environment import quiet
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile, load_profile

ALPHA = 0.05  # of the page; with another its results have a folder of their own


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
        model, row, draw, response: those that may be evidence, asked as an audit of a kit asks.
    sampled
        The same, asked as the profile asks: of the weak members, and of all models of the draw that
        other methods judge, too.
    """

    profile: Profile
    pool: pd.DataFrame
    drawn: dict[int, Draw]
    models: pd.DataFrame
    answers: pd.DataFrame
    sampled: pd.DataFrame

    def names(self, kind: Kind, numbers: Iterable[int] | None = None) -> list[str]:
        """Names of the models of a kind, of these draws."""
        chosen = self.models[self.models["kind"] == str(kind)]
        if numbers is not None:
            chosen = chosen[chosen["of_draw"].isin(list(numbers))]
        return chosen["model"].tolist()

    def answering(self, names: Iterable[str], rows: pd.DataFrame) -> list[str]:
        """Those of some models that gave more than half of these rows a usable answer.

        A file of answers may be to other draws' prompts.
        """
        answered = self.answers[self.answers["row"].isin(rows["row"])]
        counts = answered.groupby("model")["row"].nunique()
        return [name for name in names if counts.get(name, 0) > len(rows) / 2]


def run(profile: str, alpha: float = ALPHA) -> Calibrated:
    """Ask every model of the profile's section `calibration`; tunes what the store lacks.

    A line says beforehand what is tuned and asked. alpha: no question depends on it; a value other
    than `ALPHA` names a folder of the results (`plots.save`).

    Raises
    ------
    ValueError
        Where the profile has no section `calibration`, or counts by another rule than an audit does
        (`decision.rule`).
    """
    settings = load_profile(profile).beside(alpha=(alpha, ALPHA))
    refuse_rule(settings)
    quiet()
    how = models.how(settings)
    pool = draws.pool(how.wordings)
    numbers = [*how.development, *how.confirmation]
    drawn = {number: draws.draw(pool, number) for number in numbers}
    usual = models.asking(settings)
    innocent = models.innocents(settings)
    known, queries = [*innocent], models.queries(usual, innocent, pool)
    sampled = [] if how.beside_draw is None else models.queries(settings, innocent, pool)
    for one in drawn.values():
        of_draw = models.of_draw(settings, one)
        queries += models.queries(usual, of_draw, one.rows)
        again = of_draw if one.number == how.beside_draw else [models.weak(settings, one)]
        sampled += models.queries(settings, again, one.rows)
        known += of_draw
    answers, answers_sampled = (
        pd.concat(
            [models.answers(asked), *(_from_file(*file, pool) for file in how.answers.items())],
            ignore_index=True,
        )
        for asked in (queries, sampled)
    )
    facts = [_facts(model) for model in known]
    facts += [
        {"model": name, "kind": str(Kind.INNOCENT), "group": "written"} for name in how.answers
    ]
    kept = [usable(table, pool, settings) for table in (answers, answers_sampled)]
    return Calibrated(settings, pool, drawn, pd.DataFrame(facts), *kept)


def _from_file(name: str, path: str, pool: pd.DataFrame) -> pd.DataFrame:
    """The answers that a file holds, as `models.answers`."""
    prompts = pool.rename(columns={"row": "sample_id"})[["sample_id", "prompt"]]
    read = answers_file.read(ROOT / path, prompts)
    return read.rename(columns={"sample_id": "row"}).assign(model=name)


def usable(answers: pd.DataFrame, pool: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """Keep those answers that an audit would take for evidence."""
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
    """Show the draws: draw, for, rows, published, first wording published, overlap, and so on.

    overlap: the largest share of D that another draw of the same use has in its own. also in
    development: the share of its rows that are among those of other draws of development.
    """
    how = models.how(run.profile)
    rows = []
    for number, one in run.drawn.items():
        use = "development" if number in how.development else "confirmation"
        same = how.development if number in how.development else how.confirmation
        own = set(one.published["row"])
        others = [set(run.drawn[n].published["row"]) for n in same if n != number]
        development = [run.drawn[n] for n in how.development if n != number]
        rows.append(
            {
                "draw": number,
                "for": use,
                "rows": len(one.rows),
                "published": len(own),
                "first wording published": int(one.published["first_published"].sum()),
                "overlap": max((len(own & other) / len(own) for other in others), default=0.0),
                "also in development": 1 - len(draws.apart(one, development).rows) / len(one.rows),
            }
        )
    return pd.DataFrame(rows)


def side_by_side(run: Calibrated, number: int, count: int) -> pd.DataFrame:
    """Show rows of a draw: prompt, first, second, published ("first", "second" or "nothing")."""
    rows = run.drawn[number].rows
    wording = np.where(rows["first_published"], "first", "second")
    said = np.where(rows["published"], wording, "nothing")
    return rows.assign(published=said)[["prompt", "first", "second", "published"]].head(count)
