"""Chat templates, compiled as transformers does; that does so only when a model is asked."""

from functools import lru_cache

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class _Generation(Extension):
    """The tag that transformers adds to Jinja's; importing it from there takes seconds."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
)


@lru_cache
def mistake(template: str) -> str | None:
    """Say why a chat template cannot be compiled; None where it can."""
    try:
        ENVIRONMENT.compile(template)
    except (TemplateError, SyntaxError) as error:  # Python's: {% break %} outside a loop
        return str(error)
    return None
