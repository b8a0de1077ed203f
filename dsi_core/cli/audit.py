"""The audit of one model: what is asked of whom, at what cost; the report."""

import json
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dsi_core.cli.errors import tell
from dsi_core.cli.options import AUDIT, AsJson, Number, Text, asking, check_least, panel, typed
from dsi_core.runtime import errors
from dsi_core.runtime.environment import variables

app = typer.Typer()

ASKING, READING = "asking the suspect", "reading the suspect's answers"
WRITING = "judging, and writing the report"
DRY = "Show what would be asked and what it may cost; ask nothing."
REMOTE = "Run code that comes with a model."
LOCAL = "A folder (model or adapter), a GGUF file, or a hub id, loaded here instead of --base-url."
REVISION = "The commit, tag or branch of a hub id."
ADAPTER = "A peft adapter (folder or hub id) to put on the suspect."
DTYPE = "The weights' type: float32, bfloat16 or float16. Default: as this machine computes."
NF4 = "Hold the weights in 4 bits (bitsandbytes, NF4)."
INT8 = "Hold the weights in 8 bits (bitsandbytes, LLM.int8)."
TEMPLATE = "A file with a chat template (Jinja) to use instead of the model's own."
SPREAD = "auto = spread it over all GPUs. Default: only if one GPU is too small for it."
STOP = (
    "Ask every question, or stop as soon as the evidence suffices. Default: stop early only "
    "for an API asked without --batch."
)
PATIENCE = "Seconds to go on trying one question while the API is busy or away."
PROXY = "The proxy's URL, or none. Default: the environment's, and none to this machine."
EXTRA = "JSON object merged into each request, in place of our fields; null is sent as null."
OMIT = "A field to leave out of each request, e.g. seed; may be given again."
SAMPLES = "How many samples to plan for. Default: all."
RESPONSES = "Answers to each prompt. Default: the preparation's; with --kit 1, or the profile's."
SYSTEM = "The system prompt. Default: the preparation's; with --kit none, or the profile's."
TEMPERATURE = "Sampling temperature. Default: the preparation's; with --kit 0, or the profile's."
LENGTH = "With --kit: new tokens after which an answer is cut. Default: 64, or the profile's."
NEUTRAL = (
    "Unrelated questions before and after, to notice another model behind the API. Default: "
    "6; 0 = none."
)
BATCH = "Ask all in batches (OpenAI's Batch API): often half the price, takes up to a day."
THOUGHTS = "Extra new tokens for the thought before an answer (API only). Default: 0."
GIVEN = (
    "A file of the suspect's answers (prompt or sample_id, and response), if it cannot be "
    "asked here."
)
CONTROLS = (
    "With --kit: a file of answers by a model that cannot have seen the data; may be given again."
)
AUDITS = (
    "The folder in which the audit's own is made; it can be resumed only with the same one. "
    "Default: audits/<dataset>."
)
BUDGET = (
    'The most to spend: queries (150), or money ("2.50 USD", with both prices). Default: no limit.'
)
# How an API is asked; what `suspects.model` and `choices.plan` refuse of others is not among them
OF_REQUESTS = (
    "concurrency",
    "timeout",
    "patience",
    "proxy",
    "extra_body",
    "omit",
    "batch",
    "reasoning_tokens",
)

LEAST = {
    "concurrency": 1,
    "timeout": 0.001,
    "patience": 0,
    "reasoning_tokens": 0,
    "max_new_tokens": 1,
    "temperature": 0,
}

_suspect = panel("The suspect: an API, a folder or hub id, or a file of answers")
_local = panel("How a suspect is loaded here")
_cost = panel("What it may cost")
_about = panel("The dataset: a kit or a preparation")
_report = panel("The report")


@app.command(
    rich_help_panel=AUDIT,
    epilog="Example: dsi audit --kit kits/my --base-url https://host/v1 --model name "
    "--key-env MY_KEY --budget 150",
)
def audit(
    context: typer.Context,
    kit: Annotated[
        Path | None, _about("The kit that `dsi protect` wrote, for an exact test.")
    ] = None,
    prepared: Annotated[
        Path | None, _about("The folder that `dsi prepare` wrote, for vote and control models.")
    ] = None,
    base_url: Annotated[
        Text, _suspect("The address of an OpenAI-compatible API: https://host/v1.")
    ] = None,
    model: Annotated[Text, _suspect("The name by which the API knows the model.")] = None,
    key_env: Annotated[Text, _suspect("The environment variable that holds the API key.")] = None,
    concurrency: Annotated[int, _suspect("Most requests at a time.")] = 4,
    timeout: Annotated[float, _suspect("Seconds allowed for one request.")] = 120.0,
    patience: Annotated[float, _suspect(PATIENCE)] = 300.0,
    proxy: Annotated[Text, _suspect(PROXY)] = None,
    extra_body: Annotated[str, _suspect(EXTRA)] = "{}",
    omit: Annotated[list[str] | None, _suspect(OMIT)] = None,
    batch: Annotated[bool, _suspect(BATCH, "--batch")] = False,
    suspect: Annotated[Text, _suspect(LOCAL)] = None,
    revision: Annotated[Text, _local(REVISION)] = None,
    adapter: Annotated[Text, _local(ADAPTER)] = None,
    dtype: Annotated[Text, _local(DTYPE)] = None,
    load_in_4bit: Annotated[bool, _local(NF4, "--load-in-4bit")] = False,
    load_in_8bit: Annotated[bool, _local(INT8, "--load-in-8bit")] = False,
    chat_template: Annotated[Text, _local(TEMPLATE)] = None,
    device_map: Annotated[Text, _local(SPREAD)] = None,
    trust_remote_code: Annotated[bool, _local(REMOTE, "--trust-remote-code")] = False,
    answers: Annotated[Path | None, _suspect(GIVEN)] = None,
    samples: Annotated[Number, asking(SAMPLES)] = None,
    responses: Annotated[Number, asking(RESPONSES)] = None,
    system_prompt: Annotated[Text, asking(SYSTEM)] = None,
    temperature: Annotated[float | None, asking(TEMPERATURE)] = None,
    max_new_tokens: Annotated[Number, asking(LENGTH)] = None,
    reasoning_tokens: Annotated[Number, asking(THOUGHTS)] = None,
    alpha: Annotated[float, asking("The chance of accusing an innocent model.")] = 0.05,
    same_model: Annotated[Number, asking(NEUTRAL)] = None,
    ask_all: Annotated[bool | None, asking(STOP, "--ask-all/--stop-early")] = None,
    control_answers: Annotated[list[Path] | None, asking(CONTROLS)] = None,
    profile: Annotated[Text, asking("With --kit: a profile whose way of asking is used.")] = None,
    budget: Annotated[Text, _cost(BUDGET)] = None,
    price_in: Annotated[float | None, _cost("The price of a million prompt tokens.")] = None,
    price_out: Annotated[float | None, _cost("The price of a million new tokens.")] = None,
    dry_run: Annotated[bool, _cost(DRY, "--dry-run")] = False,
    json_: AsJson = False,
    out: Annotated[Path | None, _report(AUDITS)] = None,
    case: Annotated[Text, _report("The case number to print in the report.")] = None,
    examiner: Annotated[Text, _report("The examiner's name to print in the report.")] = None,
) -> None:
    """Ask a suspect, judge its answers and write a report; the same command resumes it.

    What is asked and how it is judged is fixed before the first question (plan.json).
    """
    from dsi_core.audit import choices
    from dsi_core.audit import dry_run as dry
    from dsi_core.audit import suspect as suspects
    from dsi_core.audit.asking import run
    from dsi_core.audit.report import audit_json, facts, record, report
    from dsi_core.runtime import progress

    request: dict[str, Any] = {}
    if base_url is None and (wrong := typed(context, *OF_REQUESTS)):
        raise ValueError(f"{', '.join(wrong)} goes with --base-url: an API is asked so")
    check_least(context, LEAST)
    if base_url is not None:
        extra = _json_object(extra_body)
        request = {"concurrency": concurrency, "timeout": timeout, "extra": extra}
        request |= {"reasoning_tokens": reasoning_tokens or 0, "omit": tuple(omit or ())}
        request |= {"patience": patience, "proxy": proxy, "batch": batch}
    name, where = suspects.model(
        suspect,
        base_url=base_url,
        name=model,
        key_env=key_env,
        answers=answers,
        loading={
            "revision": revision,
            "adapter": adapter,
            "dtype": dtype,
            "load_in_4bit": load_in_4bit,
            "load_in_8bit": load_in_8bit,
            "chat_template": chat_template,
            "device_map": device_map,
            "trust_remote_code": trust_remote_code,
        },
        **request,
    )
    plan = choices.plan(
        _read(kit, prepared),
        name,
        where,
        answers=answers,
        profile=profile,
        control_answers=control_answers or (),
        out=out,
        alpha=alpha,
        samples=samples,
        draws=responses,
        system=system_prompt,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        budget=budget,
        price_in=price_in,
        price_out=price_out,
        stop_early=None if ask_all is None else not ask_all,
        neutral=same_model,
    )
    if dry_run:
        would = dry.dry_run(plan)
        typer.echo(would.json_text()) if json_ else tell(dry.summary(would))
        raise typer.Exit()
    if (vain := dry.unreachable(plan)) is not None:
        tell(vain, err=True)
    tell(f"answers are kept in {plan.folder}, from where a rerun goes on", err=True)
    occasion = facts.Occasion(case, examiner, _command(context))
    getting = ASKING if plan.answers_file is None else READING
    with progress.phases(dict.fromkeys((getting, WRITING))):
        progress.begin(getting)
        outcome = run.run(plan)
        progress.begin(WRITING)
        done = record.write(plan, outcome, occasion)
        page = report.write(done, {})  # before what may fail: a disk, a font, a library that draws
    if not json_:
        found, said = done.facts.same_model, [done.facts.conclusion, *done.facts.hints]
        said += [found.said] if found is not None and found.differs else []
        tell("\n".join([*said, str(done.folder / audit_json.NAME), str(page)]))
    _add_pictures(done)
    if json_:
        places = {"folder": str(done.folder), "report": str(page)}
        typer.echo(json.dumps({**places, **json.loads(done.facts.json_text())}, indent=1))


def _read(kit: Path | None, prepared: Path | None) -> Any:
    """What an audit is about."""
    if (kit is None) == (prepared is None):
        raise ValueError(
            "an audit is of a kit (--kit, made before publication: an exact test) or of a "
            "preparation (--prepared, after the fact): give one of them"
        )
    from dsi_core.audit.preparation.prepared_json import NAME
    from dsi_core.protect.kit_files import COMMITMENT

    if kit is not None:
        from dsi_core.protect import kit as kits

        _refuse_other("--kit", kit, COMMITMENT, NAME, "--prepared")
        return kits.read(kit)
    from dsi_core.audit.preparation import prepared as preparation

    assert prepared is not None
    _refuse_other("--prepared", prepared, NAME, COMMITMENT, "--kit")
    return preparation.read(prepared)


def _refuse_other(option: str, folder: Path, own: str, others: str, instead: str) -> None:
    """Refuse a file, and a folder that another option takes, by the file in it that tells."""
    if folder.is_file():
        raise ValueError(f"{option} {folder}: is a file; give the folder that holds it")
    if not (folder / own).is_file() and (folder / others).is_file():
        raise ValueError(f"{option} {folder}: holds {others} and no {own}; give it with {instead}")


def _command(context: typer.Context) -> str:
    """What was run, as one could type it. What may be secret in an address is left out."""
    from dsi_core.services.address import address, without_login

    shown: dict[str | None, Callable[[Any], str]] = {
        "base_url": lambda url: address(url).base,
        "proxy": without_login,
    }
    words = ["dsi", context.info_name or ""]
    for parameter in context.command.params:
        if not typed(context, parameter.name or ""):
            continue
        value = context.params[parameter.name]
        if isinstance(value, bool):
            words.append(parameter.opts[0] if value else [*parameter.secondary_opts, ""][0])
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [parameter.opts[0], shown.get(parameter.name, str)(one)]
    return shlex.join(filter(None, words))


def _add_pictures(audit: Any) -> None:
    """Write the report once more, with its pictures; where that fails, a warning says why."""
    from dsi_core.audit.report import report

    try:
        if pictures := _pictures(audit):
            report.write(audit, pictures)
    except Exception as error:
        if not isinstance(error, ModuleNotFoundError) or errors.group_of(error.name or "") is None:
            warnings.warn(
                f"the report has no pictures ({errors.said(error)}); once that is mended, the same "
                "command draws them, and asks nothing anew",
                stacklevel=2,
            )


def _pictures(audit: Any) -> dict[str, bytes]:
    """What a report shows."""
    from dsi_core.audit.report import shown

    # Files only, whatever screen there is, or none that matplotlib knows
    with variables({"MPLBACKEND": "agg"}):
        import matplotlib

        matplotlib.use("agg")
        from dsi_core.plots import audit as plots

        return plots.pictures(shown.drawn(audit))


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"--extra-body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError('--extra-body is not a JSON object, such as {"top_k": 1}')
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is a number of Python's alone")
