"""What an audit can find: from as many published samples as its kit has, at its own alpha."""

import pytest
import twins
from asking import audits_of
from helpers import write_jsonl

from dsi_core.audit import choices, reach, suspect
from dsi_core.protect import kit as kits


def test_the_power_is_that_of_the_kits_parts(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "answer2"} for row in twins.rows(60)]
    data = write_jsonl(tmp_path / "boxes.jsonl", rows)
    found = {}
    for share in (0.5, 0.1):
        kit = kits.make(
            data, tmp_path / f"{share}", prompt=("question",), output="answer", share=share
        )
        answer = [{"sample_id": kit.rows["sample_id"].iloc[0], "response": "A box."}]
        answers = write_jsonl(tmp_path / "a.jsonl", answer)
        plan = choices.plan(kit, "m", None, answers=answers, out=audits_of(kit.folder))
        every = reach.power(plan, plan.samples, 60)
        found[share] = {epochs: said.found for epochs, said in every.items()}
    assert found[0.1]["3 epochs"] < found[0.5]["3 epochs"] - 0.15
    withheld = plan.samples[~plan.samples["published"].astype(bool)]
    assert reach.power(plan, withheld, 60) == {}
    fewer = plan.samples[~plan.samples["sample_id"].isin(withheld["sample_id"][:30])]
    assert len(reach.power(plan, fewer, 60)) > 0


def test_the_power_is_that_of_the_samples_asked_about(tmp_path, monkeypatch):
    """Of 36 with looks after 3, 6, ...: those after 18 are not taken after 20, whatever lacks."""
    monkeypatch.setattr(reach, "RUNS", 200)
    kit = twins.wording(tmp_path, 36)
    plan = choices.plan(kit, *suspect.model("owner/name"), stop_early=True, out=tmp_path / "o")
    assert plan.looks.after[:6] == (3, 6, 9, 12, 15, 18)
    rows = plan.samples
    by_asked = {n: reach.power(plan, rows.head(n), n) for n in (2, 18, 20, 36)}
    assert by_asked[2] == {} and by_asked[18] == by_asked[20]
    assert by_asked[18]["3 epochs"].found < by_asked[36]["3 epochs"].found - 0.15
    assert reach.power(plan, rows.iloc[3:20], 20)["3 epochs"] != by_asked[20]["3 epochs"]
    assert reach.power(plan, rows.iloc[3:20], 5) == {}


def test_the_smallest_p_is_that_of_the_coins_asked_by_a_look(tmp_path):
    """After k of eight coins p is 1 / 2^k at best, where 0.2 k / 8 of alpha may be spent."""
    kit = twins.wording(tmp_path, 8)
    model = suspect.model("owner/name")
    plan = choices.plan(kit, *model, alpha=0.2, stop_early=True, out=tmp_path / "o")
    assert plan.looks.after == (1, 2, 3, 4, 5, 6, 7, 8)
    found = {n: reach.reach(plan, plan.samples, n) for n in (0, 3, 4, 8)}
    smallest = [one.attainable for one in found.values()]
    assert smallest == pytest.approx([1, 1 / 8 * 0.2 / 0.075, 1 / 16, 1 / 256])
    assert [one.can_reach_alpha for one in found.values()] == [False, False, True, True]
