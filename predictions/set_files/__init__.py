"""Files of curated sets, by format. A new one: one file beside this with `read` and `write`, one line here, one test file. Pure."""

from importlib import import_module
from types import ModuleType

from predictions.set_files.base import Problem, Reading, SetContent, SetFileRefused

# Key: label, module, endings. The first ending is that of what is written.
FORMATS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "jsonl": ("JSON Lines", "predictions.set_files.jsonl", (".jsonl", ".ndjson", ".json")),
    "csv": ("CSV", "predictions.set_files.table", (".csv", ".tsv")),
    "promptfoo": ("promptfoo tests (YAML)", "predictions.set_files.promptfoo", (".yaml", ".yml")),
}
ENDINGS = tuple(ending for _, _, endings in FORMATS.values() for ending in endings)
LARGEST_FILE = 50 * 1024 * 1024


def get_format(key: str) -> ModuleType:
    return import_module(FORMATS[key][1])


def sniff(file_name: str) -> str:
    """The key of the format that reads files of this name. Raises SetFileRefused where none does."""
    for key, (_, _, endings) in FORMATS.items():
        if file_name.lower().endswith(endings):
            return key
    known = "; ".join(f"{label}: {', '.join(endings)}" for label, _, endings in FORMATS.values())
    raise SetFileRefused(
        [Problem(f"'{file_name}' ends like none of the files that can be read.", f"Name it after its format. {known}.")]
    )


def read(key: str, data: bytes, reading: Reading | None = None) -> SetContent:
    """What a file holds, checked. Raises SetFileRefused with every problem that was found, up to a number."""
    reading = reading or Reading()
    if len(data) > LARGEST_FILE:
        raise SetFileRefused([Problem(f"The file is larger than {LARGEST_FILE // 1024**2} MB.", "Split it into several sets.")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise SetFileRefused([Problem(f"Byte {error.start:,} is not UTF-8.", "Save the file as UTF-8.", row=row)]) from None
    content: SetContent = get_format(key).read(text, reading)
    return reading.finish(content)


def write(key: str, content: SetContent) -> str:
    text: str = get_format(key).write(content)
    return text


__all__ = ["ENDINGS", "FORMATS", "Problem", "Reading", "SetContent", "SetFileRefused", "get_format", "read", "sniff", "write"]
