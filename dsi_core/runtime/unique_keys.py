"""YAML whose mappings have each key once: PyYAML silently lets the last one win."""

import yaml


def of(loader: type) -> type:
    """Give a YAML loader that refuses a repeated key, by file and line.

    loader: one of PyYAML, that raises its `ConstructorError` then.
    """

    class Loader(loader):
        def construct_document(self, node: yaml.Node) -> object:
            _refuse_twice(node)  # before "<<" is merged in, whose keys may come again
            return super().construct_document(node)

    return Loader


def _refuse_twice(document: yaml.Node) -> None:
    left, seen = [document], set[int]()
    while left:
        node = left.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in seen:
            continue
        seen.add(id(node))  # an alias may lead back
        if isinstance(node, yaml.SequenceNode):
            left += node.value
            continue
        keys = set()
        for key, value in node.value:
            left += [key, value]
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is there twice", key.start_mark
                )
            keys.add((key.tag, key.value))
