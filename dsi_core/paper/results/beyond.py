"""Numbers of notebooks 07 to 09, which go beyond the paper: grey box, attribution, imitation."""

from math import comb

import pandas as pd

from dsi_core.paper.results.claims import Read
from dsi_core.paper.results.said import Numbers, listed, span


def grey_box(read: Read) -> Numbers:
    """Notebook 07: methods that see token probabilities, beside the vote."""
    tally = read("grey_box_tally").set_index("method")
    groups = tally.drop(columns=["access", "needs"])
    pairs = groups.map(lambda text: [int(number) for number in text.split("/")])
    right = {
        str(method): "/".join(str(sum(numbers)) for numbers in zip(*row, strict=True))
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
        "beside_the_vote": _beside(right, tally["access"]),
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


def _beside(right: dict[str, str], access: pd.Series) -> dict[str, str]:
    """Name the methods that read probabilities and judge more, as many and fewer than the vote.

    lead: by how many suspects of all the best of them is ahead.
    """
    counts = pd.Series({method: int(said.split("/")[0]) for method, said in right.items()})
    ahead = counts[access == "probabilities"] - counts["black-box dataset inference"]
    parts = {"more": ahead > 0, "as_many": ahead == 0, "fewer": ahead < 0}
    named = {said: listed(ahead[which].index) for said, which in parts.items()}
    _, _, suspects = right["black-box dataset inference"].partition("/")
    return {**named, "lead": f"{ahead.max():.0f} of {suspects} suspects"}


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
        "error": span(100 * deals.groupby("attack")["error"].mean(), ".0f"),
        "held": span(100 * deals.groupby("attack")["held"].mean(), ".0f"),
        "least_held": f"{100 * deals['held'].min():.0f}",
        "members": f"{suspects.loc[suspects['member'], 'share'].min():.2f}",
        "innocent": f"{suspects.loc[~suspects['member'], 'share'].max():.2f}",
        "by_text": {m: f"{row['sum']} of {row['size']}" for m, row in by_method.iterrows()},
        "half_by_closeness": span(halves["share"], ".2f"),
        "weak": {m: f"{of_text[m, 'smollm2-weak']:.2f}" for m in ("vote", "closeness")},
        "like_d": {m: f"{of_text[m].filter(like='-iid').max():.2f}" for m in ("vote", "closeness")},
    }


def attribution(read: Read) -> Numbers:
    """Notebook 08: from which base does a tuned model come."""
    own = read("attribution_own_methods")
    released = read("attribution_released_methods")
    by_text = own[~own["method"].str.startswith("perplexity")].sort_values("correct").iloc[-1]
    chosen, chosen_released = (t[t["chosen"]].iloc[0] for t in (own, released))
    above = own.set_index("method").loc["perplexity above own"]
    return {
        "own": f"{chosen['method']}, chosen on the bases: {chosen['correct']}/{chosen['total']}",
        "own_right": f"{chosen['correct']} of {chosen['total']}",
        "own_above": f"{above['correct']} of {above['total']}",
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
        "judged": f"{made[['accepted', 'too close', 'length']].sum():.0f}",
        "budgets": span(read("imitation_budgets")["budget"].loc[lambda b: b > 0].astype(int)),
        "on_all": listed(sorted(on_all["positive"])),
        "on_other": listed(sorted(on_other["positive"])),
        "tainted": int(verdicts[["positive", "negative", "filtered"]].iloc[0].sum()),
    }
