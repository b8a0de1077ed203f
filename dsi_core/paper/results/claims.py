"""What the page of results says in words, and whether the tables bear it."""

from collections.abc import Callable

import pandas as pd

Read = Callable[[str], pd.DataFrame]  # a table of the figures' folder, by its name


def claims(read: Read) -> dict[str, bool]:
    """What the template says in words, and whether the tables bear it."""
    said: dict[str, bool] = {}
    for part in (_verdicts, _references, _evasions, _grey_box, _imitation, _calibration):
        said |= part(read)
    return said


def _verdicts(read: Read) -> dict[str, bool]:
    """Of 02 and 03, and of 04 where it judges them otherwise."""
    verdicts = read("sec6_2_verdicts")
    table6, table8 = read("table6_non_iid"), read("table8_no_selection")
    ours = table6[table6["method"] == "dataset inference"].reset_index(drop=True)
    changed = ours[ours["correct"] != table8["correct"]]
    lost = set(changed[["dataset", "group"]].itertuples(index=False, name=None))
    harsh = read("sec6_3_rules").query("member and delta > 0.8 and selection == 'all of D'")
    iid_verdicts = read("fig06_iid_positive_against_negative")
    accused_iid = iid_verdicts[~iid_verdicts["correct"]]
    faithful = read("table7_iid").query("method == 'DPDLLM (faithful)'")
    return {
        "who is missed is smollm2-weak, and nobody is accused": set(
            verdicts.loc[~verdicts["correct"], "suspect"]
        )
        == {"smollm2-weak"},
        "without selection all members of faq_swedish are lost, nothing else changes": lost
        == {("faq_swedish", "local members")},
        "at the released scale no member is found by all of D": not harsh["correct"].any(),
        "only on faq_swedish are IID non-members accused": set(accused_iid["dataset"])
        == {"faq_swedish"},
        "faithful calls all IID non-members of faq and chat members": not faithful.query(
            "dataset != 'faq_swedish'"
        )["correct"].any(),
    }


def _references(read: Read) -> dict[str, bool]:
    """Of 04, with more references."""
    fig9 = read("fig09_more_references")
    fooled = fig9["references"] == "Gemma-3 alone"
    return {
        "Gemma-3 alone calls all IID non-members members, the others none": not fig9.loc[
            fooled, "correct"
        ].any()
        and bool((fig9.loc[~fooled, "correct"] == fig9.loc[~fooled, "total"]).all()),
    }


def _evasions(read: Read) -> dict[str, bool]:
    """Of 05."""
    evaded = read("fig11a_rephrasing").groupby("setting")["correct"].sum()
    warm = read("fig11b_temperature").groupby("setting")["correct"].sum()
    removal = read("fig11c_removing_tainted_samples")
    removed = removal[removal["setting"] == "50% removed"]
    subsets = read("fig11d_subsets")
    subsets = subsets.assign(share_of_d=subsets["setting"].str.rstrip("%").astype(int))
    return {
        "greedy rephrasing changes nothing, at temperature 1 nobody is caught": evaded["none"]
        == evaded["smollm2 at 0"]
        and evaded["smollm2 at 1"] == 0,
        "who trains on D in other words is caught": bool(
            read("fig11a_rephrased_before_training")["correct"].all()
        ),
        "one more member is caught at temperature 0.5": warm[0.5] == warm[0.0] + 1
        and warm[0.0] == warm[1.0],
        "half of D suffices to be caught, a quarter does not": bool(
            subsets.loc[subsets["share_of_d"] >= 50, "correct"].all()
        )
        and not subsets.loc[subsets["share_of_d"] <= 25, "correct"].any(),
        "one of two members escapes by one sample after the removal": (
            removed["positive"] - removed["negative"]
        ).min()
        == -1
        and removed["correct"].sum() == 1,
    }


def _grey_box(read: Read) -> dict[str, bool]:
    """Of 07."""
    tally = read("grey_box_tally").set_index("method")
    by_probability = tally[tally["access"] == "probabilities"]
    shares = tally.drop(columns=["access", "needs"]).map(lambda text: len(set(text.split("/"))))
    right_everywhere = (shares == 1).all(axis=1)
    leak = read("grey_box_leak")
    vote = leak["method"] == "black-box dataset inference"
    others = leak[~vote].pivot(index="method", columns="suspect", values="verdict")
    accused = others["smollm2-full on validation"]
    return {
        "what reads probabilities finds all members": set(by_probability["local members"])
        == {"4/4"},
        "the neighbourhood attack errs nowhere": right_everywhere["neighbours"]
        and right_everywhere["DIA (few)"],
        "SaMIA and CDD miss one member": set(tally.loc[["SaMIA", "CDD"], "local members"])
        == {"3/4"},
        "with the leaked set all grey-box methods miss the member, the vote is right": bool(
            leak.loc[vote, "correct"].all()
        )
        and bool((others["smollm2-full on D + validation"] == "non-member").all()),
        "only DIA accuses who trained on the leaked set alone": set(
            accused.index[accused == "member"]
        )
        == {"DIA (few)", "DIA (released)"},
    }


def _imitation(read: Read) -> dict[str, bool]:
    """Of 09."""
    imitators = read("imitation_verdicts")
    scores = read("imitation_budgets").query("metric == 'rouge_l'").set_index("model")["mean"]
    return {
        "who saw all of D is caught, who saw none is cleared, the rest is missed": bool(
            imitators.loc[imitators["seen"].isin([0, 1]), "correct"].all()
        )
        and not imitators.loc[imitators["seen"].between(0.1, 0.9), "correct"].any(),
        "no imitator comes closer to the target than its untuned base": scores.filter(
            like="imitator of"
        ).max()
        < scores["imitator's base, untuned"],
    }


def _calibration(read: Read) -> dict[str, bool]:
    """Of 10."""
    choice = read("calibration_choice")
    accuser = read("calibration_accuser").groupby("tries")
    tried = read("calibration_weak").query("twin == 'wording twin'")
    supports = read("calibration_strata")["smallest_p"].max()
    known = read("calibration_controls").set_index("model")
    reworded, alike = (known[known["kind"] == k] for k in ("D in other words", "data like D"))
    return {
        "the statistic of an audit is the one chosen on the development draws": bool(
            (choice["chosen"] == choice["default"]).all()
        ),
        "who tries again accuses more, who shares alpha does not": accuser["accused"]
        .min()
        .is_monotonic_increasing
        and bool((accuser["shared"].max() <= 0.075).all()),
        "a wording twin clears who was tuned on the other wording": bool(
            (tried.loc[tried["kind"] == "on D's other wording", "p"] > 0.5).all()
        ),
        "these controls cannot support a finding at 0.05": bool(supports > 0.05),
        "who learnt D in other words leans more than a half-learnt member, and is voted one": bool(
            (reworded["lean"] > known["lean"]["smollm2-weak"]).all()
            and reworded["lean"].min() > alike["lean"].max()
            and (reworded["vote"] == "member").all()
        ),
    }
