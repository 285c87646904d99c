"""YAML: that of strangers is read by the safe loader, within limits of size, depth and what aliases unfold to. Pure."""

import re
from typing import Any, cast

import yaml

LARGEST = 5 * 1024 * 1024
DEEPEST = 50
MOST_NODES = 500_000
# Words as YAML 1.2 reads them, as promptfoo does: `no` and 2024-01-01 are texts.
BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
WHOLE = re.compile(r"^[-+]?[0-9]+$")


class YamlRefused(ValueError):
    """Why the text cannot be read; `line` counts from 1, 0 where none is meant."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


# The parser in C reads ten times as fast; some builds lack it.
Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(Safe):
    """The safe loader, with the plain words of YAML 1.2."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag.rsplit(":", 1)[1] not in ("timestamp", "bool", "int")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(cast(yaml.ScalarNode, node))))


class Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; words that either version of YAML reads as something else in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for kind in (Loader, Dumper):
    kind.add_implicit_resolver("tag:yaml.org,2002:bool", BOOLEAN, list("tTfF"))
    kind.add_implicit_resolver("tag:yaml.org,2002:int", WHOLE, list("-+0123456789"))


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, _write_text)


def load(text: str) -> tuple[Any, list[int]]:
    """The document, and the lines on which the elements of its list begin (of `tests`, where it is an object)."""
    if len(text) > LARGEST:
        raise YamlRefused(f"It is larger than {LARGEST // 1024**2} MB, which is too much to read as YAML.")
    try:
        _check_size(text)
        root = yaml.compose(text, Loader=Loader)
        loader = Loader("")
        try:
            return (None if root is None else loader.construct_document(root)), _lines(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        raise YamlRefused(f"It is not YAML ({reason}).", mark.line + 1 if mark else 0) from None
    except ValueError as error:
        if isinstance(error, YamlRefused):
            raise
        raise YamlRefused(f"It holds a value that cannot be read ({error}).") from None
    except RecursionError:
        raise YamlRefused("It is nested too deeply.") from None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _check_size(text: str) -> None:
    """Over the events, before anything is built: an alias counts as all that it stands for."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise YamlRefused(f"The alias *{event.anchor} stands inside what it names.", _line(event))
            total += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if len(open_nodes) > DEEPEST:
            raise YamlRefused(f"It is nested more than {DEEPEST} levels deep.", _line(event))
        if total > MOST_NODES:
            raise YamlRefused(f"It holds more than {MOST_NODES:,} values, aliases unfolded.", _line(event))


def dump(document: Any) -> str:
    text: str = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _lines(root: Any) -> list[int]:
    if isinstance(root, yaml.MappingNode):
        root = next((value for name, value in root.value if name.value == "tests"), None)
    return [node.start_mark.line + 1 for node in root.value] if isinstance(root, yaml.SequenceNode) else []
