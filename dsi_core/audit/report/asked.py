"""Who asked what: the suspect, the dataset, and how the answers came, as a report tells it."""

from dsi_core.audit.asking.run import Ended
from dsi_core.audit.report.audit_json import AuditFacts, Manner, SuspectFacts
from dsi_core.audit.report.pieces import Table, when
from dsi_core.audit.report.record import Audit
from dsi_core.services.reply import LIKELY_BYTES_PER_TOKEN, MOST_BYTES_PER_TOKEN

ENDED = {
    Ended.STOPPED_EARLY: "stopped, as the evidence sufficed",
    Ended.ALL_PROMPTED: "all that was planned was asked",
    Ended.BUDGET_SPENT: "stopped, as the next sample could have exceeded the budget",
}


def who_asked_what(audit: Audit) -> Table:
    """Give suspect, dataset, questions, times and settings."""
    facts = audit.facts
    suspect, data, settings = facts.suspect, facts.dataset, facts.settings
    named = {
        "api": suspect.api,
        "model": suspect.model,
        "folder": suspect.folder,
        "hub": suspect.hub,
        "a file of answers, SHA-256": suspect.answers,
    }
    place = "; ".join(f"{name}: {value}" for name, value in named.items() if value)
    tainted = "tainted (training on them changes every reference model's answer)"
    to_ask = f"of which {data.to_ask} are {tainted}" if settings.method else "all in the kit"
    rows = [
        ["Suspect", f"{suspect.name} ({place})"],
        *_loaded(suspect),
        ["Dataset", f"{data.samples} samples of {data.name}, {to_ask}; made {when(data.made)}"],
        *([["Split", data.split]] if data.split else []),
        *(_read(audit) if suspect.answers else _asked(audit)),
    ]
    if settings.control_answers:
        each = "; of each as many to every sample as to the one with the fewest"
        rows.append(["Control answers", f"{', '.join(settings.control_answers)}{each}"])
    if settings.method is None:
        return Table(rows)
    rows.append(["Reference models", ", ".join(settings.method.references)])
    if not suspect.answers and (cautions := " and ".join(_cautions(facts))):
        rows.append(["Caution", f"{cautions}: they and the suspect were not treated alike"])
    return Table(rows)


def _loaded(suspect: SuspectFacts) -> list[list[str]]:
    """How a model that was asked here was loaded."""
    if (loaded := suspect.loaded) is None:
        return []
    files = "hash of its files' names, sizes and times"  # as `audit.local` marks what lies here
    parts = {
        files if suspect.hub is None else "revision": loaded.revision,
        "de-quantised from the GGUF file": loaded.gguf,
        "adapter": loaded.adapter,
        "SHA-256 of the adapter": loaded.adapter_sha256,
        "SHA-256 of the chat template": loaded.chat_template_sha256,
    }
    bits = "4 bits, products in " if loaded.in_4_bits else ""
    bits = "8 bits, the rest in " if loaded.in_8_bits else bits
    said = [f"weights in {bits}{loaded.dtype}"]
    said += [f"{name} {value}" for name, value in parts.items() if value]
    return [["Loaded", "; ".join(said)]]


def _requests(suspect: SuspectFacts) -> list[list[str]]:
    """How its requests differ from the usual ones, because of the user or of the service."""
    said = [f"{name} is {value!r}" for name, value in (suspect.extra or {}).items()]
    said += [f"no {name} is sent" for name in suspect.omit]
    said += suspect.asked_otherwise
    return [["Requests", "; ".join(said)]] if said else []


def _asked(audit: Audit) -> list[list[str]]:
    """How a model was asked; of one that is loaded here nothing that a service alone has."""
    facts = audit.facts
    queried, settings, same = facts.queried, facts.settings, facts.same_model
    neutral = "" if same is None else f" (with those of {same.asked} neutral questions)"
    served, each = facts.suspect.api is not None, settings.answers_to_a_prompt
    requests = f", in {queried.requests} requests{neutral}" if served else ""
    judged = f"{queried.samples} samples (at most {queried.of_at_most}), {each} each"
    answers = f"{queried.answers} answers to {judged}{requests}"
    if queried.answers != queried.samples * each:
        answers = (
            f"{queried.answers} answers{requests}; judged are those to {judged}, in order up to "
            "the first that lacks an answer"
        )
    named = ", ".join(facts.suspect.called_itself) or "it gave no name"
    same_model = "not tried" if same is None else same.said
    counted = served or queried.cost is not None
    return [
        *([["It called itself", named]] if served else []),
        *_requests(facts.suspect),
        ["Asked", f"{answers}; {ENDED[queried.ended]}"],
        ["When", f"{when(queried.first)} to {when(queried.last)}"],
        *([["Tokens by the service's count", _tokens(audit)]] if counted else []),
        ["Asked how", _how(facts)],
        *([["Thoughts", _of_thoughts(facts)]] if queried.thoughts else []),
        *([["One model", same_model]] if served else []),
    ]


def _how(facts: AuditFacts) -> str:
    return f"{_said(facts.settings.manner)}, {_compared(facts)}"


def _compared(facts: AuditFacts) -> str:
    """How much of an answer is compared (`services.reply.read`)."""
    tokens, more = facts.settings.max_new_tokens, facts.settings.reasoning_tokens
    said = f"up to {tokens} new tokens of an answer are compared"
    if facts.suspect.api is None:  # whoever is loaded here writes no more
        return said
    least = "" if facts.queried.tokens_written else "at least "  # it counted no tokens
    longer = f"{least}{facts.queried.longer} of {facts.queried.answers} answers were longer"
    if more:
        return (
            f"{said} (as the service counts them, or else {LIKELY_BYTES_PER_TOKEN} bytes for "
            f"each; {longer}), and {more} more are for a thought before"
        )
    return (
        f"{said} where the service keeps to that limit; what is longer is compared up to "
        f"{MOST_BYTES_PER_TOKEN * tokens:,} bytes ({longer})"
    )


def _cautions(facts: AuditFacts) -> list[str]:
    """In what a suspect and the control models were not treated alike."""
    method, manner = facts.settings.method, facts.settings.manner
    assert method is not None
    said = []
    if manner != method.controls_were_asked_with:
        said.append(f"control models were asked at {_said(method.controls_were_asked_with)}")
    if facts.queried.longer and not facts.settings.reasoning_tokens:
        said.append(f"answers of control models end after {facts.settings.max_new_tokens} tokens")
    return said


def _of_thoughts(facts: AuditFacts) -> str:
    """How the suspect reasoned before it answered."""
    queried = facts.queried
    said = (
        f"{queried.thoughts} of {queried.answers} replies held a thought, which is cut off and "
        f"not compared; {queried.only_thoughts} held nothing else and are no evidence"
    )
    if queried.tokens_of_thoughts:
        said += f"; {queried.tokens_of_thoughts} of the tokens written were thoughts"
    return " ".join([f"{said}.", *facts.hints])


def _read(audit: Audit) -> list[list[str]]:
    """What is known of a file of answers."""
    queried = audit.facts.queried
    read = f"{queried.answers} answers to {queried.samples} samples (at most {queried.of_at_most})"
    if queried.left_out:
        read += (
            ", to each its first ones, as many as the sample with the fewest has "
            f"({queried.left_out} more do not count, as the closest of more is closer by chance)"
        )
    return [
        ["Read", f"{read}, at {when(queried.last)}"],
        [
            "Asked how",
            "not known: who answered, when and how, is the word of whoever gave the file",
        ],
    ]


def _tokens(audit: Audit) -> str:
    queried = audit.facts.queried
    said = f"{queried.tokens_read} read, {queried.tokens_written} written"
    if not queried.tokens_read and not queried.tokens_written:
        said = "it counted none"
    elif queried.uncounted:
        said += f" (of {queried.uncounted} requests not all were counted)"
    if queried.cost is not None:
        most = "at most " if queried.uncounted else ""  # what was not counted is reckoned so
        said += f"; cost {most}{queried.cost:.4f}"
    if queried.without_answer:
        said += f"; with {queried.without_answer} requests that brought no answer"
    return said


def _said(manner: Manner) -> str:
    if manner.system is None:
        return f"temperature {manner.temperature:g}, no system prompt"
    return f"temperature {manner.temperature:g}, system prompt {manner.system!r}"
