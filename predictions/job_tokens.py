"""Who writes for a training process: its job's own token, or a member's."""

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.access import RANK, role_in
from accounts.authentication import USE_IS_NOTED_EVERY
from accounts.models import Role, User
from predictions.models import JobToken


class JobTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer tsj_...`: the user is who made the token, and the job is the token's. Other keys are not ours to judge."""

    def authenticate(self, request: Request) -> tuple[User, JobToken] | None:
        words = get_authorization_header(request).split()
        if len(words) != 2 or words[0].lower() != b"bearer" or not words[1].startswith(JobToken.PREFIX.encode()):
            return None
        digest = JobToken.digest_of(words[1].decode("ascii", "replace"))
        token = JobToken.objects.usable().select_related("job__project", "created_by").filter(digest=digest).first()
        if token is None or not _may_still_write(token):
            raise AuthenticationFailed(
                "This job token is unknown, revoked or expired, or who made it may no longer edit the project. "
                "Make a new one on the job's Set-up tab."
            )
        _note_use(token)
        return token.created_by, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _may_still_write(token: JobToken) -> bool:
    role = role_in(token.created_by, token.job.project)
    return token.created_by.is_active and role is not None and RANK[role] >= RANK[Role.EDITOR]


def _note_use(token: JobToken) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_IS_NOTED_EVERY)
    JobToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
