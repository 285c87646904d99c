"""What people type about sets. Items are checked in `predictions.set_files.base`, as for files and API."""

import json
from typing import Any

from django import forms
from django.conf import settings

from predictions import set_files, validators
from predictions.models import PredictionSetItem, PredictionSetVersion
from predictions.set_content import as_record
from predictions.set_files.base import BadField, ItemRecord, checked_threshold, checked_validators, made_item
from predictions.set_imports import MODES

CODE = {"rows": 5, "spellcheck": "false"}
# What an example needs besides the value that its kind names.
MORE_OF_EXAMPLES: dict[str, dict[str, Any]] = {
    "levenshtein": {"threshold": 2},
    "score": {"threshold": 50},
    "iou_at_least": {"threshold": 0.5},
}


def examples_of(applies_to: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Of every type of validator its name, what it means, and one to put into the field."""
    found = []
    for name in validators.types(applies_to):
        kind = validators.find(name)[0]
        example = {"type": name, **({} if kind is None or kind.example is None else {"value": kind.example})}
        example |= MORE_OF_EXAMPLES.get(name, {})
        if kind is not None and not validators.check([example]):
            found.append((name, kind.meaning, example))
    return found


def as_json(value: Any) -> str:
    """A list of objects, one a line, as people edit it."""
    if not value:
        return ""
    lines = (json.dumps(each, ensure_ascii=False) for each in value)
    return "[\n  " + ",\n  ".join(lines) + "\n]"


def parsed(name: str, text: str) -> Any:
    """Raises BadField where it is no JSON; empty is None."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadField(
            name, f"It is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", "Mind quotes and commas."
        ) from None
    except RecursionError:
        raise BadField(name, "It is nested too deeply.", "Write a flat list of objects.") from None


def plain_lines(text: str, before: str | None = None) -> str:
    """Browsers send line ends of their own; a text that differs from the one before in nothing else is that one."""
    plain = text.replace("\r\n", "\n")
    return before if before is not None and before.replace("\r\n", "\n") == plain else plain


class NewSetForm(forms.Form):
    name = forms.CharField(max_length=119, help_text="Jobs name it as name@version, so choose something short, such as golden.")
    description = forms.CharField(required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3}))


class ItemForm(forms.Form):
    """An item of a draft; `record` holds it once the form is valid."""

    key = forms.CharField(required=False, max_length=120, help_text="Empty: made from the question. Results are matched by it.")
    asks = forms.ChoiceField(
        choices=[("prompt", "A prompt"), ("messages", "A conversation")],
        initial="prompt",
        widget=forms.RadioSelect,
        required=False,
    )
    prompt = forms.CharField(required=False, strip=False, widget=forms.Textarea(attrs={"rows": 4}))
    messages = forms.CharField(
        required=False,
        label="Messages, as JSON",
        widget=forms.Textarea(attrs={**CODE, "placeholder": '[{"role": "user", "content": "2 + 2 ="}]'}),
    )
    validators = forms.CharField(
        required=False,
        label="Validators, as JSON",
        widget=forms.Textarea(attrs={**CODE, "placeholder": '[{"type": "contains", "value": "4"}]'}),
    )
    tags = forms.CharField(
        required=False, max_length=2000, help_text="With commas between them. Results can be looked at by tag."
    )
    weight = forms.FloatField(required=False, initial=1.0, help_text="How much it counts in the pass rate.")
    notes = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="For people; changes no outcome."
    )

    def __init__(self, data: Any = None, *, item: PredictionSetItem | None = None) -> None:
        self.before = as_record(item) if item else None
        super().__init__(data, initial=self._initial(self.before) if self.before else None)
        if self.before and self.before.image:
            for name in ("asks", "prompt", "messages"):
                del self.fields[name]
        self.record: ItemRecord | None = None

    @staticmethod
    def _initial(record: ItemRecord) -> dict[str, Any]:
        return {
            "key": record.key,
            "asks": "prompt" if record.messages is None else "messages",
            "prompt": record.prompt or "",
            "messages": as_json(record.messages),
            "validators": as_json(record.validators),
            "tags": ", ".join(record.tags),
            "weight": record.weight,
            "notes": record.notes,
        }

    @property
    def references(self) -> list[str]:
        """What the form shows: those that there are, and room for one more."""
        known = self.before.references if self.before else []
        return [*(self._typed() if self.is_bound else known), ""]

    def _typed(self) -> list[str]:
        data: Any = self.data
        return [text for text in data.getlist("references") if text]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                self.record = self._made(given)
            except BadField as bad:
                self.add_error(bad.name if bad.name in self.fields else None, f"{bad} {bad.remedy}")
        return given

    def _made(self, given: dict[str, Any]) -> ItemRecord:
        before = self.before
        question: dict[str, Any]
        if before and before.image:
            question = {"image": before.image}
        elif given.get("asks") == "messages":
            question = {"messages": parsed("messages", given["messages"])}
        else:
            question = {"prompt": plain_lines(given["prompt"], before.prompt if before else None)}
        if not given.get("prompt") and question.get("prompt") == "" and (before is None or before.prompt != ""):
            raise BadField("prompt", "It asks nothing.", "Write a prompt.")
        return made_item(
            row=0,
            key=given["key"],
            **question,
            references=self._references(),
            validators=checked_validators(parsed("validators", given["validators"])),
            tags=given["tags"],
            weight=given["weight"],
            notes=plain_lines(given["notes"], before.notes if before else None),
            metadata=before.metadata if before else None,
        )

    def _references(self) -> list[str]:
        known = self.before.references if self.before else []
        typed = self._typed()
        return [plain_lines(text, known[place] if place < len(known) else None) for place, text in enumerate(typed)]


class RulesForm(forms.Form):
    """What every answer to the set must satisfy."""

    validators = forms.CharField(
        required=False,
        label="Validators of every answer, as JSON",
        widget=forms.Textarea(attrs={**CODE, "placeholder": '[{"type": "max_length", "value": 500}]'}),
    )
    pass_threshold = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        label="Pass threshold",
        help_text="The share of its validators' weight that an answer must satisfy. Empty: all of it.",
    )

    def __init__(self, data: Any, draft: PredictionSetVersion) -> None:
        super().__init__(data, initial={"validators": as_json(draft.validators), "pass_threshold": draft.pass_threshold})

    def clean_validators(self) -> list[dict[str, Any]]:
        try:
            return checked_validators(parsed("validators", self.cleaned_data["validators"]))
        except BadField as bad:
            raise forms.ValidationError(f"{bad} {bad.remedy}") from None

    def clean_pass_threshold(self) -> float | None:
        return checked_threshold(self.cleaned_data["pass_threshold"])


class ImportFileForm(forms.Form):
    """A file to look at, and then the upload that it was kept as."""

    file = forms.FileField(required=False, allow_empty_file=True, max_length=1000)
    upload = forms.UUIDField(required=False, widget=forms.HiddenInput)
    file_format = forms.ChoiceField(
        required=False,
        label="Format",
        choices=[("", "By its ending"), *((key, label) for key, (label, _, _) in set_files.FORMATS.items())],
    )
    mode = forms.ChoiceField(required=False, choices=list(MODES.items()))
    skip_unknown = forms.BooleanField(
        required=False,
        label="Leave out what has no counterpart here, and count it",
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not given.get("file") and not given.get("upload"):
            self.add_error("file", "Choose a file.")
        return given


class LeakageForm(forms.Form):
    version = forms.ChoiceField(label="Version")
    file = forms.FileField(required=False, label="Training data", help_text="JSON array or JSON Lines, also .gz; up to 50 MB.")
    path = forms.CharField(required=False, max_length=4096, label="Or a path on the server")

    def __init__(self, data: Any, files: Any, versions: list[tuple[str, str]]) -> None:
        super().__init__(data, files)
        chooser = self.fields["version"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = versions
        if not settings.IMPORT_ROOTS:
            del self.fields["path"]
            self.fields["file"].required = True

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors and not given.get("file") and not given.get("path"):
            self.add_error("file", "Choose a file.")
        return given
