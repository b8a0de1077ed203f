"""The page of results, `notebooks/pages/results.md`: hand-written prose, computed numbers.

The sentences stand in `results.md.j2`; their numbers are computed here from `figures/small/*.csv`
(ours) and `params/reported.yaml` (the paper's). What a sentence says in words ("all of them miss
it") stands in `paper.claims`: where the tables no longer bear one, no page is written.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from dsi_core.paper.claims import Read, claims
from dsi_core.paper.tables import reported
from dsi_core.runtime.paths import ROOT

FIGURES = ROOT / "figures" / "small"
PAGE = ROOT / "notebooks" / "pages" / "results.md"
README = ROOT / "README.md"
MARKS = ("<!-- Written by `dsi results`. -->", "<!-- Until here. -->")

Numbers = dict[str, Any]


def pages(folder: Path = FIGURES) -> dict[Path, str]:
    """Write the page, and the README's short results, from the tables of a folder.

    Parameters
    ----------
    folder
        Where the notebooks left their CSVs.

    Returns
    -------
    dict
        The text of each file.

    Raises
    ------
    ValueError
        A sentence of the templates is no longer true of the tables, or README.md lacks the marks
        between which the short results stand.
    """

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"{name}.csv")

    wrong = [sentence for sentence, holds in claims(read).items() if not holds]
    if wrong:
        listed = "\n  ".join(wrong)
        raise ValueError(
            f"results.md.j2 says what the tables of {folder} do not; change the words there and "
            f"in paper/claims.py:\n  {listed}"
        )
    numbers = {section.__name__: section(read) for section in SECTIONS}
    numbers["paper"] = the_papers()
    return {
        PAGE: _filled("results.md.j2", numbers),
        README: _between_marks(
            README.read_text(encoding="utf-8"), _filled("short_results.md.j2", numbers)
        ),
    }


def write(folder: Path = FIGURES) -> list[Path]:
    """Write the texts of `pages` to their files and return where they are."""
    texts = pages(folder)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def stale(folder: Path = FIGURES) -> list[Path]:
    """The files that are not what `write` would write."""
    return [
        path
        for path, text in pages(folder).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def _filled(template: str, numbers: Numbers) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsi_core.paper", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    return environment.get_template(template).render(**numbers)


def _between_marks(text: str, block: str) -> str:
    before, start, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (start and end):
        raise ValueError(f"README.md has no {MARKS[0]} followed by {MARKS[1]}")
    return f"{before}{start}\n{block}{end}{after}"


def observations(read: Read) -> Numbers:
    """§4 and Eq. 1: near-copies, similarity before and after, tainted samples."""
    similarity = read("sec4_similarity_before_and_after").groupby("reference", sort=False)
    gaps = read("eq1_weakest_gaps")
    first = gaps[gaps["dataset"] == gaps["dataset"].iloc[0]]
    return {
        "copies_after": _of_each(read("table1_near_copies_after_tuning"), _copies),
        "copies_before": _of_each(read("table2_near_copies_before_tuning"), _copies),
        "raw": {name: _of_each(part, _before_and_after) for name, part in similarity},
        "tainted": _of_each(gaps, _tainted_of, whole=_tainted_of),
        "by_dataset": {name: _tainted_of(part) for name, part in gaps.groupby("dataset")},
        "first": {"tainted": int(first["tainted"].sum()), "samples": len(first)},
    }


def non_iid(read: Read) -> Numbers:
    """§6.2: verdicts, Table 6, Table 8, the evidence behind the vote."""
    by = ["dataset", "member", "suspect"]
    medians = read("sec6_2_evidence").groupby(by)["evidence"].median().reset_index()
    innocent = medians.loc[~medians["member"], "evidence"]
    verdicts = read("sec6_2_verdicts")
    wrong = verdicts[~verdicts["correct"]]
    missed, accused = wrong[wrong["member"]], wrong[~wrong["member"]]
    return {
        "datasets": list(verdicts["dataset"].unique()),
        "listed": _listed(verdicts["dataset"].unique()),
        "votes": _votes(verdicts),
        "right": int(verdicts["correct"].sum()),
        "models": len(verdicts),
        "table6": {
            method: f"{_by_group(part)}; {_of_each(part, _scores)}"
            for method, part in read("table6_non_iid").groupby("method")
        },
        "table8": _by_group(read("table8_no_selection")),
        "missed": _named(missed),
        "accused": _named(accused),
        "missed_medians": _span(medians.merge(missed[by])["evidence"], ".2f"),
        "innocent_medians": _span(innocent, ".2f"),
        "innocent_positive": _span(_positive(verdicts, member=False)),
    }


def iid(read: Read) -> Numbers:
    """§6.2, suspects that trained on the other half of D."""
    verdicts = read("fig06_iid_positive_against_negative")
    medians = read("sec6_2_iid_evidence").groupby(["dataset", "suspect"])["evidence"].median()
    split = read("sec6_1_split")
    return {
        "table7": {
            method: _by_group(part, "non-members ")
            for method, part in read("table7_iid").groupby("method")
        },
        "suspects": len(verdicts),
        "right": _of_each(verdicts, _of, whole=_of),
        "accused": _named(verdicts[~verdicts["correct"]]),
        "positive": _span(verdicts["positive"]),
        "medians": _span(medians, ".2f"),
        "near_duplicates": f"{split.filter(like='near-duplicates').sum().sum():.0f}",
    }


def by_dataset(read: Read) -> Numbers:
    """Tables 6 to 8, a column for each dataset, with the paper's sums."""
    tables = {"6": "table6_non_iid", "7": "table7_iid", "8": "table8_no_selection"}
    rows: list[Numbers] = []
    for number, name in tables.items():
        paper = _vote_and_baseline(f"table{number}")
        say = _one_and_two if number == "7" else _members_and_not
        for method, part in read(name).groupby("method", sort=False):
            columns = part.groupby("dataset", sort=False)
            rows.append(
                {
                    "what": f"Table {number}, {method}",
                    "ours": {name: _by_group(of) for name, of in columns},
                    "paper": say(paper[str(method)]) if method in paper else "-",
                }
            )
    return {"rows": rows}


def ablations(read: Read) -> Numbers:
    """§6.3: more references, other thresholds, other similarities."""
    votes = read("fig09_more_references").groupby("references", sort=False)
    tainted = read("fig10_tainted_by_references")
    by_references = tainted.groupby("references", sort=False)["positive"]
    sensitivity = read("sec6_3_sensitivity").groupby(["setting", "value"])["correct"]
    right, models = sensitivity.sum(), sensitivity.size()
    similarities = read("sec6_3_similarities").groupby("similarity", sort=False)
    rules = read("sec6_3_rules").round({"delta": 2}).groupby(["delta", "rule"], sort=False)
    released = rules.get_group((0.9, "text"))
    return {
        "fig9": "; ".join(f"{name}: {_of(part)}" for name, part in votes),
        "fig10": ", ".join(
            f"{name} {count}"
            for name, count in tainted.drop_duplicates("references")[
                ["references", "tainted"]
            ].itertuples(index=False)
        ),
        "tainted": tainted.groupby("references")["tainted"].first().to_dict(),
        "positive": {name: _span(part) for name, part in by_references},
        "delta": _ranges(right["delta"], int(models.max())),
        "one_answer": f"{right['draws', 1]}/{models['draws', 1]}",
        "similarities": "; ".join(
            f"{name} {part['correct'].sum()}/{len(part)} (mean gap {part['mean_gap'].iloc[0]:.2f})"
            for name, part in similarities
        ),
        "rules": "; ".join(
            f"{rule} at {delta:.2f}: {_tainted(part)} tainted, {_by_selection(part)}"
            for (delta, rule), part in rules
        ),
        "at_released_scale": {
            "count": _tainted(released),
            **{
                selection: _of(part)
                for selection, part in released[released["member"]].groupby("selection")
            },
        },
    }


def robustness(read: Read) -> Numbers:
    """§6.4: members caught under each evasion."""
    figures = {
        "rephrasing": "fig11a_rephrasing",
        "temperature": "fig11b_temperature",
        "removing": "fig11c_removing_tainted_samples",
        "subsets": "fig11d_subsets",
    }
    moved = read("fig11a_rephrased_answers").groupby("setting")["moved"].mean()
    warm = read(figures["temperature"]).query("setting == 0.5").set_index("suspect")
    removed = read(figures["removing"]).query("setting == '50% removed'")
    shares = read(figures["subsets"]).groupby("setting", sort=False)["share"]
    overlap = read("fig12_overlap_of_tainted_samples").query("removed")
    return {
        "caught": {
            evasion: "; ".join(f"{s}: {_of(part)}" for s, part in _by_setting(read(name)))
            for evasion, name in figures.items()
        },
        "moved": {setting: f"{value:.2f}" for setting, value in moved.items()},
        "weak_at_half": "{positive} to {negative}".format(**warm.loc["smollm2-weak"]),
        "after_removal": " and ".join(
            f"{r.positive} to {r.negative}" for r in removed.itertuples()
        ),
        "shares": ", ".join(f"{s} → {_span(part.round(2), '.2f', '-')}" for s, part in shares),
        "overlap": overlap.groupby("status")["samples"].max().to_dict(),
    }


def baseline(read: Read) -> Numbers:
    """DPDLLM (Fig. 5): members judged rightly, on each dataset."""
    ways = {"clean": "fig05_dpdllm", "faithful": "fig05_dpdllm_faithful"}
    members = {way: read(name).query("member") for way, name in ways.items()}
    return {
        way: ", ".join(_of(part) for _, part in table.groupby("dataset", sort=False))
        for way, table in members.items()
    }


def cost(read: Read) -> Numbers:
    """§6.5, Table 9: minutes of one worker."""
    table = read("table9_time")
    return {
        "offline": f"{_span(60 * table['offline_hours'], '.1f')} min",
        "online": f"{_span(60 * table['online_hours'], '.2f')} min",
        "percent": f"{_span(table['online_percent'], '.1f')}%",
    }


def grey_box(read: Read) -> Numbers:
    """Notebook 07: methods that see token probabilities, beside the vote."""
    tally = read("grey_box_tally").set_index("method").drop(columns=["access", "needs"])
    pairs = tally.map(lambda text: [int(number) for number in text.split("/")])
    right = {
        method: "/".join(str(sum(numbers)) for numbers in zip(*row, strict=True))
        for method, row in pairs.iterrows()
    }
    innocent = pairs.drop(columns="local members")
    accused = {m: sum(total - ok for ok, total in row) for m, row in innocent.iterrows()}
    attacks = read("grey_box_attacks").query("view == 'answer' and attack == 'loss'")
    untuned = attacks.loc[attacks["suspect"] == "smollm2-untuned", "auc"].iloc[0]
    leak = read("grey_box_leak")
    sets = read("grey_box_sets").iloc[0]
    dia = leak[(leak["method"] == "DIA (few)") & ~leak["member"]]
    return {
        "right": right,
        "suspects": sum(total for _, total in pairs.iloc[0]),
        "innocent": sum(total for _, total in innocent.iloc[0]),
        "accused": accused,
        "untuned_loss": f"{untuned:.2f}",
        "leak_methods": leak["method"].nunique() - 1,  # the vote is not among them
        "leak_p": f"{dia['p'].iloc[0]:.0e}",
        "exact_p": f"{1 / comb(sets['samples'], sets['samples'] // 2):.0e}",
        "half": sets["samples"] // 2,
        "blind": f"{sets['blind_auc']:.2f}",
        "validation": sets["validation"],
        "compared": f"{sets['compared']} + {sets['asked']}",
    }


def share_of_d(read: Read) -> Numbers:
    """Notebook 07: how much of D was used."""
    deals = read("grey_box_shares_over_deals")
    suspects = read("grey_box_shares_of_suspects")
    by_text = read("grey_box_shares_by_text")
    of_text = read("grey_box_shares_of_suspects_by_text").set_index(["method", "suspect"])["share"]
    held = by_text["true"].between(by_text["low"], by_text["high"])
    by_method = held.groupby(by_text["method"]).agg(["sum", "size"])
    halves = by_text[(by_text["method"] == "closeness") & (by_text["true"] == 0.5)]
    return {
        "error": _span(100 * deals.groupby("attack")["error"].mean(), ".0f"),
        "held": _span(100 * deals.groupby("attack")["held"].mean(), ".0f"),
        "least_held": f"{100 * deals['held'].min():.0f}",
        "members": f"{suspects.loc[suspects['member'], 'share'].min():.2f}",
        "innocent": f"{suspects.loc[~suspects['member'], 'share'].max():.2f}",
        "by_text": {m: f"{row['sum']} of {row['size']}" for m, row in by_method.iterrows()},
        "half_by_closeness": _span(halves["share"], ".2f"),
        "weak": {m: f"{of_text[m, 'smollm2-weak']:.2f}" for m in ("vote", "closeness")},
        "like_d": {m: f"{of_text[m].filter(like='-iid').max():.2f}" for m in ("vote", "closeness")},
    }


def attribution(read: Read) -> Numbers:
    """Notebook 08: from which base does a tuned model come."""
    own = read("attribution_own_methods")
    released = read("attribution_released_methods")
    by_text = own[~own["method"].str.startswith("perplexity")].sort_values("correct").iloc[-1]
    chosen, chosen_released = (t[t["chosen"]].iloc[0] for t in (own, released))
    return {
        "own": f"{chosen['method']}, chosen on the bases: {chosen['correct']}/{chosen['total']}",
        "own_right": f"{chosen['correct']} of {chosen['total']}",
        "by_text": f"{by_text['correct']}/{by_text['total']}",
        "by_text_p": f"{by_text['p_permuted']:.2f}",
        "released": f"{chosen_released['method']}, chosen on the bases: "
        f"{chosen_released['correct']}/{chosen_released['total']}, "
        f"AUC {chosen_released['auc']:.2f}",
        "released_right": chosen_released["correct"],
        "released_total": chosen_released["total"],
        "released_best": released["correct"].max(),
    }


def imitation(read: Read) -> Numbers:
    """Notebook 09: imitating a model through its API."""
    fit = read("imitation_fits").set_index("metric").loc["rouge_l"]
    verdicts = read("imitation_verdicts")
    made = read("imitation_bootstrap").set_index("category").loc["all"]
    on_all = verdicts[verdicts["seen"] == 1]
    on_other = verdicts[verdicts["group"] == "trained on D'"]
    return {
        "slope": "{slope:+.2f} a tenfold (95%: {low:.2f} to {high:+.2f})".format(**fit),
        "caught": ", ".join(
            f"{r.group} {r.correct}/{r.total}" for r in read("imitation_caught").itertuples()
        ),
        "accepted": f"{made['accepted']:.0f}",
        "accepted_share": f"{made['accepted_share']:.0%}",
        "budgets": _span(read("imitation_budgets")["budget"].loc[lambda b: b > 0].astype(int)),
        "on_all": _listed(sorted(on_all["positive"])),
        "on_other": _listed(sorted(on_other["positive"])),
        "tainted": (verdicts["positive"] + verdicts["negative"]).iloc[0],
    }


def audits(read: Read) -> Numbers:
    """Notebook 10 and audits of served models."""
    exposures = read("calibration_exposures")
    served = read("audit_served")
    of_models = served["server"] != "its answers on loopback"
    assistants = served[~of_models]
    errors = read("calibration_errors")
    looked = errors[errors["circumstance"].str.startswith("stopped")]
    by_model = read("calibration_errors_by_model")
    choice = read("calibration_choice").query("chosen").iloc[0]
    weak = read("calibration_weak_summary").query("who == 'weak member'").set_index("twin")
    tried = read("calibration_weak")
    clear = tried[tried["kind"] == "innocent"]
    strengths = read("calibration_strengths").groupby("twin")
    shifts = read("calibration_shifts")
    accuser = read("calibration_accuser")
    strata = read("calibration_strata")
    known = read("calibration_controls")
    blind = read("calibration_blind_check").set_index("against").loc["faq_iid"]
    return {
        "served": list(served[of_models].itertuples()),
        "assistants": len(assistants),
        "assistants_found": int((assistants["answer"] == "found").sum()),
        "assistants_who": _listed(
            sorted(set(assistants.loc[assistants["answer"] == "found", "suspect"]))
        ),
        "assistants_at_001": int((assistants["p"] <= 0.01).sum()),
        "innocents": by_model["model"].nunique(),
        "coins": f"{by_model['tests'].max():,}",
        "errors": {
            kind: " and ".join(f"{r.share:.2%} at {r.level:g}" for r in part.itertuples())
            for kind, part in looked.groupby("kind")
        },
        "within": f"{int(errors['inside'].sum())} of {len(errors)}",
        "models_within": f"{int(by_model['inside'].sum())} of {len(by_model)}",
        "statistic": choice["measure"],
        "greedy": f"{choice['greedy']:.2f} there and {choice['confirmed_greedy']:.2f} on others",
        "sampled": f"{choice['sampled']:.2f} and {choice['confirmed_sampled']:.2f}",
        "share_draws": int(exposures.loc[exposures["exposure"] == "50% of D", "models"].max()),
        "draws": int(weak["models"].iloc[0]),
        "weak": {twin: _found(row) for twin, row in weak.iterrows()},
        "weak_least": {twin: f"{row['found_least']:.0%}" for twin, row in weak.iterrows()},
        "innocent": {
            twin: f"{int((part['p'] <= 0.05).sum())} of {len(part)}"
            for twin, part in clear.groupby("twin")
        },
        "weaker": {
            twin: {row["share"]: f"{row['found']:.0%}" for _, row in part.iterrows()}
            for twin, part in read("calibration_weaker").groupby("twin")
        },
        "strengths": {twin: _from_which_loss(part) for twin, part in strengths},
        "exposures": {
            twin: ", ".join(f"{r.exposure} {r.found:.0%}" for r in part.itertuples())
            for twin, part in exposures.groupby("twin")
        },
        "shifts": shifts["shift"].nunique(),
        "shifted": {
            kind: {
                twin: f"{int((rows['p'] <= 0.05).sum())} of {len(rows)}"
                for twin, rows in part.groupby("twin")
            }
            for kind, part in shifts.groupby("kind")
        },
        "tries": int(accuser["tries"].max()),
        "accused": _span(accuser.loc[accuser["tries"] == accuser["tries"].max(), "accused"], ".0%"),
        "shared": _span(accuser.loc[accuser["tries"] == accuser["tries"].max(), "shared"], ".1%"),
        "tally": read("calibration_beside_tally").fillna("-").to_dict("records"),
        "controls": int(strata["controls"].sum()),
        "strata": len(strata),
        "supports": f"{strata['smallest_p'].max():.2g}",
        "known_members": _listed(known.loc[known["member"], "p"].map("{:.2g}".format)),
        "reworded": _listed(
            f"{row['lean']:.2f} ({row['base']}, {row['positive']} to {row['negative']})"
            for row in known[known["kind"] == "D in other words"].to_dict("records")
        ),
        "alike": f"{known.loc[known['kind'] == 'data like D', 'lean'].max():.2f}",
        "half_learnt": f"{known.set_index('model')['lean']['smollm2-weak']:.2f}",
        "blind_iid": f"{blind['auc']:.2f} ({blind['low']:.2f} to {blind['high']:.2f})",
    }


def _found(row: pd.Series) -> str:
    """How often, and after how many samples."""
    found = f"{row['found']:.0%} of orders"
    after = row["samples_to_find"]
    return f"{found}, after {after:g} samples in the median" if np.isfinite(after) else found


def _from_which_loss(strengths: pd.DataFrame) -> str:
    """The highest mean loss of each base at which 9 of 10 orders find a member."""
    said = []
    for base, part in strengths.groupby("group", sort=False):
        found = part.loc[part["found"] >= 0.9, "final_loss"]
        said.append(f"{base} {found.max():.2f}" if len(found) else f"{base} at none")
    return ", ".join(said)


def speed(read: Read) -> Numbers:
    """Ours against the stock way on one machine: `dsi bench`."""
    bench = read("bench")
    ratios = bench.set_index(["what", "model"])["ratio"]
    kinds = {
        "tuning": "tuning: default SFTTrainer",
        "batch": "generation: pipeline, batch 8",
        "alone": "generation: pipeline, batch 1",
    }
    similarity = bench.loc[bench["what"].str.startswith("similarity"), "ratio"].iloc[0]
    peak = bench["share_of_peak"]
    return {
        **{
            key: {model: f"{ratios[what, model]:.1f}" for model in ("smollm2", "gemma3")}
            for key, what in kinds.items()
        },
        "similarity": f"{similarity:.1f}",
        "cores": f"{ratios['cores: two processes against one', 'smollm2']:.1f}",
        "peak": f"{peak.min():.2f}-{peak.max():.2f}",
    }


SECTIONS: list[Callable[[Read], Numbers]] = [
    observations,
    non_iid,
    iid,
    by_dataset,
    ablations,
    robustness,
    baseline,
    cost,
    grey_box,
    share_of_d,
    attribution,
    imitation,
    audits,
    speed,
]


def the_papers() -> Numbers:
    """Numbers that the paper prints, to stand beside ours."""
    one, two, nine = reported("table1"), reported("table2"), reported("table9")
    six, seven, eight = (_vote_and_baseline(item) for item in ("table6", "table7", "table8"))
    f1 = reported("table6", "scores").query("method == 'DPDLLM'")["f1"]
    subsets = reported("fig11").query("evasion == 'subset'").groupby("setting")["correct"]
    overlap = reported("fig12").set_index("sample")["overlap_max"]
    percent = nine["online_percent"]
    return {
        "copies_after": f"{one['tainted'].sum():,} of {one['total'].sum():,}",
        "copies_before": f"{two['tainted'].sum():,} of {two['total'].sum():,}",
        "table6": _members_and_not(six["dataset inference"]),
        "table6_f1": ", ".join(f"{value:.1f}" for value in f1),
        "table7": {method: _one_and_two(part) for method, part in seven.items()},
        "table8": _members_and_not(eight["dataset inference"]),
        "fig9": {
            (row.dataset, row.architectures, row.references_each): row.correct
            for row in reported("fig09").itertuples()
        },
        "fig10": int(reported("fig10")["tainted_below"].iloc[0]),
        "subset_75": ", ".join(f"{value:.0f}" for value in subsets.get_group("75%")),
        "overlap": overlap.to_dict(),
        "offline": _span(nine["offline_hours"], ".0f", "-"),
        "online": f"{nine['online_hours'].iloc[0]:g}",
        "percent": _span(percent, ".2f", "-"),
    }


def _of_each(
    table: pd.DataFrame,
    say: Callable[[pd.DataFrame], str],
    whole: Callable[[pd.DataFrame], str] | None = None,
) -> str:
    """What there is to say of each dataset, by name where there are several; first of them all."""
    parts = table.groupby("dataset", sort=False)
    if parts.ngroups == 1:
        return say(table)
    each = "; ".join(f"{name} {say(part)}" for name, part in parts)
    return f"{whole(table)} ({each})" if whole else each


def _before_and_after(similarity: pd.DataFrame) -> str:
    means = similarity.groupby("side")["raw"].mean()
    return f"{means['before']:.2f} → {means['after']:.2f}"


def _tainted_of(gaps: pd.DataFrame) -> str:
    return f"{gaps['tainted'].sum()} of {len(gaps)}"


def _votes(verdicts: pd.DataFrame) -> dict[str, dict[str, str]]:
    """For each suspect the vote on each dataset that it is accused of, and whether it is wrong."""
    table: dict[str, dict[str, str]] = {}
    for row in verdicts.to_dict("records"):
        vote = f"{row['positive']} to {row['negative']}, {row['verdict']}"
        said = vote if row["correct"] else f"{vote}: **wrong**"
        table.setdefault(row["suspect"], {})[row["dataset"]] = said
    return table


def _named(verdicts: pd.DataFrame) -> str:
    """Who was judged, in words: "a of faq, b of faq and chat"; "none"."""
    datasets = verdicts.groupby("suspect", sort=False)["dataset"].unique()
    return ", ".join(f"{who} of {_listed(of)}" for who, of in datasets.items()) or "none"


def _copies(table: pd.DataFrame) -> str:
    every = table[table["category"] == "all"]
    counts = [f"{row.tainted} of {row.total}" for row in every.itertuples()]
    return counts[0] if len(set(counts)) == 1 else " and ".join(counts)


def _by_group(table: pd.DataFrame, prefix: str = "local ") -> str:
    sums = table.groupby("group", sort=False)[["correct", "total"]].sum()
    parts = sums.itertuples(name=None)
    return ", ".join(f"{group.removeprefix(prefix)} {k}/{n}" for group, k, n in parts)


def _tainted(verdicts: pd.DataFrame) -> int:
    return int(verdicts.groupby("dataset")["tainted"].first().sum())


def _by_selection(verdicts: pd.DataFrame) -> str:
    parts = verdicts.groupby(["selection", "member"], sort=False)
    right = {kind: _of(part) for kind, part in parts}
    return ", ".join(
        f"{what} {right['tainted', member]} (all of D: {right['all of D', member]})"
        for what, member in (("members", True), ("non-members", False))
    )


def _scores(table: pd.DataFrame) -> str:
    said = "recall {recall:g}, precision {precision:g}, F1 {f1:g}".format(**table.iloc[0])
    return said.replace("nan", "undefined")


def _of(table: pd.DataFrame) -> str:
    """Judged rightly: of rows with a total their sums, of rows of models the models."""
    total = table["total"].sum() if "total" in table else len(table)
    return f"{table['correct'].sum()}/{total}"


def _by_setting(table: pd.DataFrame) -> Iterable[tuple[Any, pd.DataFrame]]:
    return table.groupby("setting", sort=False)


def _positive(verdicts: pd.DataFrame, member: bool) -> pd.Series:
    return verdicts.loc[verdicts["member"] == member, "positive"]


def _span(values: pd.Series, form: str = "g", to: str = " to ") -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low}{to}{high}"


def _ranges(right: pd.Series, models: int) -> str:
    """Neighbouring thresholds with the same count of right verdicts, as one: "8/8 at 0.10-0.20"."""
    starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(right)) if a != b), len(right)]
    runs = [right.iloc[start:end] for start, end in pairwise(starts)]
    return ", ".join(
        f"{run.iloc[0]}/{models} at {_span(run.index.to_series(), '.2f', ' to ')}" for run in runs
    )


def _listed(items: Iterable) -> str:
    *first, last = map(str, items)
    return f"{', '.join(first)} and {last}" if first else last


def _vote_and_baseline(item: str) -> dict[str, pd.DataFrame]:
    return {str(method): part for method, part in reported(item).groupby("method")}


def _members_and_not(table: pd.DataFrame) -> str:
    """Sums over groups, once where every dataset has the same: "members 20/20, ..."."""
    member = ~table["group"].str.contains("non-")
    sums = table.groupby(["dataset", member], sort=False)[["correct", "total"]].sum()
    said = []
    for what, truth in (("members", True), ("non-members", False)):
        each = [f"{k}/{n}" for k, n in sums.xs(truth, level=1).itertuples(index=False)]
        said.append(f"{what} {each[0] if len(set(each)) == 1 else ' '.join(each)}")
    return ", ".join(said)


def _one_and_two(table: pd.DataFrame) -> str:
    parts = []
    for group, rows in table.groupby("group"):
        counts = ", ".join(map(str, rows["correct"]))
        name = str(group).removeprefix("non-members ")
        parts.append(f"{name} {counts} of {rows['total'].iloc[0]}")
    return "; ".join(parts)
