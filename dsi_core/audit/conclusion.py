"""What an audit concludes, in sentences: each kind of evidence has its own, and they never mix.

"Trained" is said of a finding of an exact test alone. After the fact nothing tells training from
knowledge.
"""

from dsi_core.audit.judgement import Answer, Judgement
from dsi_core.audit.plan import Plan
from dsi_core.audit.reach import Power, Reach
from dsi_core.audit.subject import Kind
from dsi_core.audit.suspect import AnswerStatus

# What a kind cannot tell from the published part: a private twin finds its facts in any words
COPIES = {Kind.PRIVATE: "a copy or a rewording", Kind.WORDING: "a copy"}
# What it takes for an answer to be evidence of any weight
LEANS = {
    Kind.PRIVATE: "have anything in common with the sample's text (beyond what controls have)",
    Kind.WORDING: "lean to one of the two wordings",
}
ASSUMPTIONS = {
    Kind.PRIVATE: (
        "A fair coin, tossed before the release for each group of samples, decided which were "
        "withheld; nobody else has them, and the service looks nothing up that was published."
    ),
    Kind.WORDING: (
        "A fair coin, tossed before the release for each group of samples, decided which of two "
        "wordings was published; nobody else has the other, and the service looks nothing up that "
        "was published."
    ),
    Kind.AFTER: (
        "A model that never saw the dataset is like one more of the control models, within every "
        "kind of them: each is equally likely to lean most. That is a choice of controls, not a "
        "fact. Knowledge of the subject, data like this, or the style of the answers can make a "
        "model lean as much."
    ),
}
NOTHING_ELSE = "Nothing else is assumed, about the model or the data."
OF_A_FILE = (
    "The file holds the suspect's answers as they came, all of them: whoever knows what counts and "
    "leaves answers out, or writes them, can make any model look guilty or innocent."
)
VOTE_ASSUMES = (
    "None is needed to count, but the count has no known error rate: the thresholds are the "
    "paper's conventions."
)
P_VALUE = (
    "A p-value is the chance of evidence at least this strong from a model that never saw the "
    "dataset, under the assumption beside it. It is not the chance that the model is innocent."
)
NO_FINDING = (
    "No finding does not show that the model was not trained on the dataset: it may have learnt it "
    "too weakly, from another wording, or hide it behind a filter."
)
NOT_KNOWLEDGE = "That does not tell learning from the dataset from knowing its subject."
LIKE_TUNED = (
    "A finding says that the model answers more like a model tuned on the dataset than these "
    "controls do. It does not say why: whoever knows the subject may do so too."
)
HOW_IT_CAME = (
    "How much of the data the model learnt, and how it came to the model's maker (a licence, "
    "another publication of the same texts), is not visible in these numbers."
)
ASKING = (
    "Asking shows the prompts to whoever runs the service, those of withheld samples too (not "
    "their outputs)."
)
ASKING_PUBLISHED = (
    "Asking shows published prompts alone; the wording that was kept back is sent to nobody."
)
SERVICE = (
    "The service may change the model behind a name at any time; the answers are those of the "
    "times given here."
)
LOCAL = (
    "What was asked are the files named here: what a service offers under the same name may be "
    "another model."
)
LIMITS = {
    Kind.PRIVATE: [
        P_VALUE,
        NO_FINDING,
        HOW_IT_CAME,
        ASKING,
        SERVICE,
    ],
    Kind.WORDING: [
        P_VALUE,
        NO_FINDING,
        HOW_IT_CAME,
        ASKING_PUBLISHED,
        SERVICE,
    ],
    Kind.AFTER: [
        P_VALUE,
        NO_FINDING,
        LIKE_TUNED,
        SERVICE,
    ],
}
NO_TEMPERATURE = (
    "The suspect was asked without a temperature, as its service takes none or none was to be "
    "sent, and the controls with the preparation's: they are compared across temperatures that may "
    "differ."
)
LATE = (
    "The owner's own split was committed to afterwards: that a coin made it, and that it was "
    "tossed once, rests on the owner's word."
)


def assumption(plan: Plan) -> str:
    """Say what a p-value of this audit assumes."""
    said = [ASSUMPTIONS[plan.subject.kind]]
    if plan.answers_file is not None:
        said.append(OF_A_FILE)
    elif plan.prepared is None:
        said.append(NOTHING_ELSE)
    return " ".join(said)


def limits(plan: Plan) -> list[str]:
    """Say what an audit does not show; where no service is asked nothing that comes with that."""
    said = LIMITS[plan.subject.kind]
    if plan.remote is None:
        said = [line for line in said if line not in (ASKING, ASKING_PUBLISHED, SERVICE)]
        said += [] if plan.model is None else [LOCAL]
    return [LATE, *said] if plan.kit is not None and plan.kit.commitment.late else said


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
            f"{LEANS[plan.subject.kind]}."
        )
    if judged.answer is Answer.CANNOT:
        return cannot(plan, judged.reach)
    if judged.answer is Answer.FOUND:
        copy = COPIES[plan.subject.kind]
        whole = "" if plan.answers_file is None else "If the file holds its answers as they came, "
        return (
            f"{whole}{plan.suspect} was trained on the published part of {plan.subject.name} or on "
            f"{copy} of it (p = {judged.p:.2g}, {plan.subject.kind}, alpha = {plan.alpha:g})."
        )
    return f"No finding at alpha = {plan.alpha:g} (p = {judged.p:.2g}, {plan.subject.kind})."


def after(plan: Plan, judged: Judgement, power: dict[str, Power]) -> str:
    """Say what an audit concludes, and what belongs to it: the headline first."""
    said, is_found = [headline(plan, judged)], judged.answer is Answer.FOUND
    left = judged.answered < len(plan.samples)
    if plan.prepared is not None:
        said += [NOT_KNOWLEDGE] if is_found else []
        said += [_vote(judged), *([_so_far(plan, judged)] if left else [])]
        return " ".join([*said, *_no_evidence(judged)])
    if not is_found or (left and plan.answers_file is not None):
        said += [_so_far(plan, judged), *_no_evidence(judged)]
    if judged.answer is Answer.NO_FINDING:
        if power:
            by_then = " by then" if judged.samples < len(plan.samples) else ""
            said.append(_power(power, f"would have been found{by_then}"))
        name, data = plan.suspect, plan.subject.name
        said.append(f"It does not show that {name} was not trained on {data}.")
    return " ".join(said)


def _so_far(plan: Plan, judged: Judgement) -> str:
    """How many samples the conclusion rests on."""
    whose = "Counted are" if plan.answers_file is None else "The file answers"
    said = f"{whose} {judged.answered} of {len(plan.samples)} samples planned, of which "
    said += f"{judged.reach.samples} have a usable answer."
    if judged.samples < len(plan.samples):
        said += " A rerun with a larger budget goes on under the same plan."
    return said


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
    found = " / ".join(f"{one.found:.2f}" for one in power.values())
    return (
        f"A model that learnt what was published as small ones did in {' / '.join(power)} (final "
        f"loss {losses}; notebook 10) {verb} with probability {found}."
    )


def _after_the_fact(plan: Plan, judged: Judgement) -> str:
    rank = judged.rank
    if rank is None:
        return "No p-value can be given: there are no control models."
    if judged.answer is Answer.FOUND:
        return (
            f"{plan.suspect} answers more like a model tuned on {plan.subject.name} than these "
            f"control models do (p = {rank.p:.2g}, the largest over {len(rank.strata)} kinds and "
            f"bases of them, alpha = {plan.alpha:g})."
        )
    if judged.answer is Answer.CANNOT:
        return cannot(plan, judged.reach)
    return (
        f"No finding at alpha = {plan.alpha:g} (p = {rank.p:.2g}, the largest over "
        f"{len(rank.strata)} kinds and bases of control models)."
    )


def _vote(judged: Judgement) -> str:
    vote = judged.vote
    assert vote is not None
    return (
        f"The paper's vote, which has no error rate: {vote.positive} positive and {vote.negative} "
        f"negative samples of {judged.answered} that were answered."
    )
