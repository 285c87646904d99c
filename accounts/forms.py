"""What people type on the pages of accounts."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.core.exceptions import ValidationError

from accounts import throttling
from accounts.models import Membership, Project, Role, User


class LoginForm(AuthenticationForm):
    """Django's, with a brake on guessing."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username") or ""
        assert self.request is not None
        if throttling.is_blocked(self.request, username):
            raise ValidationError(
                "Too many failed log-ins for this name. Wait a quarter of an hour, then try again.", code="blocked"
            )
        try:
            cleaned = super().clean()
        except ValidationError:
            throttling.note_failure(self.request, username)
            raise
        throttling.forget_failures(self.request, username)
        return cleaned


class SignUpForm(BaseUserCreationForm):
    class Meta:
        model = User
        fields = ["username"]


class ProjectForm(forms.ModelForm):
    class Meta:
        model = Project
        fields = ["name"]
        help_texts = {"name": "For a team, a product or a question. Its address is made from the first name and stays."}


class InviteForm(forms.Form):
    username = forms.CharField(max_length=150, label="User name")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.EDITOR)

    def __init__(self, project: Project, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project

    def clean_username(self) -> User:
        name = self.cleaned_data["username"].strip()
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise ValidationError(f"Nobody here is called {name!r}. Check the spelling: capitals count.")
        if Membership.objects.filter(project=self.project, user=user).exists():
            raise ValidationError(f"{name} is a member already. Change the role in the list below.")
        return user

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])


class TokenForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="Where it will be used: a script, a machine, a notebook.")
    days = forms.IntegerField(
        min_value=1, max_value=3650, required=False, label="Expires after days", help_text="Empty: it does not expire."
    )
