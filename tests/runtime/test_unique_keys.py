"""YAML in which a mapping says a key twice."""

import pytest
import yaml
from helpers import says

from dsi_core.runtime import unique_keys

FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGED = "x: &x {a: 1, b: 2}\ny: &y {<<: *x, a: 3}\nz: {<<: [*y, *x], b: 5}\n"


@pytest.mark.parametrize("base", [yaml.BaseLoader, yaml.SafeLoader, FAST])
def test_a_repeated_key_is_refused_with_its_line(base):
    for text in ("a: 1\nb: 2\na: 3\n", "- b: 1\n\n- [{a: 1, a: 1}]\n", "? {a: 1,\n a: 2}\n: 1\n"):
        with pytest.raises(yaml.constructor.ConstructorError) as error:
            yaml.load(text, unique_keys.of(base))
        line = text[: text.rindex("a: ")].count("\n") + 1
        says(error, "key 'a' is there twice", f"line {line}")


def test_what_is_merged_in_may_be_said_anew():
    found = yaml.load(MERGED, unique_keys.of(yaml.SafeLoader))
    assert found["y"] == {"a": 3, "b": 2} and found["z"] == {"a": 3, "b": 5}
