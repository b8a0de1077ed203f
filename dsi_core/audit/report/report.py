"""The report of an audit: one HTML page that needs nothing else.

A first page for everybody: the question, the answer, how sure, what that does not show, a picture.
Then the details, and what a third party needs to check them. No script, nothing fetched. Text of
the suspect and of the data is data: the templates escape whatever they are given, and spell out
invisible characters (`pieces.visible`).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dsi_core.audit.report import asked, decided, details, first_page, record, shown
from dsi_core.audit.report.pieces import visible
from dsi_core.audit.report.record import Audit
from dsi_core.runtime import disk


def write(audit: Audit, pictures: Mapping[str, bytes]) -> Path:
    """Write report.html into the audit's folder, and its hash into audit.json.

    pictures: as for `page`.
    """
    path = audit.folder / record.REPORT
    disk.write_text(path, page(audit, pictures))
    record.add_hash(audit, record.REPORT)
    return path


def page(audit: Audit, pictures: Mapping[str, bytes]) -> str:
    """Give the whole page.

    pictures: PNG files by the names of `shown.drawn`; a sentence stands for one that is missing.
    """
    first = [answer(audit), how_sure(audit), not_shown(audit), first_picture(audit, pictures)]
    rest = [
        who_asked_what(audit),
        how_decided(audit, pictures),
        power(audit),
        kit(audit),
        audits(audit),
        side_by_side(audit),
        refused(audit),
        blind_check(audit),
        limits(audit),
        sources(audit),
        to_check(audit),
    ]
    template = _templates().get_template("report.html.j2")
    return template.render(
        title=first_page.answer(audit)["question"],
        first=first,
        details=rest,
        root=audit.facts.root,
    )


def answer(audit: Audit) -> str:
    """Show the question, how it can be answered at all, and the answer."""
    return _part("answer", first_page.answer(audit))


def how_sure(audit: Audit) -> str:
    """Show the p-value in words, and what it assumes."""
    return _part("how_sure", first_page.how_sure(audit))


def not_shown(audit: Audit) -> str:
    """Show what the answer does not say."""
    return _part("not_shown", first_page.not_shown(audit))


def first_picture(audit: Audit, pictures: Mapping[str, bytes]) -> str:
    """Show the one picture of the first page."""
    return _part("first_picture", first_page.first_picture(audit, pictures))


def who_asked_what(audit: Audit) -> str:
    """Show suspect, dataset, questions, times and settings."""
    return _part("who_asked_what", asked.who_asked_what(audit))


def how_decided(audit: Audit, pictures: Mapping[str, bytes]) -> str:
    """Show the looks of the exact test, or vote and strata of controls."""
    return _part("how_decided", decided.how_decided(audit, pictures))


def kit(audit: Audit) -> str:
    """Show what the kit committed to; nothing without one."""
    return _part("kit", details.kit(audit))


def audits(audit: Audit) -> str:
    """Show which audit of the suspect this is, and what as many can come to."""
    return _part("audits", details.audits(audit))


def side_by_side(audit: Audit, count: int = shown.TOLD_EACH) -> str:
    """Show the samples of `shown.telling`, their texts side by side."""
    return _part("side_by_side", details.side_by_side(audit, count))


def refused(audit: Audit) -> str:
    """Show what became of the questions, answers that are no evidence, and if they had been."""
    return _part("refused", details.refused(audit))


def power(audit: Audit) -> str:
    """Show what would have been found, after no finding."""
    return _part("power", decided.power(audit))


def blind_check(audit: Audit) -> str:
    """Show the blind checks of a preparation; nothing for a kit."""
    return _part("blind_check", details.blind_check(audit))


def limits(audit: Audit) -> str:
    """Show what else no number tells, in plain words."""
    return _part("limits", first_page.limits(audit))


def sources(audit: Audit) -> str:
    """Show whose methods these are."""
    return _part("sources", details.sources(audit))


def to_check(audit: Audit) -> str:
    """Show hashes, versions and settings, so that a third party can repeat the numbers."""
    return _part("to_check", details.to_check(audit))


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("dsi_core.audit", "report"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _part(name: str, content: Any) -> str:
    """One of the template's parts by itself; "" where there is nothing to show.

    JupyterLab does not read text between two dollar signs in it as a formula.
    """
    part = str(getattr(_templates().get_template("parts.html.j2").module, name)(content))
    return f'<div class="mathjax_ignore">{part}</div>' if part.strip() else ""
