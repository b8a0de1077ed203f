"""Numbers of notebook 10 and of audits: how often exact tests err, and what they find."""

import numpy as np
import pandas as pd

from dsi_core.paper.results.claims import Read
from dsi_core.paper.results.said import Numbers, listed, span


def audits(read: Read) -> Numbers:
    """Notebook 10 and audits of served models."""
    return {**_served(read), **_errors(read), **_power(read), **_accuser(read), **_controls(read)}


def _served(read: Read) -> Numbers:
    """Audits of served models, and of assistants whose answers were given."""
    served = read("audit_served")
    of_models = served["server"] != "its answers on loopback"
    assistants = served[~of_models]
    # their answers lie in files, so that a system prompt changes none of them
    assistants = assistants.drop_duplicates(["suspect", "twin", "planned", "p"])
    found = assistants["answer"] == "found"
    return {
        "served": list(served[of_models].itertuples()),
        "assistants": len(assistants),
        "assistants_found": int(found.sum()),
        "assistants_who": listed(sorted(set(assistants.loc[found, "suspect"]))),
        "assistants_at_001": int((assistants["p"] <= 0.01).sum()),
    }


def _errors(read: Read) -> Numbers:
    """How often exact tests accuse innocents."""
    errors = read("calibration_errors")
    looked = errors[errors["circumstance"].str.startswith("stopped")]
    by_model = read("calibration_errors_by_model")
    tried = read("calibration_weak")
    clear = tried[tried["kind"] == "innocent"]
    shifts = read("calibration_shifts")
    return {
        "innocents": by_model["model"].nunique(),
        "coins": f"{by_model['tests'].max():,}",
        "errors": {
            kind: " and ".join(f"{r.share:.2%} at {r.level:g}" for r in part.itertuples())
            for kind, part in looked.groupby("kind")
        },
        "within": f"{int(errors['not_above'].sum())} of {len(errors)}",
        "models_within": f"{int(by_model['not_above'].sum())} of {len(by_model)}",
        "innocent": {twin: _at_005(part) for twin, part in clear.groupby("twin")},
        "shifts": shifts["shift"].nunique(),
        "shifted": {
            kind: {twin: _at_005(rows) for twin, rows in part.groupby("twin")}
            for kind, part in shifts.groupby("kind")
        },
    }


def _power(read: Read) -> Numbers:
    """What exact tests find, of whom."""
    exposures = read("calibration_exposures")
    choice = read("calibration_choice").query("chosen").iloc[0]
    weak = read("calibration_weak_summary").query("who == 'weak member'").set_index("twin")
    strengths = read("calibration_strengths").groupby("twin")
    half_learnt = read("calibration_weak").query("who == 'weak member'")
    return {
        "statistic": choice["measure"],
        "greedy": f"{choice['greedy']:.2f} there and {choice['confirmed_greedy']:.2f} on others",
        "new_rows": f"{choice['new_rows_greedy']:.2f}",
        "sampled": f"{choice['sampled']:.2f} and {choice['confirmed_sampled']:.2f}",
        "share_draws": _draws(exposures, "50% of D"),
        "whole_draws": _draws(exposures, "100% of D"),
        "draws": int(weak["models"].iloc[0]),
        "weak": {twin: _found(row) for twin, row in weak.iterrows()},
        "weak_least": {twin: f"{row['found_least']:.0%}" for twin, row in weak.iterrows()},
        "weaker": {
            twin: {row["share"]: f"{row['found']:.0%}" for _, row in part.iterrows()}
            for twin, part in read("calibration_weaker").groupby("twin")
        },
        "strengths": {twin: _from_which_loss(part) for twin, part in strengths},
        "weak_losses": span(half_learnt["final_loss"], ".2f"),
        "exposures": {
            twin: ", ".join(f"{r.exposure} {r.found:.0%}" for r in part.itertuples())
            for twin, part in exposures.groupby("twin")
        },
        "tally": read("calibration_beside_tally").fillna("-").to_dict("records"),
    }


def _accuser(read: Read) -> Numbers:
    """Whom an accuser finds who tries again and again."""
    accuser = read("calibration_accuser")
    most = accuser["tries"].max()
    last = accuser[accuser["tries"] == most]
    return {
        "tries": int(most),
        "accused": span(last["accused"], ".0%"),
        "shared": span(last["shared"], ".1%"),
    }


def _controls(read: Read) -> Numbers:
    """What controls by strata can support, and what the blind check sees."""
    strata = read("calibration_strata")
    known = read("calibration_controls")
    blind = read("calibration_blind_check").set_index("against").loc["faq_iid"]
    return {
        "controls": int(strata["controls"].sum()),
        "strata": len(strata),
        "supports": f"{strata['smallest_p'].max():.2g}",
        "known_members": listed(known.loc[known["member"], "p"].map("{:.2g}".format)),
        "reworded": listed(
            f"{row['lean']:.2f} ({row['base']}, {row['positive']} to {row['negative']})"
            for row in known[known["kind"] == "D in other words"].to_dict("records")
        ),
        "assistants_lean": _leans(known[known["kind"] == "answers"]),
        "retrieval_leans": _leans(known[known["kind"] == "retrieval"]),
        "alike": f"{known.loc[known['kind'] == 'data like D', 'lean'].max():.2f}",
        "half_learnt": f"{known.set_index('model')['lean']['smollm2-weak']:.2f}",
        "blind_iid": f"{blind['auc']:.2f} ({blind['low']:.2f} to {blind['high']:.2f})",
    }


def _leans(known: pd.DataFrame) -> str:
    return listed(known["lean"].sort_values().map("{:.2f}".format))


def _at_005(tests: pd.DataFrame) -> str:
    """How many tests find at 0.05."""
    return f"{int((tests['p'] <= 0.05).sum())} of {len(tests)}"


def _found(row: pd.Series) -> str:
    """How often, and after how many samples."""
    found = f"{row['found']:.0%} of orders"
    after = row["samples_to_find"]
    return f"{found}, after {after:g} samples in the median" if np.isfinite(after) else found


def _draws(exposures: pd.DataFrame, exposure: str) -> int:
    """On how many draws a model was tuned so."""
    return int(exposures.loc[exposures["exposure"] == exposure, "models"].max())


def _from_which_loss(strengths: pd.DataFrame) -> str:
    """The highest mean loss of each base at which 9 of 10 orders find a member."""
    said = []
    for base, part in strengths.groupby("group", sort=False):
        found = part.loc[part["found"] >= 0.9, "final_loss"]
        said.append(f"{base} {found.max():.2f}" if len(found) else f"{base} at none")
    return ", ".join(said)
