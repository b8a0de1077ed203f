"""What figures find: a sentence that is true of the table, whichever way it came out."""

import math

import pandas as pd
import pytest
from helpers import table

from dsi_core.plots import texts
from dsi_core.plots.findings import (
    attribution,
    audit,
    calibration,
    evasions,
    grey_box,
    imitation,
    variants,
    vote,
    words,
)

NAN = math.nan


@pytest.mark.parametrize(
    "part, whole, said",
    [
        (4, 4, "all 4 members"),
        (2, 2, "both members"),
        (0, 4, "none of 4 members"),
        (3, 4, "3 of 4 members"),
        (1, 1, "the one member"),
        (0, 1, "no member (of one)"),
    ],
)
def test_so_many_of_so_many(part, whole, said):
    assert words.share(part, whole, "members") == said


def judged(*calls):
    return table("member verdict", *calls)


@pytest.mark.parametrize(
    "calls, said",
    [
        (
            [(True, "member"), (True, "non-member"), (False, "member")],
            "The vote finds 1 of 2 members and accuses the one non-member",
        ),
        ([(False, "non-member")] * 3, "The vote accuses none of 3 non-members"),
        (
            [(True, "member"), (True, "inconclusive")],
            "The vote finds 1 of 2 members; 1 stay inconclusive",
        ),
    ],
)
def test_the_vote_finds_and_accuses(calls, said):
    assert vote.both_sides(judged(*calls), "The vote") == said


def evaded(*caught, settings=("100%", "50%", "25%"), members="ab"):
    """Of members a, b and c: those in a word are caught at its setting."""
    rows = [
        (setting, member, member in who)
        for setting, who in zip(settings, caught, strict=True)
        for member in members
    ]
    return table("setting suspect correct", *rows)


@pytest.mark.parametrize(
    "caught, said",
    [
        (
            ("ab", "ab", ""),
            "Below half of D the vote breaks: down to it both members are found, below it none is",
        ),
        (
            ("ab", "a", ""),
            "Below 100% of D the vote breaks: down to it both members are found, "
            "below it at most 1 of 2",
        ),
        (("ab", "ab", "ab"), "Down to 25% of D the vote finds both members"),
        (("a", "", ""), "At 100% of D the vote already misses 1 of 2 members"),
    ],
)
def test_where_the_vote_breaks_is_read_from_the_table(caught, said):
    assert evasions.subsets(evaded(*caught)) == said


def test_the_vote_breaks_for_one_member():
    said = "Below half of D the vote breaks: down to it the one member is found, below it none is"
    assert evasions.subsets(evaded("a", "a", "", members="a")) == said


@pytest.mark.parametrize(
    "caught, said",
    [
        (
            ("ab", "a", ""),
            "hides both members that are found without it (25%), 1 of them (50%)",
        ),
        (
            ("ab", "ab", ""),
            "hides both members that are found without it (25%), none of them (50%)",
        ),
        (("ab", "", ""), "hides both members that are found without it (50% and 25%)"),
        (("ab", "ab", "ab"), "hides nobody: at every setting the vote finds both members"),
        (
            ("a", "ab", "a"),
            "hides not the one member found without it; one more is found at 50%",
        ),
        (
            ("ab", "abc", "abc"),
            "hides none of the 2 members found without it; one more is found at 50% and 25%",
        ),
        (
            ("a", "abc", "ab"),
            "hides not the one member found without it; up to 2 more are found at 50% and 25%",
        ),
        (
            ("a", "a", "a"),
            "hides nobody: at every setting the vote finds the one member",
        ),
        (
            ("ab", "ac", "abc"),
            "hides 1 of 2 members that are found without it (50%), none of them (25%)",
        ),
    ],
)
def test_an_evasion_hides_members_or_nobody(caught, said):
    rows = evaded(*caught, members=sorted(set("".join(caught))))
    assert evasions.evasion(rows, "Rephrasing") == f"Rephrasing {said}"


def test_who_is_found_at_no_setting_is_not_hidden():
    assert evasions.evasion(evaded("a", "a", "a"), "Rephrasing") == (
        "Rephrasing hides not the one member found without it; nobody else is found anywhere"
    )


def test_an_evasion_cannot_hide_whom_nobody_found():
    rows = evaded("", "a", "")
    found = "without it the vote finds none of 2 members"
    assert evasions.evasion(rows, "Rephrasing") == f"Rephrasing: {found}"


@pytest.mark.parametrize(
    "caught, without, said",
    [
        (("ab",), None, " was not tried: without it the vote finds both members"),
        (("b", "ab"), "50%", " hides 1 of 2 members that are found without it (100%)"),
        (("ab", "b"), "50%", " hides not the one member found at 50%; one more is found at 100%"),
        (("b", "ab"), "70%", ": at every setting the vote finds 1 to 2 of 2 members"),
    ],
)
def test_an_evasion_is_held_against_the_setting_that_is_none(caught, without, said):
    rows = evaded(*caught, settings=("100%", "50%")[: len(caught)])
    assert evasions.evasion(rows, "Warmth", without) == f"Warmth{said}"


def test_samples_are_tainted():
    assert vote.gaps(pd.DataFrame({"tainted": [True, False]}), 0.3) == (
        "1 of 2 samples are tainted: every reference moves by more than 0.3"
    )
    assert vote.gaps(pd.DataFrame({"tainted": [False]}), 0.3) == (
        "No sample (of one) is tainted: on none does every reference move by more than 0.3"
    )


@pytest.mark.parametrize(
    "after, said",
    [
        (0.9, "both references closer to D's, by 0.40 or more"),
        (0.1, "1 of 2 references closer to D's"),
    ],
)
def test_tuning_brings_answers_closer_or_not(after, said):
    rows = table(
        "reference side similarity",
        ("a", "before", 0.5),
        ("a", "after", after),
        ("b", "before", 0.2),
        ("b", "after", 0.7),
    )
    assert vote.similarity(rows).endswith(said)


def test_training_ends_where_the_last_epoch_does():
    rows = table("model_id epoch loss", ("R^t a", 1, 2.0), ("R^t a", 2, 0.1), ("R b", 1, 3.0))
    assert vote.losses(rows) == "Training on D ends at 0.10 nats per token (0 = known by heart)"
    assert vote.losses(rows[2:]) == "Training ends at 3.00 nats per token"


EVIDENCE = table(
    "suspect member evidence",
    *[("m", True, e) for e in (0.1, 0.5, 0.9)],
    *[("n", False, e) for e in (0.0, 0.2, 0.6)],
)


def test_evidence_by_its_median():
    said = "The median sample is positive for the one member and no non-member (of one)"
    assert vote.evidence(EVIDENCE, 0.3) == said
    assert vote.evidence(EVIDENCE[3:], 0.1).endswith("for the one non-member")
    on_all = "On all of D the vote finds the one member and accuses no non-member (of one)"
    assert variants.everywhere(EVIDENCE, 0.3) == on_all
    silent = pd.concat([EVIDENCE, table("suspect member evidence", ("s", True, NAN))])
    assert variants.everywhere(silent, 0.3) == (
        "On all of D the vote finds 1 of 2 members and accuses no non-member (of one); "
        "1 stay inconclusive"
    )


def moved(*verdicts):
    values = [0.1, 0.2, 0.3, 0.4]
    return pd.DataFrame(
        {"dataset": "d", "suspect": "m", "setting": "delta", "value": values, "verdict": verdicts}
    )


def test_how_far_a_setting_may_move():
    some = moved("non-member", "member", "member", "non-member")
    assert variants.moved_settings(some, {"delta": 0.3}) == (
        "No verdict changes while delta is 0.2 to 0.3"
    )
    alone = moved("member", "non-member", "member", "non-member")
    assert variants.moved_settings(alone, {"delta": 0.3}).endswith("while delta is 0.3")
    assert "none of those" in variants.moved_settings(alone, {"delta": 0.7})


GRID = table(
    "dataset delta_t delta_s correct total", ("faq", 0.2, 0.3, 3, 4), ("faq", 0.3, 0.3, 4, 4)
)


def test_thresholds_in_use_and_at_best():
    assert variants.grid(GRID, (0.2, 0.3)).endswith("3 of 4 suspects rightly, the best pair 4")
    assert variants.grid(GRID, (0.3, 0.3)).endswith("4 of 4 suspects rightly; none do better")
    assert variants.grid(GRID, (0.9, 0.3)) == "faq: 4 of 4 suspects are judged rightly at best"


@pytest.mark.parametrize("whole, begins", [(0.2, "Selection decides at 0.90"), (0.7, "nothing")])
def test_selection_decides_or_not(whole, begins):
    rows = table(
        "delta rule selection member share",
        (0.9, "text", "tainted", True, 0.8),
        (0.9, "text", "all of D", True, whole),
    )
    said = variants.selection(rows)
    assert begins in said and "(rule: text)" in said
    assert said.endswith(f"tainted samples find 1, all of D {int(whole > 0.5)}")


def test_which_references_accuse():
    rows = table("references correct total", ("one alone", 0, 2), ("two each", 2, 2))
    said = "One alone clears none of 2 models that trained on data like D; two each clear all"
    assert variants.detection(rows) == said
    assert variants.detection(rows[1:]).startswith("Every set of references clears")


def test_a_positive_majority_or_none():
    rows = table("references positive negative", ("one alone", 30, 10), ("two each", 5, 20))
    said = "Samples that stay tainted: one alone 40; two each 25. "
    assert variants.votes_by_references(rows) == (
        said + "A positive majority arises only with one alone"
    )
    assert variants.votes_by_references(rows[1:]).endswith("arises with no set")
    few = table("references positive negative", ("both", 5, 3), ("both", 4, 26))
    assert variants.votes_by_references(few).endswith(
        "both 30. A positive majority arises only with both"
    )


def test_what_the_adversary_removed():
    rows = table(
        "status removed samples",
        ("positive", True, 3),
        ("positive", False, 1),
        ("negative", False, 0),
    )
    assert evasions.overlap(rows) == "The adversary removed 3 of 4 positive tainted samples"


KNOWN = table(
    "model member lean", ("a", True, 3.0), ("w", True, 1.0), ("i", False, 2.0), ("M", None, 9.0)
)


def test_members_lean_further_or_an_innocent_is_between():
    said = "Beyond every non-member: 1 of 2 members; i leans further than w"
    assert audit.known_models(KNOWN) == said
    strong = KNOWN[KNOWN["model"] != "w"]
    assert audit.known_models(strong) == "Beyond every non-member: the one member"
    assert audit.known_models(KNOWN[:2]).startswith("How far known models lean")


def test_the_suspect_among_innocents():
    assert audit.strata(KNOWN).endswith("further than the one innocent model")
    assert audit.strata(KNOWN[:3]).startswith("How far known models lean")


def test_an_audit_of_a_kit_finds_or_does_not():
    rows = table("value published", (0.5, True), (-0.1, True), (NAN, True), (0.2, False))
    assert audit.preference(rows).startswith("2 of 3 samples lean to the published wording, bey")
    assert audit.closeness(rows).endswith(": 0.20 to published texts, 0.20 to withheld texts")
    assert audit.closeness(rows[:1]).endswith(": 0.50 to published texts")
    assert audit.closeness(rows[2:]).endswith("answers: 0.20 to withheld texts")
    assert audit.closeness(rows[2:3]) == "No answer is usable"
    tries = table("after crossed", (8, False), (16, True))
    assert audit.looks(tries) == "Found after 16 samples"
    assert audit.looks(tries[:1]) == "Nothing found in 8 samples"


def test_the_base_that_is_found():
    rows = table(
        "method chosen correct total chance", ("a", False, 3, 4, 0.5), ("b", True, 1, 4, 0.5)
    )
    assert attribution.methods(rows) == (
        "Chosen on the bases, b finds the base of 1 of 4 models by their replies' mean score "
        "(guessing, 2)"
    )
    assert attribution.methods(rows[:1]).startswith("No method could be chosen; the best finds")
    rows = (("b", "m", "x", "x", 0.4), ("b", "m", "x", "y", 0.6))
    votes = table("method model base voted share", *rows)
    said = "If each reply votes, b finds the base of no model (of one)"
    assert attribution.base_votes(votes) == said


@pytest.mark.parametrize(
    "lows, said",
    [
        ((0.1, 0.2), "More pairs bring the imitator closer to its target"),
        ((0.1, -0.2), "More pairs bring the imitator closer by ROUGE-L; else"),
        ((-0.1, -0.2), "Whether more pairs bring the imitator closer, these data do not tell"),
    ],
)
def test_more_pairs_help_where_the_slope_is_surely_positive(lows, said):
    fits = pd.DataFrame({"metric": ["r", "b"], "low": lows})
    assert imitation.budgets(fits, {"r": "ROUGE-L", "b": "BERTScore"}).startswith(said)


# Calibration


def test_effects_are_confirmed_or_not():
    rows = table("draws low", ("confirmation", 0.1), ("confirmation", -0.1), ("development", 0.3))
    assert "the intervals of 1 of 2 effects lie above 0" in calibration.statistics(rows)
    assert calibration.statistics(rows.assign(low=NAN)).endswith("one draw has no interval")


def test_coins_thrown_anew_accuse_so_often():
    rows = table("level share", (0.05, 0.04), (0.05, 0.06), (0.5, 0.9))
    assert "4.0% to 6.0% of the time" in calibration.null(rows, 0.05)
    assert calibration.null(rows, 0.01).startswith("Share of coins")


def test_who_is_found_at_alpha():
    rows = table("twin who p", ("A", "weak", 0.01), ("A", "weak", 0.2), ("B", "weak", 0.5))
    assert calibration.p_values(rows, 0.05, "who") == "Found at 0.05: A: weak (1 of 2); B: nobody"


def test_a_way_of_asking_hides_or_does_not():
    rows = table("twin model shift p", ("A", "m", "usual", 0.01), ("A", "m", "brief", 0.2))
    member = rows.assign(kind="weak member")
    assert calibration.shifts(member, 0.05) == "m is lost to the A when asked brief"
    assert calibration.shifts(member[:1], 0.05).startswith("However a model is asked")
    accused = "m is accused by the A when asked usual"
    innocent = rows.assign(kind="innocent")
    assert calibration.shifts(innocent, 0.05) == calibration.shifts(innocent[:1], 0.05) == accused
    assert calibration.shifts(innocent[1:], 0.05).startswith("However a model is asked")
    other = rows.assign(kind="on D's other wording")
    assert calibration.shifts(other, 0.05) == "m is lost to the A when asked brief"
    wording = calibration.shifts(other.assign(twin="wording twin"), 0.05)
    assert wording == "m is accused by the wording twin when asked usual"


def test_from_which_loss_on_members_are_found():
    rows = table("twin final_loss found", ("A", 0.5, 1.0), ("A", 2.0, 0.9), ("B", 0.5, 0.4))
    assert calibration.strengths(rows).endswith("A at 0.5 or less; B never")
    close = table("twin final_loss found", ("A", 0.96, 1.0), ("A", 0.99, 0.2))
    assert calibration.strengths(close).endswith("A at 0.9 or less")
    small = table("twin final_loss found", ("A", 0.0816667, 1.0), ("A", 0.25, 0.9))
    assert calibration.strengths(small).endswith("A at 0.081 or less")
    least = table("twin final_loss found", ("A", 0.00046, 1.0), ("A", 0.25, 0.9))
    assert calibration.strengths(least).endswith("A at 0.00046 or less")


def test_which_exposure_is_found():
    rows = table("exposure found", ("all", 1.0), ("half", 0.0), ("half", 1.0), ("bit", 0.0))
    said = "Always found: all; not always: half; never: bit"
    assert calibration.exposures(rows) == said
    assert calibration.exposures(rows[1:]) == "Not always: half; never: bit"
    assert calibration.exposures(rows[:1]) == "Always found: all"


def test_trying_again_accuses():
    rows = table("tries accused shared", (1, 0.05, 0.05), (20, 0.6, 0.01), (20, 0.62, 0.01))
    assert calibration.accuser(rows).startswith("Reporting the best of 20 tries accuses 60% to")


def test_who_finds_members_without_an_innocent():
    rows = table(
        "model kind method accused",
        ("a", "weak member", "vote", True),
        ("b", "innocent", "vote", False),
        ("a", "weak member", "other", True),
        ("b", "innocent", "other", True),
        ("c", "innocent", "other", False),
    )
    spared = "Vote finds the one member and accuses no innocent (of one)"
    assert calibration.accused(rows) == f"{spared}; other finds 1 and accuses 1 of 2"
    assert calibration.accused(rows[2:]) == "Every method accuses an innocent"


# Grey box


def test_attacks_part_members_or_do_not():
    rows = table(
        "attack member auc",
        ("a", True, 0.9),
        ("a", False, 0.6),
        ("b", True, 0.5),
        ("b", False, 0.6),
    )
    assert grey_box.auroc(rows).startswith("1 of 2 attacks rank every member above")
    assert grey_box.auroc(rows[:2]).startswith("The one attack")


def test_dia_by_twice_the_median():
    rows = table(
        "suspect member features p",
        ("m", True, "few", 0.02),
        ("m", True, "few", 0.04),
        ("n", False, "few", 0.06),
    )
    said = "DIA with few features finds the one member and accuses no non-member (of one)"
    assert grey_box.splits(rows, 0.1) == said


def test_intervals_hold_the_true_share_or_do_not():
    rows = table("true low high", (0.5, 0.4, 0.6), (0.5, 0.6, 0.7))
    assert grey_box.shares_held(rows) == "The true share lies in 1 of 2 intervals"
    none = rows.assign(low=math.nan)  # as of a vote without a sample
    assert grey_box.shares_held(pd.concat([rows, none])) == grey_box.shares_held(rows)


def test_methods_that_judge_all_rightly():
    rows = table("method correct", ("vote", False), ("vote", True), ("dia", True), ("dia", True))
    assert grey_box.beside(rows) == "Only dia judges both suspects rightly"
    assert grey_box.beside(rows[:2]) == "No method judges both suspects rightly; vote: 1"
    more = pd.concat([rows, rows[2:].assign(method="loss")])
    assert grey_box.beside(more) == "2 of 3 methods judge both suspects rightly; vote 1 of them"


def test_words_that_stand_in_the_oracle():
    part = "A (B) before tuning on D (raw similarity 0.10)"
    pieces = [("no", False), (" ", True), ("yes", True)]
    rows = table("part piece shared", *((part, *piece) for piece in pieces))
    said = "1 of 2 words and marks stand in the oracle output, in its order"
    assert texts.shared_words(rows) == f"A (B) before tuning on D: {said}"
