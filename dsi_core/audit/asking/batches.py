"""A batch under way: nothing that it has asked is asked singly beside it."""

import pandas as pd

from dsi_core.audit.plan import Plan
from dsi_core.models import responses
from dsi_core.services import pending


def check(plan: Plan, stored: pd.DataFrame) -> None:
    """Refuse to ask singly what a batch under way has asked already.

    Forgets a batch whose answers were all collected, and, if this run asks singly, one that was
    prepared and never submitted.
    """
    under_way = pending.under_way(plan.folder)
    if under_way is None:
        return
    wanted = responses.unanswered(stored, plan.samples, plan.draws)
    collected = under_way.asked_for and pending.submitted(plan.folder, wanted).empty
    if collected or (_singly(plan) and not under_way.asked_for):  # nothing more was paid
        pending.forget(plan.folder)
    elif why := in_the_way(plan):
        raise ValueError(why)


def in_the_way(plan: Plan) -> str | None:
    """Say which batch under way has what would be asked singly; None = none is in the way."""
    under_way = pending.under_way(plan.folder)
    if under_way is None or not under_way.asked_for or not _singly(plan):
        return None
    return (
        f"{plan.folder / pending.NAME}: a batch of {len(under_way.questions)} questions is "
        f"under way ({under_way.batch or 'not yet made'}): --batch goes on with it; or cancel "
        "it there and delete this file"
    )


def _singly(plan: Plan) -> bool:
    return plan.remote is None or not plan.remote.batch
