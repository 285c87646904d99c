"""API tokens in the header `Authorization: Bearer TOKEN`."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import ApiToken, User

USE_IS_NOTED_EVERY = timedelta(minutes=1)


class BearerTokenAuthentication(BaseAuthentication):
    """Finds the user by the token's digest. Sessions are tried where there is no such header."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The header must read 'Authorization: Bearer TOKEN'.")
        token = ApiToken.objects.matching(words[1].decode("ascii", "replace")).select_related("user").first()
        if token is None or not token.user.is_active:
            raise AuthenticationFailed("This token is unknown, revoked or expired. Make a new one on your tokens page.")
        _note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_IS_NOTED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
