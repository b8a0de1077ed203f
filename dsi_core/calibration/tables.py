"""The tables of notebook 10: what the exact tests find and how often they err, by what varies."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd

from dsi_core.calibration import draws, models, null, trials
from dsi_core.calibration.calibrated import Calibrated, usable
from dsi_core.calibration.draws import Draw
from dsi_core.calibration.models import Kind
from dsi_core.calibration.null import Circumstance
from dsi_core.evidence import looks, power
from dsi_core.method import closeness, similarity
from dsi_core.method.closeness import Combine, Measure, Statistic

RUNS = 30  # orders of asking in which a model is tried
RUNS_EACH = 10  # the same for each of many statistics
SHIFTED = [Kind.WEAK, Kind.OTHER_WORDING]  # kinds that are asked in other ways, too
SIMULATED = 200  # audits of a member that is weaker than those we have
STATISTICS = [Statistic(measure, combine) for measure in Measure for combine in Combine]
CERTAIN = 100.0  # standard deviations: what is infinite (toys) is simulated as this
GREEDY = "greedy"  # how the one answer of temperature 0 is combined
NEW_ROWS = "confirmation, new rows"  # those of confirmation that no draw of development has


def statistics(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Compare what may be measured and how a model may be asked for it, on the weak members.

    Returns
    -------
    pandas.DataFrame
        draws ("development" | "confirmation" | `NEW_ROWS`, if there are any), measure, combine (of
        the profile's sampled answers; `GREEDY` = of the one answer of temperature 0), twin, as
        `trials.summary`; of each kind of draws and twin the largest effect first. Intervals take
        draws for independent, though they share rows (`calibrated.draws_table`).
    """
    how, found = models.how(run.profile), []
    development = [run.drawn[number] for number in how.development]
    confirmation = [run.drawn[number] for number in how.confirmation]
    new = [draws.apart(one, development) for one in confirmation]
    uses = {
        "development": development,
        "confirmation": confirmation,
        NEW_ROWS: [one for one in new if len(one.rows)],
    }
    sampled = replace(run, answers=run.sampled)
    ways = [(sampled, one, str(one.combine)) for one in STATISTICS]
    ways += [(run, one, GREEDY) for one in STATISTICS if one.combine == Combine.MAX]
    for draws_for, used in uses.items():
        for asked, statistic, combine in ways:
            for one in used:
                names = run.names(Kind.WEAK, [one.number])
                tried = _of_draw(asked, one, names, alpha, statistic, RUNS_EACH)
                said = {"measure": str(statistic.measure), "combine": combine}
                found.append(tried.assign(draws=draws_for, **said))
    whole = pd.concat(found).rename(columns={"kind": "twin"}).astype({"twin": str})
    summed = trials.summary(whole, ["draws", "measure", "combine", "twin"])
    # the same few questions in each of its draws, so these are no clusters
    summed.loc[summed["draws"] == NEW_ROWS, ["low", "high"]] = float("nan")
    order = ["draws", "twin", "effect"]
    return summed.sort_values(order, ascending=[False, False, False], ignore_index=True)


def choice(compared: pd.DataFrame) -> pd.DataFrame:
    """Choose a measure: the largest effect on development draws, mean over both twins.

    It has to serve both ways of asking, as not every service takes a temperature: what counts is
    the mean of its effects on greedy answers and on sampled ones, combined in the better way.

    Parameters
    ----------
    compared
        As `statistics` returns it.

    Returns
    -------
    pandas.DataFrame
        measure, combine (of sampled answers), sampled, greedy, development (mean of these two),
        confirmed_sampled, confirmed_greedy (effects, mean over both twins), new_rows_greedy (the
        same on `NEW_ROWS`; NaN = none), chosen, default (what an audit measures); the largest
        effect on development first.
    """
    effects = compared.pivot_table("effect", "measure", ["draws", "combine"], aggfunc="mean")
    combines = [str(combine) for combine in Combine]
    development, confirmation = effects["development"], effects["confirmation"]
    rows = []
    for measure, tried in development.iterrows():
        combine = tried[combines].idxmax()
        rows.append(
            {
                "measure": measure,
                "combine": combine,
                "sampled": tried[combine],
                "greedy": tried[GREEDY],
                "development": (tried[combine] + tried[GREEDY]) / 2,
                "confirmed_sampled": confirmation.loc[measure, combine],
                "confirmed_greedy": confirmation.loc[measure, GREEDY],
                "new_rows_greedy": effects.loc[measure].get((NEW_ROWS, GREEDY), float("nan")),
            }
        )
    table = pd.DataFrame(rows).sort_values("development", ascending=False, ignore_index=True)
    default = [str(value) for value in asdict(closeness.DEFAULT).values()]
    is_default = (table[["measure", "combine"]] == default).all(axis=1)
    return table.assign(chosen=table.index == 0, default=is_default)


def members(
    run: Calibrated, kinds: Sequence[Kind], alpha: float, numbers: Sequence[int] | None = None
) -> pd.DataFrame:
    """Try all members of some kinds by both twins, each on its own draw.

    numbers: of the draws; None = all.

    Returns `trials.table` with what `Calibrated.models` says of each, kind of the twin as `twin`.
    """
    tables = []
    for number, one in run.drawn.items():
        names = [name for kind in kinds for name in run.names(kind, [number])]
        if names and (numbers is None or number in numbers):
            tables.append(_of_draw(run, one, names, alpha))
    return _with_facts(run, tables)


def innocent_trials(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Try innocent models on the draws of confirmation, each on those it answered: as `members`.

    Models tuned on a draw's other wording are innocent only of what the wording twin asks: a
    private twin finds that they know the published rows, in whatever words. A draw counts as
    answered by `Calibrated.answering`.
    """
    tables = []
    for number in models.how(run.profile).confirmation:
        one = run.drawn[number]
        names = [*run.names(Kind.INNOCENT), *run.names(Kind.OTHER_WORDING, [number])]
        if names := run.answering(names, one.rows):
            tables.append(_of_draw(run, one, names, alpha))
    return _with_facts(run, tables)


def weak_and_innocent(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Try the weak members of confirmation and the innocent models beside them: as `members`.

    With who: what a model was tuned on, of an innocent one in a word.
    """
    weak = members(run, [Kind.WEAK], alpha, models.how(run.profile).confirmation)
    table = pd.concat([weak, innocent_trials(run, alpha)], ignore_index=True)
    innocent = table["kind"] == Kind.INNOCENT
    return table.assign(who=table["kind"].mask(innocent, "innocent: " + table["group"]))


def tried(run: Calibrated, one: Draw, names: list[str], alpha: float) -> pd.DataFrame:
    """Try these models on a draw: as `members`."""
    return _with_facts(run, [_of_draw(run, one, names, alpha)])


def _with_facts(run: Calibrated, tables: list[pd.DataFrame]) -> pd.DataFrame:
    if not tables:
        columns = ["model", "twin", *(f.name for f in fields(trials.Trials) if f.name != "kind")]
        return pd.DataFrame(columns=[*columns, *run.models.columns.drop("model")])
    tried = pd.concat(tables, ignore_index=True).rename(columns={"kind": "twin"})
    return tried.merge(run.models, on="model", validate="m:1").astype({"twin": str})


def by_strength(tried: pd.DataFrame) -> pd.DataFrame:
    """Average members by strength over draws.

    Returns twin, group (the base), epochs, final_loss (mean, nats per token), and `trials.summary`.
    """
    by = ["twin", "group", "epochs"]
    losses = tried.groupby(by, as_index=False)["final_loss"].mean()
    return losses.merge(trials.summary(tried, by), on=by, validate="1:1")


def by_exposure(tried: pd.DataFrame) -> pd.DataFrame:
    """Average members over draws by how much of what they trained on was D.

    Returns twin, exposure ("100% of D", "50% of D", "1 to 4": other pairs to each of D), and
    `trials.summary`.
    """
    said = [
        f"1 to {dilution:.0f}" if dilution else f"{share:.0%} of D"
        for dilution, share in tried[["dilution", "share"]].to_numpy(float).tolist()
    ]
    order = tried.assign(exposure=said).sort_values(
        ["twin", "dilution", "share"], ascending=[False, True, False]
    )
    return trials.summary(order, ["twin", "exposure"])


def weaker(
    tried: pd.DataFrame, alpha: float, shares: Sequence[float] = (1.0, 0.5, 0.25)
) -> pd.DataFrame:
    """Simulate how often members are found whose effect is a share of the mean one of `tried`.

    Returns
    -------
    pandas.DataFrame
        twin, share, effect, samples, found, low, high (95%), samples_to_find (median; infinite
        where at most half were found).
    """
    rows = []
    for twin, part in tried.groupby("twin", sort=False):
        samples = int(part["samples"].min())
        planned = looks.planned(samples, alpha)
        for share in shares:
            effect = share * min(part["effect"].mean(), CERTAIN)
            simulated = power.power(str(twin), samples, effect, planned, SIMULATED, seed=0)
            said = asdict(simulated)
            after = said.pop("median_samples")
            facts = {"twin": twin, "share": share, "effect": effect, "samples": samples}
            rows.append({**facts, **said, "samples_to_find": np.inf if after is None else after})
    return pd.DataFrame(rows)


def shifts(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Try a member, a model of the other wording and an innocent one, asked in other ways.

    Returns
    -------
    pandas.DataFrame
        As `members`, with shift; the first ones are asked as an audit of a kit asks ("as usual").
    """
    profile, tables = run.profile, []
    for number in models.how(profile).shift_draws:
        one = run.drawn[number]
        asked = [m for m in models.of_draw(profile, one) if m.kind in SHIFTED]
        asked += models.innocents(profile)[:1]
        names = [model.name for model in asked]
        others = usable(models.shifted(profile, asked, one.rows), run.pool, profile)
        ways = {"as usual": run.answers}
        ways |= {str(shift): part for shift, part in others.groupby("shift", sort=False)}
        for shift, answers in ways.items():
            tried = _of_draw(replace(run, answers=answers), one, names, alpha)
            tables.append(tried.assign(shift=shift))
    return _with_facts(run, tables)


def thrown_anew(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Test models' answers under coins thrown anew, as `null.p_values`.

    Innocent models, those of the other wordings, and the weak members of confirmation: these saw
    what another coin chose, and with respect to a coin thrown anew are as innocent as the rest. An
    audit is of as many samples as D has; a model with fewer usable answers is left out.
    """
    how, seed = models.how(run.profile), run.profile.seed
    names = [*run.names(Kind.INNOCENT), *run.names(Kind.OTHER_WORDING)]
    names += run.names(Kind.WEAK, how.confirmation)
    answers = run.answers[run.answers["model"].isin(names)]
    chosen = null.innocents(trials.close(closeness.DEFAULT, answers, run.pool), run.pool)
    samples = min(len(one.published) for one in run.drawn.values())
    chosen = [model for model in chosen if len(model.wording) >= samples]
    others = [c for c in Circumstance if c != Circumstance.LOOKS]
    parts = [
        null.p_values(chosen, how.coins, samples, seed, [Circumstance.LOOKS], alpha),
        null.p_values(chosen, how.coins_otherwise, samples, seed + 1, others, alpha),
    ]
    return pd.concat(parts, ignore_index=True)


def _of_draw(
    run: Calibrated,
    one: Draw,
    names: list[str],
    alpha: float,
    statistic: Statistic = closeness.DEFAULT,
    runs: int = RUNS,
) -> pd.DataFrame:
    answers = run.answers[run.answers["model"].isin(names)]
    answers = answers[answers["row"].isin(one.rows["row"])]
    backbone = similarity.backbone(run.profile) if statistic.measure == Measure.BERTSCORE else None
    close = trials.close(statistic, answers, one.rows, backbone)
    return trials.table(close, one, names, alpha=alpha, runs=runs)
