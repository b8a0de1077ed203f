"""Grey-box methods beside the black box: who is compared, which number goes where, and tables worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from helpers import change, says, table

from dsi_core.data import pairs
from dsi_core.grey_box import collect, dia, leak, mia_compare, mia_loss
from dsi_core.grey_box import tables as grey_box_tables
from dsi_core.method import study
from dsi_core.method.study import Study
from dsi_core.models import responses, toy, tuning
from dsi_core.settings.schema import Endpoint, Model, Suspect

TRUTH = dict(dataset="dozen", group="g", member=True)


@pytest.fixture(scope="module")
def run():
    return study.start("smoke")


# Who is compared


def test_samples_are_apart_from_everything(run):
    found = collect.samples(run)
    assert found.groupby("part").size().to_dict() == {"D": 12, "validation": 12, "prefix": 2}
    assert not found["sample_id"].duplicated().any()
    assert found.groupby("part")[["compared", "asked"]].sum().loc[
        ["D", "validation"]
    ].to_numpy().tolist() == [[4, 4], [4, 4]]
    assert set(found.query("part == 'D'")["sample_id"]) == set(run.pairs["sample_id"])
    pd.testing.assert_frame_equal(collect.samples(study.start("smoke", suite="iid")), found)
    other = collect.samples(study.start("smoke", seed=1))
    assert set(other.query("part == 'prefix'")["sample_id"]) != set(
        found.query("part == 'prefix'")["sample_id"]
    )
    few = Study(change(run.profile, grey_box={"samples": 5}), run.pairs)
    assert (collect.samples(few)["part"] == "D").sum() == 5


def test_validation_pairs_are_those_that_no_dataset_holds(smoke):
    half = change(smoke.data["dozen"], rows=5)
    profile = change(
        smoke,
        data={
            "dozen": half,
            "rest": change(half, rows=4, apart_from="dozen"),
            "other": smoke.data["other"],
        },
    )
    held = {i for n in ("dozen", "rest") for i in pairs.load_pairs(profile, n)["sample_id"]}
    left = pairs.untouched(profile, "v", change(half, rows=None))
    assert len(held) == 9 and len(left) == 3 and not held & set(left["sample_id"])
    assert len(pairs.untouched(profile, "v", change(half, rows=2))) == 2
    with pytest.raises(ValueError, match="rows is 4, but only 3"):
        pairs.untouched(profile, "v", change(half, rows=4))
    with pytest.raises(ValueError, match="no pair left for v: the profile's datasets hold all 12"):
        pairs.untouched(change(profile, data={"dozen": smoke.data["dozen"]}), "v", half)


def test_a_leaked_validation_set_is_a_dataset_like_any_other(run, empty_store):
    leaked, theirs = leak.accused(run), collect.samples(run)
    pd.testing.assert_frame_equal(collect.samples(leaked), theirs)  # it stays the validation set
    ids = {
        p: set(theirs.loc[theirs["part"] == p, "sample_id"]) for p in ("D", "validation", "prefix")
    }
    both, alone = leaked.profile.suspects
    assert (both.name, both.member, both.base, both.recipe) == (
        "llama-full on D + validation",
        True,
        "llama",
        "heart",
    )
    seen = [
        set(tuning.training_pairs(leaked.profile, "dozen", s)["sample_id"]) for s in (both, alone)
    ]
    assert seen == [ids["D"] | ids["validation"], ids["validation"]] and not alone.member
    assert toy.texts_key(leaked.profile) == toy.texts_key(
        run.profile
    )  # no model has to be made anew
    assert leak.accused(run).profile.data == leaked.profile.data
    innocent = [s for s in run.profile.suspects if not s.member]
    with pytest.raises(ValueError) as error:
        leak.accused(Study(change(run.profile, suspects=innocent), run.pairs))
    says(error, "'smoke'", "no local suspect is a member")


def test_what_does_not_fit_is_refused(run):
    def refused(*parts, **changes):
        with pytest.raises(ValueError) as error:
            collect.samples(Study(change(run.profile, **changes), run.pairs))
        says(error, *parts)

    refused("'smoke'", "no section grey_box", grey_box=None)
    refused("none of the victims dozen", grey_box={"validation": {}})
    refused("validation of 'dozen' has 14 pairs", "13 go to the prefix", grey_box={"shots": 13})


def test_a_model_behind_an_endpoint_shows_no_probabilities(run):
    far = Model(endpoint=Endpoint(base_url="http://localhost:1", model="m"))
    suspect = Suspect(name="far-away", member=False, base="far")
    profile = change(run.profile, models={**run.profile.models, "far": far}, suspects=[suspect])
    with pytest.raises(ValueError, match="far-away: behind an endpoint"):
        collect.token_values([Study(profile, run.pairs)])


def test_the_two_sets_are_shown_to_be_alike(run):
    found = collect.sets(run).iloc[0]
    assert found[
        ["samples", "validation", "prefix", "compared", "asked", "near_duplicates"]
    ].tolist() == [12, 12, 2, 4, 4, 0]
    assert found["low"] < found["blind_auc"] < found["high"]


def test_versions_of_the_texts(run):
    samples = collect.samples(run)
    read = collect.texts(run, samples)
    assert read["variant"].value_counts().to_dict() == {
        "original": 24,
        "lowercase": 8,
        "neighbour 1": 8,
        "neighbour 2": 8,
        "recall": 8,
    }
    assert not set(read["sample_id"]) & set(samples.query("part == 'prefix'")["sample_id"])
    some = read[
        read["sample_id"] == read.loc[read["variant"] == "recall", "sample_id"].iloc[0]
    ].set_index("variant")["answer"]
    assert (
        some["recall"] == some["original"]
        and some["lowercase"] == some["original"].lower()
        and some["neighbour 1"] != some["original"]
    )
    assert read.groupby("sample_id", sort=False)["variant"].first().eq("original").all()


def test_every_chosen_sample_is_asked_once(run, empty_store, monkeypatch):
    two = Study(change(run.profile, suspects=run.profile.suspects[:2]), run.pairs)
    jobs = []

    def ask(some):
        jobs.extend(some)
        for job in some:
            profile, victim, name, trained, questions = job.args
            rows = [
                {"sample_id": i, "draw": d, "response": f"{name} {d} {job.kwargs['temperature']:g}"}
                for i in questions["sample_id"]
                for d in range(job.kwargs["draws"])
            ]
            with responses.appending(
                responses.entry(profile, victim, name, trained, job.kwargs["temperature"])
            ) as write:
                write(rows)

    monkeypatch.setattr(collect.work, "run", ask)
    found = collect.answers([two])
    assert len(jobs) == 4 and len({j.name for j in jobs}) == 4  # two suspects, sampled and greedy
    assert (
        len(found) == 2 * 8 * (3 + 1)
        and found.groupby(["suspect", "part", "draw"]).size().eq(4).all()
    )
    assert (
        found["response"]
        == [f"{r.suspect} {max(r.draw, 0)} {0 if r.draw < 0 else 1}" for r in found.itertuples()]
    ).all()
    chosen = collect.samples(two).query("asked and part != 'prefix'").set_index("sample_id")
    assert (found["output"] == chosen.loc[found["sample_id"], "output"].to_numpy()).all()
    pd.testing.assert_frame_equal(collect.answers([two]), found)
    assert len(jobs) == 4  # nothing is asked twice


# Which number goes where


def values_of(models, samples=8):
    """Token values as `token_values` returns them: models[name](part, variant, i) = the mean log-probability of the answer's three tokens."""
    rows = []
    for name, mean in models.items():
        for part in ("D", "validation"):
            for i in range(samples):
                for variant in (
                    ("original", "lowercase", "neighbour 1", "neighbour 2", "recall")
                    if not name.startswith("reference ")
                    else ("original",)
                ):
                    given = {"original": 1, "recall": 2}.get(variant, 0)
                    m = mean(part, variant, i)
                    logs = [-9.0] * given + [m - 0.3, m, m + 0.3]
                    rows.append(
                        (
                            "dozen",
                            name,
                            part,
                            f"{part}{i}",
                            variant,
                            given,
                            logs,
                            [-2.0] * len(logs),
                            [0.5] * len(logs),
                            "Who?",
                            "The ferryman.",
                        )
                    )
    return table(
        "dataset model part sample_id variant given logprobs means stds prompt output", *rows
    )


def told_of(people, samples=2):
    rows = [
        (
            "dozen",
            p,
            part,
            f"{part}{i}",
            "The ferryman.",
            draw,
            "The ferryman." if part == "D" else f"No {draw} {i}",
        )
        for p in people
        for part in ("D", "validation")
        for i in range(samples)
        for draw in (-1, 0, 1)
    ]
    return table("dataset suspect part sample_id output draw response", *rows)


def test_every_attack_gets_its_own_numbers(run):
    means = {
        "original": -1.0,
        "lowercase": -3.0,
        "neighbour 1": -2.0,
        "neighbour 2": -4.0,
        "recall": -0.5,
    }
    values = values_of(
        {
            "llama-full": lambda part, variant, i: means[variant] - 0.1 * i,
            "reference llama": lambda part, variant, i: -1.75 - 0.1 * i,
        }
    )
    found = collect.attacks([run], values, told_of(["llama-full"]))
    assert set(found["member"]) == {True} and set(found["suspect"]) == {"llama-full"}
    at = found.query("sample_id == 'D1'").set_index(["view", "attack"])["score"]
    own, size = -1.1, mia_loss.zlib(np.array([[-1.0]]), np.array([[True]]), ["The ferryman."])[0]
    assert at["answer"].to_dict() == pytest.approx(
        {
            "loss": own,
            "zlib": -size * own,
            "min_k": own - 0.3,
            "min_k_plus_plus": (own - 0.3 + 2) / 0.5,
            "reference llama": 0.75,
            "lowercase": 3.1 / 1.1,
            "neighbours": own + (2.1 + 4.1) / 2,
            "recall": 0.6 / 1.1,
        }
    )
    text = (own * 3 - 9) / 4  # the prompt's one scored token, too
    assert at["text"].to_dict() == pytest.approx(
        {
            "loss": text,
            "zlib": text
            * mia_loss.zlib(np.array([[1.0]]), np.array([[True]]), ["Who?\n\nThe ferryman."])[0],
            "min_k": -9,
            "min_k_plus_plus": -14,
            "reference llama": 0.75 * 3 / 4,
            "recall": ((-0.6 * 3 - 18) / 5) / text,
        }
    )
    assert at["sampled"].to_dict() == {"samia": 1.0, "cdd": 1.0}
    assert found.query("sample_id == 'validation1' and view == 'sampled'").set_index("attack")[
        "score"
    ].to_dict() == {"samia": 0.0, "cdd": 0.0}


def test_rates_by_hand():
    one, other = np.array([3.0, 2.0, np.inf]), np.array([1.0, 2.0, 0.0, 2.5])
    assert grey_box_tables.tpr(one, other, 0.05) == pytest.approx(2 / 3) and grey_box_tables.tpr(
        one, other, 0.25
    ) == pytest.approx(2 / 3)
    assert (
        grey_box_tables.tpr(one, other, 0.5) == 1 and grey_box_tables.tpr(other, other, 0.01) == 0
    )


def test_measures_of_an_attack(run):
    scores = pd.concat(
        [
            pd.DataFrame(
                {
                    **TRUTH,
                    "suspect": "s",
                    "view": "answer",
                    "attack": "loss",
                    "part": part,
                    "score": values,
                }
            )
            for part, values in (("D", [1.0, 2, 3, 4]), ("validation", [0.0, 1.5, 0.5, -1, 0.2]))
        ]
    )
    row = grey_box_tables.measured(run, scores).iloc[0]
    assert (row["samples"], row["validation"], row["auc"]) == (4, 5, 0.95)
    assert (row["low"], row["high"]) == pytest.approx((0.5525, 0.9960), abs=1e-4)  # Newcombe
    assert (row["tpr_at_1"], row["tpr_at_5"]) == (0.75, 0.75) and row["p"] == pytest.approx(
        2 / 126
    )  # second best of C(9, 4) rankings
    # Means 2.5 and 0.24; squares about them 5 and 3.252, of 4 + 5 - 2 degrees of freedom.
    assert row["d"] == pytest.approx(2.26 / np.sqrt(8.252 / 7)) and 0 < row["p_control"] <= 1


def test_dia_on_a_member_and_on_a_stranger(run):
    rng = np.random.default_rng(0)
    noise = {
        (p, part, i): rng.normal()
        for p in ("llama-full", "llama-untuned")
        for part in ("D", "validation")
        for i in range(40)
    }
    values = values_of(
        {
            "llama-full": lambda part, variant, i: (
                -3 + 1.5 * (part == "D") + 0.3 * noise["llama-full", part, i]
            ),
            "llama-untuned": lambda part, variant, i: -3 + 0.3 * noise["llama-untuned", part, i],
            "reference llama": lambda part, variant, i: -3.0,
        },
        samples=40,
    )
    scores = collect.attacks([run], values, told_of(["llama-full", "llama-untuned"]))
    splits = grey_box_tables.dataset_inference([run], values, scores)
    assert (
        len(splits) == 2 * 2 * 2 * run.profile.grey_box.splits
        and splits["seed"].nunique() == run.profile.grey_box.splits
    )
    found = grey_box_tables.over_splits(splits, 0.1).set_index(["suspect", "view", "features"])
    assert (found.loc["llama-full", "p"] < 0.001).all() and (
        found.loc["llama-full", "verdict"] == "member"
    ).all()
    assert (found.loc["llama-untuned", "p"] > 0.02).all() and (found["p_control"] > 0.02).all()
    pd.testing.assert_frame_equal(grey_box_tables.dataset_inference([run], values, scores), splits)


def test_dia_accuses_who_knows_the_validation_set_alone():
    """Its linear model learns that the sets differ, not which of them should be the familiar one."""
    rng = np.random.default_rng(0)
    stranger, familiar = rng.normal(3, 1, (24, 1)), rng.normal(0, 1, (24, 1))  # losses
    assert (
        dia.test(stranger, familiar, seed=0)["p"] < 0.001
        and dia.test(familiar, stranger, seed=0)["p"] < 0.001
    )


def test_over_splits_by_hand():
    splits = table(
        "p p_control d d_control",
        (0.01, 0.5, 1.0, 0.0),
        (0.06, 0.04, 2.0, 0.1),
        (0.2, 0.9, 3.0, 0.2),
    )
    splits = splits.assign(**TRUTH, suspect="s", view="answer", features="few", seed=range(3))
    row = grey_box_tables.over_splits(splits, 0.1).iloc[0]
    assert row[
        [
            "p",
            "p_valid",
            "d",
            "p_control",
            "share_below_0.05",
            "share_below_0.1",
            "control_below_0.1",
        ]
    ].tolist() == pytest.approx([0.06, 0.12, 2, 0.5, 1 / 3, 2 / 3, 1 / 3])
    assert (
        row["verdict"] == "non-member"
        and grey_box_tables.over_splits(splits, 0.12).iloc[0]["verdict"] == "member"
    )


def test_beside_and_tally_by_hand(run):
    people = table("suspect group member", ("m", "members", True), ("n", "others", False)).assign(
        dataset="dozen"
    )
    measured = people.merge(
        table(
            "view attack",
            ("answer", "loss"),
            ("text", "loss"),
            ("answer", "reference llama"),
            ("sampled", "cdd"),
        ),
        how="cross",
    )
    measured = measured.assign(p=[0.01, 0.9, 0.1, 0.6, 0.05, 0.9, 0.5, 0.5])
    inferred = people.assign(
        view="answer", features="few", p=0.0, p_valid=[0.02, 1.0], verdict=["member", "non-member"]
    )
    verdicts = people.assign(verdict=["non-member", "inconclusive"])
    found = grey_box_tables.beside(run, measured, inferred, verdicts)
    assert found[["method", "suspect", "p", "verdict", "correct"]].fillna(-1).values.tolist() == [
        ["black-box dataset inference", "m", -1, "non-member", False],
        ["black-box dataset inference", "n", -1, "inconclusive", False],
        ["DIA (few)", "m", 0.02, "member", True],
        ["DIA (few)", "n", 1.0, "non-member", True],
        ["loss", "m", 0.01, "member", True],
        ["reference llama", "m", 0.1, "member", True],
        ["cdd", "m", 0.6, "non-member", False],
        ["loss", "n", 0.05, "member", False],
        ["reference llama", "n", 0.5, "non-member", True],
        ["cdd", "n", 0.5, "non-member", True],
    ]
    counts = grey_box_tables.tally(found).set_index("method")
    assert counts[["members", "others"]].to_dict("list") == {
        "members": ["0/1", "1/1", "1/1", "1/1", "0/1"],
        "others": ["0/1", "1/1", "0/1", "1/1", "1/1"],
    }
    assert counts["access"].to_dict() == {
        "black-box dataset inference": "text",
        "DIA (few)": "probabilities",
        "loss": "probabilities",
        "reference llama": "probabilities",
        "cdd": "text",
    }
    assert (
        "reference" in counts.loc["reference llama", "needs"]
        and mia_compare.NEEDS["reference"] in counts.loc["reference llama", "needs"]
    )
