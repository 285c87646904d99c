"""Pages of accounts: coming in, one's own account, projects and their members."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import access
from accounts.forms import InviteForm, ProjectForm, RoleForm, SignUpForm, TokenForm
from accounts.last_project import remember_project, remembered_slug
from accounts.models import ApiToken, Invitation, Membership, Project, Role
from accounts.projects import (
    MembershipRefused,
    accept_invitation,
    change_role,
    create_project,
    end_membership,
    invite,
    personal_project,
)

require_form = require_http_methods(["GET", "HEAD", "POST"])
INVALID = 422  # htmx swaps it, and a browser shows it


# --- Coming in -------------------------------------------------------------------------------------------------------
@sensitive_post_parameters()
@never_cache
@login_not_required
@require_form
def signup(request: HttpRequest) -> HttpResponse:
    if not settings.SIGNUP_OPEN:
        return render(request, "accounts/signup_closed.html", status=404)
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        login(request, form.save())
        return redirect("accounts:home")
    return render(request, "accounts/signup.html", {"form": form}, status=INVALID if form.errors else 200)


# --- One's own account -----------------------------------------------------------------------------------------------
@sensitive_post_parameters()
@require_form
def password(request: HttpRequest) -> HttpResponse:
    form = PasswordChangeForm(request.user, request.POST or None)
    if form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, "Your password is changed. Your other sessions are logged out.")
        return redirect("accounts:password")
    return render(request, "accounts/password.html", {"form": form}, status=INVALID if form.errors else 200)


@never_cache
@require_form
def tokens(request: HttpRequest) -> HttpResponse:
    """The key of a new token is in this one answer and nowhere else."""
    form, key = TokenForm(request.POST or None), None
    if form.is_valid():
        _, key = ApiToken.issue(request.user, form.cleaned_data["name"], form.cleaned_data["days"])
        form = TokenForm()
    context = {"form": form, "key": key, "tokens": request.user.api_tokens.all()}
    return render(request, "accounts/tokens.html", context, status=INVALID if form.errors else 200)


@require_POST
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(request.user.api_tokens, pk=pk)
    token.delete()
    messages.success(request, f"The token {token.name} is revoked: it stopped working.")
    return redirect("accounts:tokens")


# --- Projects --------------------------------------------------------------------------------------------------------
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The project looked at last, else one's own."""
    project = Project.objects.visible_to(request.user).filter(slug=remembered_slug(request)).first()
    return redirect(project or personal_project(request.user))


@require_GET
def projects(request: HttpRequest) -> HttpResponse:
    personal_project(request.user)
    context = {
        "projects": Project.objects.visible_to(request.user).with_role().with_member_count(),
        "invitations": request.user.invitations.select_related("project", "invited_by"),
        "api_url": reverse("project-list"),
    }
    return render(request, "accounts/projects.html", context)


@require_form
def project_new(request: HttpRequest) -> HttpResponse:
    form = ProjectForm(request.POST or None)
    if form.is_valid():
        return redirect(create_project(request.user, form.cleaned_data["name"]))
    return render(request, "accounts/project_new.html", {"form": form}, status=INVALID if form.errors else 200)


@require_GET
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """The overview. Its parts belong to higher apps, which serve them as a fragment."""
    found = access.get_project(request.user, slug)
    context = {"project": found, "api_url": reverse("project-detail", args=[found.slug])}
    return remember_project(render(request, "accounts/project.html", context), found.slug)


@require_POST
def invitation_accept(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(request.user.invitations, pk=pk)
    membership = accept_invitation(invitation)
    messages.success(request, f"You are {membership.get_role_display().lower()} of {membership.project} now.")
    return redirect(membership.project)


@require_POST
def invitation_decline(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(request.user.invitations.select_related("project"), pk=pk)
    invitation.delete()
    messages.info(request, f"You declined the invitation to {invitation.project}.")
    return redirect("accounts:projects")


# --- Members ---------------------------------------------------------------------------------------------------------
@require_form
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Everybody in the project sees who takes part; admins invite."""
    found = access.get_project(request.user, slug, Role.ADMIN if request.method == "POST" else Role.VIEWER)
    form = InviteForm(found, request.POST or None)
    if form.is_valid():
        user, role = form.cleaned_data["username"], form.cleaned_data["role"]
        invite(found, user, role, request.user)
        messages.success(request, f"{user} is invited as {role.label.lower()} and sees it on the page of projects.")
        return redirect("accounts:members", found.slug)
    context = {
        "project": found,
        "memberships": found.memberships.select_related("user").order_by("user__username"),
        "invitations": found.invitations.select_related("user", "invited_by").order_by("user__username"),
        "form": form,
        "roles": Role.choices,
        "own_role": access.role_in(request.user, found),
    }
    return render(request, "accounts/members.html", context, status=INVALID if form.errors else 200)


@require_POST
def member_role(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    found = access.get_project(request.user, slug, Role.ADMIN)
    membership = get_object_or_404(found.memberships.select_related("user"), pk=pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the roles: viewer, editor or admin.")
        return redirect("accounts:members", slug)
    try:
        change_role(membership, form.cleaned_data["role"])
        messages.success(request, f"{membership.user} is {form.cleaned_data['role'].label.lower()} now.")
    except MembershipRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("accounts:members", slug)


@require_POST
def member_remove(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """An admin removes anybody; everybody may remove themselves, which is leaving."""
    found = access.get_project(request.user, slug)
    membership = get_object_or_404(found.memberships.select_related("user"), pk=pk)
    leaving = membership.user_id == request.user.pk
    if not leaving:
        access.require_role(request.user, found, Role.ADMIN)
    return _end(request, membership, leaving)


def _end(request: HttpRequest, membership: Membership, leaving: bool) -> HttpResponse:
    project_left = membership.project
    try:
        end_membership(membership)
    except MembershipRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:members", project_left.slug)
    if leaving:
        messages.success(request, f"You left {project_left}.")
        return redirect("accounts:projects")
    messages.success(request, f"{membership.user} is not a member any more.")
    return redirect("accounts:members", project_left.slug)


@require_POST
def invitation_withdraw(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    found = access.get_project(request.user, slug, Role.ADMIN)
    invitation = get_object_or_404(Invitation.objects.select_related("user"), project=found, pk=pk)
    invitation.delete()
    messages.success(request, f"The invitation of {invitation.user} is withdrawn.")
    return redirect("accounts:members", slug)
