"""How settings are read: unknown names, numbers that are none and names of no line are refused."""

from typing import Annotated, Any, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator


class Strict(BaseModel):
    """Settings that refuse unknown names; they are not changed in place but by `changed`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )

    def changed(self, **values: Any) -> Self:
        """Give these settings with other values, checked like those of a file.

        A dict changes the fields of the part below it: `changed(responses={"draws": 5})`.

        Raises
        ------
        pydantic.ValidationError
            (a `ValueError`) for an unknown name, a value that is not allowed, or a contradiction.
        """
        known = {name: getattr(self, name) for name in type(self).model_fields}
        for name, value in values.items():
            part = known.get(name)
            if isinstance(value, dict) and isinstance(part, Strict):
                value = part.changed(**value)
            known[name] = value
        return type(self).model_validate(known)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_is_true_or_false(cls, value: Any, field: ValidationInfo) -> Any:
        """Python counts True as 1, and YAML reads `yes` and `on` as True."""
        values = value if isinstance(value, list | tuple) else [value]
        if bools := [one for one in values if isinstance(one, bool)]:
            kinds = _kinds(cls.model_fields[str(field.field_name)].annotation)
            if kinds & {int, float} and bool not in kinds:
                needs = "a number" if float in kinds else "a whole number"
                raise ValueError(
                    f"needs {needs}, not {bools[0]} (in YAML also yes and on, no and off)"
                )
        return value


def _kinds(annotation: Any) -> set[Any]:
    """The types of what a field may hold, in whatever lists and unions."""
    if parts := get_args(annotation):
        return set().union(*map(_kinds, parts))
    return {annotation if isinstance(annotation, type) else type(annotation)}  # one of a Literal


def _in_a_line(name: str) -> str:
    if len(name.splitlines()) != 1 or not name.strip():
        raise ValueError("a name is one line of text, and not empty")
    return name


Name = Annotated[str, AfterValidator(_in_a_line)]  # as tables and figures show it
