"""What an audit concludes, in sentences: each kind of evidence has its own, and they never mix.

"Trained" is said of a finding of an exact test alone. After the fact nothing tells training from
knowledge.
"""

from dsi_core.audit import caveats, put_before
from dsi_core.audit.judging import judgement
from dsi_core.audit.judging.judgement import Answer, Judgement, Vote
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation import strength
from dsi_core.audit.preparation.strength import WEAK_UNDER
from dsi_core.audit.reach import Power, Reach
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus

# What a kind cannot tell from the published part: a private twin finds its facts in any words
COPIES = {Kind.PRIVATE: "a copy or a rewording", Kind.WORDING: "a copy"}
# What it takes for an answer to be evidence of any weight
LEANS = {
    Kind.PRIVATE: "have something in common with the sample's text",
    Kind.WORDING: "lean to one of the two wordings",
}


def before(plan: Plan, within: Reach, about: Reach, power: dict[str, Power]) -> str:
    """Say what an audit can find, before it is paid for.

    within, about: what the samples allow that the budget suffices for, surely and about. power: of
    those that it surely suffices for.
    """
    if not about.can_reach_alpha:
        return cannot(plan, about)
    if not within.can_reach_alpha:
        return (
            f"A finding at alpha = {plan.alpha:g} is possible only if answers cost less than they "
            f"may: the budget surely suffices for {within.samples} samples, and at usual costs for "
            f"about {about.samples} (smallest p-value {about.attainable:.2g})."
        )
    said = f"A finding at alpha = {plan.alpha:g} is possible with {within.samples} samples "
    said += f"(smallest p-value {within.attainable:.2g})."
    return f"{said} {_power(power, 'is found')}" if power else said


def headline(plan: Plan, judged: Judgement) -> str:
    """Say what an audit concludes, in one sentence."""
    if plan.prepared is not None:
        return _after_the_fact(plan, judged)
    if judged.says_nothing:
        return (
            f"This audit cannot find anything at alpha = {plan.alpha:g}: too few samples, "
            f"{judged.leans} of {judged.reach.samples} with a usable answer, "
            f"{LEANS[plan.subject.kind]}{_beyond(plan)}."
        )
    if judged.answer is Answer.CANNOT:
        return cannot(plan, judged.reach)
    if judged.answer is Answer.FOUND:
        published = f"the published part of {plan.subject.name}"
        return (
            f"{_conditions(plan)}{plan.suspect} was trained on {published} or on "
            f"{COPIES[plan.subject.kind]} of it (p = {judged.p:.2g}, {plan.subject.kind}, "
            f"alpha = {plan.alpha:g})."
        )
    return f"No finding at alpha = {plan.alpha:g} (p = {judged.p:.2g}, {plan.subject.kind})."


def _conditions(plan: Plan) -> str:
    """What a finding rests on that nobody can check here; "" = nothing."""
    shared = put_before.shared(plan)
    conditions = {
        "a coin made the split": plan.kit is not None and plan.kit.commitment.late,
        "the file holds its answers as they came": plan.answers_file is not None,
        "the control answers were made without knowledge of the coin": bool(plan.control_files),
        "it copied nothing that was put before the questions": shared is not None
        and shared.favours,
    }
    said = " and ".join(condition for condition, holds in conditions.items() if holds)
    return f"If {said}, " if said else ""


def _beyond(plan: Plan) -> str:
    return " (beyond what controls do)" if plan.control_files else ""


def after(
    plan: Plan,
    judged: Judgement,
    power: dict[str, Power],
    power_of_leaning: dict[str, Power] | None = None,
) -> str:
    """Say what an audit concludes, and what belongs to it: the headline first.

    power, power_of_leaning: over the samples with a usable answer, and over those that lean.
    """
    said, is_found = [headline(plan, judged)], judged.answer is Answer.FOUND
    left = judged.answered < len(plan.samples)
    if judged.vote is not None:
        said += [*_of_unanswered(plan, judged), *_of_lean(plan, judged)]
        said += [_vote(plan, judged.vote, judged.answered), *_of_innocents(plan, judged.vote)]
        said += [*beside(judged.vote, is_found), *([_so_far(plan, judged)] if left else [])]
        return " ".join([*said, *_repeated(judged), *_no_evidence(judged)])
    if not is_found or (left and plan.answers_file is not None):
        said += [_so_far(plan, judged), *_no_evidence(judged)]
    if judged.answer in (Answer.FOUND, Answer.NO_FINDING):
        said += _leaning(plan, judged)
    if judged.answer is Answer.NO_FINDING:
        if power:
            by_then = " by then" if judged.samples < len(plan.samples) else ""
            said.append(_power(power, f"would have been found{by_then}"))
        if power_of_leaning:
            said.append(f"Over the samples that lean alone: {_found(power_of_leaning)}.")
        said += [caveats.OF_HONEST_ANSWERS] if power and not plan.local else []
        name, data = plan.suspect, plan.subject.name
        said.append(f"It does not show that {name} was not trained on {data}.")
    return " ".join(said)


def _so_far(plan: Plan, judged: Judgement) -> str:
    """How many samples the conclusion rests on."""
    whose = "Counted are" if plan.answers_file is None else "The file answers"
    said = f"{whose} {judged.answered} of {len(plan.samples)} samples planned, of which "
    said += f"{judged.reach.samples} have a usable answer."
    stopped = judged.found and plan.stops_early
    if judged.samples < len(plan.samples) and not stopped:
        said += " A rerun with a larger budget goes on under the same plan."
    return said


def _leaning(plan: Plan, judged: Judgement) -> list[str]:
    """How many samples can have shown anything, where that are not all with a usable answer."""
    said, usable = _repeated(judged), judged.reach.samples
    leaning = int(judgement.leaning(judged).sum())
    if leaning < usable:
        other = "With other texts " if said else ""
        of = f"{other}{leaning} of the {usable} samples with a usable answer"
        said.append(f"{of} {LEANS[plan.subject.kind]}.")
    return said


def _repeated(judged: Judgement) -> list[str]:
    """How many usable answers do not answer their prompts, in a sentence; none where all do."""
    again = (
        f"{judged.canned} usable answers are texts that came to more than {judgement.SAME} prompts."
    )
    return [again] if judged.canned else []


def _no_evidence(judged: Judgement) -> list[str]:
    """Of which kinds the answers are that are no evidence, in a sentence; none where all are."""
    kinds = {kind: n for kind, n in judged.statuses.items() if n and kind != AnswerStatus.ANSWERED}
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return [f"Answers that are no evidence: {counts}."] if kinds else []


def cannot(plan: Plan, within: Reach) -> str:
    """Say why nothing can be found, whatever is answered. within: what the samples allow."""
    said = f"This audit cannot find anything at alpha = {plan.alpha:g}: "
    if plan.looks is None:
        if within.attainable > plan.alpha:
            return said + (
                "these controls cannot support it, as within one kind and base of them no p-value "
                f"can be below {within.attainable:.2g}."
            )
        return said + f"{within.samples} samples with a usable answer are too few."
    said += (
        f"with {within.samples} samples with a usable answer no p-value can be below "
        f"{within.attainable:.2g} at the looks by then (the first is after sample "
        f"{plan.looks.after[0]})."
    )
    if plan.answers_file is not None:
        return said
    if not plan.stops_early:
        return f"{said} --stop-early looks on the way, too."
    if plan.budget.queries is not None or plan.budget.money is not None:
        said += " Fewer samples are looked at sooner: --samples plans no more than the budget pays."
    return said


def _power(power: dict[str, Power], verb: str) -> str:
    losses = " / ".join(f"{one.final_loss:.1f}" for one in power.values())
    return (
        f"A model that learnt what was published as small ones did in {' / '.join(power)} (final "
        f"loss {losses}; notebook 10) and answers as it learnt {verb} with probability "
        f"{_found(power)}."
    )


def _found(power: dict[str, Power]) -> str:
    return " / ".join(f"{one.found:.2f}" for one in power.values())


def _after_the_fact(plan: Plan, judged: Judgement) -> str:
    rank = judged.rank
    if rank is None:
        return "No p-value can be given: there are no control models."
    if judged.answer is Answer.FOUND:
        return (
            f"{_conditions(plan)}{plan.suspect} answers more like a model tuned on "
            f"{plan.subject.name} than these control models do (p = {rank.p:.2g}, the largest over "
            f"{len(rank.strata)} kinds and bases of them, alpha = {plan.alpha:g})."
        )
    if judged.answer is Answer.CANNOT:
        return cannot(plan, judged.reach)
    return (
        f"No finding at alpha = {plan.alpha:g} (p = {rank.p:.2g}, the largest over "
        f"{len(rank.strata)} kinds and bases of control models)."
    )


def _of_unanswered(plan: Plan, judged: Judgement) -> list[str]:
    """Whether a finding hangs on the samples without a usable answer; none where it does not."""
    whole = judged.rank_of_all
    if not judged.found or whole is None or whole.p <= plan.alpha:
        return []
    left = whole.samples - judged.reach.samples
    return [
        f"It hangs on the {left} samples without a usable answer: with the smallest evidence that "
        f"any model has on any sample put in for these it is no finding (p = {whole.p:.2g})."
    ]


def _of_lean(plan: Plan, judged: Judgement) -> list[str]:
    """Whether a finding only ranks before controls and leans to nothing; none where it leans."""
    if not judged.found or judged.rank is None or judged.rank.lean > 0:
        return []
    return [
        f"Its lean is {judged.rank.lean:+.2g}, not above 0: in the mean its answers do not speak "
        f"for {plan.subject.name} at all, and it ranks before control models that lean even less."
    ]


def _vote(plan: Plan, vote: Vote, answered: int) -> str:
    assert plan.prepared is not None
    return (
        f"The paper's vote, which has no error rate: {vote.positive} positive (evidence above "
        f"delta_s = {plan.prepared.study.delta_s:g}) and {vote.negative} negative samples of "
        f"{answered} with a reply."
    )


def _of_innocents(plan: Plan, vote: Vote) -> list[str]:
    """Whether a vote against a suspect goes against controls, too; none where it does not."""
    assert plan.prepared is not None
    called = strength.accused(plan.prepared) if vote.positive > vote.negative else ()
    if not len(called):
        return []
    return [
        f"It calls {len(called)} of the control models, which never saw {plan.subject.name}, a "
        "member, too."
    ]


def beside(vote: Vote, found: bool) -> list[str]:
    """Say what belongs beside a vote. found: whether the rank, too, is held against the suspect."""
    also = {
        caveats.NOT_KNOWLEDGE: found or vote.positive > vote.negative,
        caveats.FEW: 0 < vote.positive + vote.negative < WEAK_UNDER,
    }
    return [line for line, holds in also.items() if holds]
