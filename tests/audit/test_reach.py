"""What an audit can find: from as many published samples as its kit has, at its own alpha."""

import twins
from asking import audits_of
from helpers import write_jsonl

from dsi_core.audit import choices, reach
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
        found[share] = {epochs: said.found for epochs, said in reach.power(plan).items()}
    assert found[0.1]["3 epochs"] < found[0.5]["3 epochs"] - 0.15
    withheld = kit.rows.loc[~kit.rows["published"].astype(bool), "sample_id"]
    published = kit.rows.loc[kit.rows["published"].astype(bool), "sample_id"]
    assert reach.power(plan, published) == {} and len(reach.power(plan, withheld[:30])) > 0
