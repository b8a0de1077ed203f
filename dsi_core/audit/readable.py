"""Records whose JSON is read by people."""

from pydantic import ConfigDict

from dsi_core.settings.schema import Strict

RESTORE = "restore it from a copy: nothing else knows what it held"  # should a file be damaged


class Readable(Strict):
    """A record whose JSON has words for names: "of at most" is the field `of_at_most`.

    A number that is none (NaN, infinite) is null there.
    """

    model_config = ConfigDict(
        alias_generator=lambda field: field.replace("_", " "), allow_inf_nan=True
    )

    def json_text(self) -> str:
        """Write it as JSON, one field a line."""
        return self.model_dump_json(by_alias=True, indent=1)
