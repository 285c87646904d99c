"""Accounts in the admin."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from accounts.models import ApiToken, Invitation, Membership, Project, User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    list_display = ["username", "email", "is_staff", "is_active", "project_count", "last_login"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).annotate(_projects=Count("memberships"))

    @admin.display(ordering="_projects", description="projects")
    def project_count(self, user: User) -> int:
        return user._projects


class MembershipInline(admin.TabularInline):
    model = Membership
    autocomplete_fields = ["user"]
    extra = 0


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "personal_owner", "member_count", "created_at"]
    list_select_related = ["personal_owner"]
    search_fields = ["name", "slug", "memberships__user__username"]
    readonly_fields = ["slug", "personal_owner", "created_at"]
    inlines = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        return super().get_queryset(request).with_member_count()

    @admin.display(ordering="member_count", description="members")
    def member_count(self, project: Project) -> int:
        return project.member_count or 0

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # projects are made on the pages, with their first admin

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        return False  # the admin would read every row of every dataset into memory; delete the datasets on their pages


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ["user", "project", "role", "created_at"]
    list_filter = ["role"]
    list_select_related = ["user", "project"]
    search_fields = ["user__username", "project__name"]
    autocomplete_fields = ["user", "project"]


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):
    list_display = ["user", "project", "role", "invited_by", "created_at"]
    list_select_related = ["user", "project", "invited_by"]
    search_fields = ["user__username", "project__name"]
    autocomplete_fields = ["user", "project", "invited_by"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens are seen and revoked here, never made: the key would be shown to the wrong person."""

    list_display = ["name", "user", "hint", "created_at", "last_used_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["name", "hint", "user__username"]
    readonly_fields = ["user", "name", "hint", "created_at", "last_used_at", "expires_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False
