"""What an audit's numbers assume, and what they do not show: a sentence each, written once."""

from dsi_core.audit import put_before
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation.strength import WEAK_UNDER
from dsi_core.audit.subject import Kind

ASSUMPTIONS = {
    Kind.PRIVATE: (
        "A fair coin, tossed before the release for each group of samples, decided which were "
        "withheld; nobody else has them."
    ),
    Kind.WORDING: (
        "A fair coin, tossed before the release for each group of samples, decided which of two "
        "wordings was published; nobody else has the other."
    ),
    Kind.AFTER: (
        "A model that never saw the dataset is like one more of the control models, within every "
        "kind of them: each is equally likely to lean most. That is a choice of controls, not a "
        "fact. Knowledge of the subject, data like this, or the style of the answers can make a "
        "model lean as much."
    ),
}
LOOKS_NOTHING_UP = "Whatever answered looked nothing up that was published."
NOTHING_ELSE = "Nothing else is assumed, about the model or the data."
OF_A_FILE = (
    "The file holds the suspect's answers as they came, all of them: whoever knows what counts and "
    "leaves answers out, or writes them, can make any model look guilty or innocent."
)
OF_CONTROLS = (
    "The control answers were made without knowledge of the coin: whoever knows it and writes "
    "them, or chooses among them, can make any model look guilty or innocent."
)
PUT_BEFORE = (
    "What was put before each question (system prompt, fields of --extra-body, chat template) was "
    "chosen without knowledge of the coin: whoever knows it and puts texts there, from which a "
    "model may copy, can make any model look guilty."
)
OF_A_PREPARATION = (
    "The preparation holds the answers of its reference and control models as they came: whoever "
    "makes or edits it, or chooses among controls, can make any model look guilty or innocent."
)
COPIED_NOTHING = (
    "The model copied nothing from what was put before each question (system prompt, fields of "
    "--extra-body, chat template): whoever puts the data's texts there can make any model look "
    "guilty."
)
P_VALUE = (
    "A p-value is the chance of evidence at least this strong from a model that never saw the "
    "dataset, under the assumption beside it. It is not the chance that the model is innocent."
)
NO_FINDING = (
    "No finding does not show that the model was not trained on the dataset: it may have learnt it "
    "too weakly, from another wording, or hide it behind a filter."
)
OF_HONEST_ANSWERS = (
    "An operator who puts other texts in place of its answers can hide any model from this."
)
NOT_KNOWLEDGE = (
    "This does not tell a model that learnt the dataset from one that knows its subject, or that "
    "finds the answers in the prompts."
)
FEW = f"With under {WEAK_UNDER} samples single answers can decide the vote."
LIKE_TUNED = (
    "A finding says that the model answers more like a model tuned on the dataset than these "
    "controls do. It does not say why: whoever knows the subject may do so too."
)
HOW_IT_CAME = (
    "How much of the data the model learnt, and how it came to the model's maker (a licence, "
    "another publication of the same texts), is not visible in these numbers."
)
ASKING = (
    "Asking shows the prompts to whoever runs the service, those of withheld samples too (of "
    "their outputs only what stands in a prompt)."
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
EXAMINER = (
    "That the model gave these answers rests on the examiner's word alone: they lie in files that "
    "can be edited, and the hashes here are of what lies in them now. Who doubts it asks the model "
    "again."
)
AGE = (
    "A kit that is younger than its owner's access to the model, or to its answers, shows nothing "
    "at any p: whoever knows the answers can change a row, if only a mark, until its coin suits "
    "them. What helps is a commitment that somebody else dated before the model could be asked."
)
LIMITS = {
    Kind.PRIVATE: [
        AGE,
        P_VALUE,
        NO_FINDING,
        HOW_IT_CAME,
        ASKING,
        SERVICE,
    ],
    Kind.WORDING: [
        AGE,
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
    of_coin, before = plan.kit is not None, bool(put_before.texts(plan))
    always = [ASSUMPTIONS[plan.subject.kind]]
    if of_coin and not plan.local:  # a model that is loaded here can look nothing up
        always.append(LOOKS_NOTHING_UP)
    also = {
        OF_A_PREPARATION: not of_coin,
        OF_A_FILE: plan.answers_file is not None,
        OF_CONTROLS: bool(plan.control_files),
        PUT_BEFORE: before and of_coin,
        COPIED_NOTHING: before and not of_coin,
    }
    said = [line for line, holds in also.items() if holds]
    return " ".join([*always, *(said or [NOTHING_ELSE])])


def vote_assumes(plan: Plan) -> str:
    """Say what the vote of an audit after the fact rests on: its thresholds, on their scale."""
    assert plan.prepared is not None
    study = plan.prepared.study
    similarity = study.profile.similarity
    scale = "rescaled" if similarity.rescale else "raw"
    if similarity.rescale and similarity.baseline is not None:
        scale += f", baseline {similarity.baseline:.3g}"
    return (
        "Nothing, as it only counts; but it has no known error rate. Its thresholds are "
        f"conventions of the profile: delta_t = {study.profile.decision.delta_t:g} for the samples "
        f"to ask about, delta_s = {study.delta_s:g} for positive ones, on its scale of similarity "
        f"(BERTScore F1, {scale}). The paper's are 0.3 each; it does not name the scale."
    )


def limits(plan: Plan) -> list[str]:
    """Say what an audit does not show; where no service is asked nothing that comes with that."""
    said = LIMITS[plan.subject.kind]
    if plan.remote is None:
        said = [line for line in said if line not in (ASKING, ASKING_PUBLISHED, SERVICE)]
        said += [LOCAL] if plan.local else []
    if plan.answers_file is None:
        said = [*said, EXAMINER]
    return [LATE, *said] if plan.kit is not None and plan.kit.commitment.late else said
