"""Resumable uploads by the tus protocol, version 1.0.0 (https://tus.io): core, creation and termination.

Browsers come with their session and the CSRF header, scripts with a token: both as in the API.
"""

import base64
import binascii
from typing import Any
from uuid import UUID

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import get_project
from accounts.models import Role
from datasets import uploads
from datasets.models import Upload

VERSION = "1.0.0"
PIECES = "application/offset+octet-stream"

VERSION_HEADER = OpenApiParameter("Tus-Resumable", str, OpenApiParameter.HEADER, required=True, enum=[VERSION])


class TusProblem(APIException):
    """A refusal in the API's one shape of an error."""

    default_detail = "The upload was refused."

    def __init__(self, status_code: int, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.status_code, self.remedy = status_code, remedy


class PiecesParser(BaseParser):
    """Names the content type; the view reads the bytes itself, piece by piece."""

    media_type = PIECES


class AnyAnswer(BaseContentNegotiation):
    """Clients of the protocol ask for no content type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class TusView(APIView):
    content_negotiation_class = AnyAnswer
    parser_classes = [PiecesParser]

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        # The protocol's way past firewalls that know no PATCH and no DELETE.
        if request.method == "POST" and request.headers.get("X-HTTP-Method-Override") in ("PATCH", "DELETE", "HEAD"):
            request.method = request.headers["X-HTTP-Method-Override"]
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        is_known = request.method != "OPTIONS" and hasattr(self, request.method.lower())
        if is_known and request.headers.get("Tus-Resumable") != VERSION:
            raise TusProblem(
                status.HTTP_412_PRECONDITION_FAILED,
                f"This address speaks tus {VERSION}.",
                f"Send the header 'Tus-Resumable: {VERSION}'.",
            )

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Tus-Resumable"] = response["Tus-Version"] = VERSION
        response["Tus-Extension"] = "creation,termination"
        response["Tus-Max-Size"] = str(settings.MAX_UPLOAD_BYTES)
        response["Cache-Control"] = "no-store"
        return response

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(status=status.HTTP_204_NO_CONTENT)


class UploadsView(TusView):
    """Where uploads begin."""

    @extend_schema(
        summary="Begin a resumable upload (tus creation)",
        operation_id="uploads_create",
        parameters=[
            VERSION_HEADER,
            OpenApiParameter("Upload-Length", int, OpenApiParameter.HEADER, required=True, description="Bytes of the file."),
            OpenApiParameter(
                "Upload-Metadata",
                str,
                OpenApiParameter.HEADER,
                required=True,
                description="`filename` and `project` (the project's slug), each followed by its value in base64.",
            ),
        ],
        request=None,
        responses={201: OpenApiResponse(description="Begun: the header Location names the upload; send PATCH there.")},
    )
    def post(self, request: Request) -> Response:
        metadata = _metadata(request.headers.get("Upload-Metadata", ""))
        if "project" not in metadata:
            raise ValidationError({"Upload-Metadata": "It must hold 'project', the slug of the project, in base64."})
        project = get_project(request.user, metadata["project"], Role.EDITOR)
        size = _number(request, "Upload-Length")
        upload = uploads.create_upload(request.user, project, metadata.get("filename", ""), size)
        address = reverse("datasets:upload", args=[upload.pk])  # relative: proxies may know us by another name
        return Response(status=status.HTTP_201_CREATED, headers={"Location": address, "Upload-Offset": "0"})


class UploadView(TusView):
    """One upload on its way in."""

    @extend_schema(exclude=True)  # a HEAD without a GET is beyond the schema's tool
    def head(self, request: Request, pk: UUID) -> Response:
        """How far it has come."""
        upload = _own_upload(request, pk)
        return Response(headers={"Upload-Offset": str(upload.received), "Upload-Length": str(upload.size)})

    @extend_schema(
        summary="Go on with a resumable upload (tus)",
        description="HEAD at the same address answers with Upload-Offset: how many bytes have arrived.",
        operation_id="uploads_append",
        parameters=[
            VERSION_HEADER,
            OpenApiParameter("Upload-Offset", int, OpenApiParameter.HEADER, required=True, description="Where the bytes go."),
        ],
        request={PIECES: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="Written: the header Upload-Offset says how far it has come.")},
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        upload = _own_upload(request, pk)
        if request.content_type != PIECES:
            raise TusProblem(
                status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, f"Pieces of a file come as {PIECES}.", f"Send 'Content-Type: {PIECES}'."
            )
        offset, length = _number(request, "Upload-Offset"), _number(request, "Content-Length")
        if upload.received == offset and offset + length > upload.size:
            raise TusProblem(
                status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
                f"{length:,} bytes at {offset:,} reach past the end of the file at {upload.size:,}.",
                "Begin a new upload of the right length.",
            )
        uploads.append(upload, offset, request._request)
        return Response(status=status.HTTP_204_NO_CONTENT, headers={"Upload-Offset": str(upload.received)})

    @extend_schema(
        summary="Give up a resumable upload (tus termination)",
        operation_id="uploads_delete",
        parameters=[VERSION_HEADER],
        responses={204: OpenApiResponse(description="The upload and its bytes are gone.")},
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        uploads.remove_upload(_own_upload(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _own_upload(request: Request, pk: UUID) -> Upload:
    upload: Upload = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
    return upload


def _metadata(header: str) -> dict[str, str]:
    """Pairs of a key and a base64 value, separated by commas."""
    found = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            raise ValidationError({"Upload-Metadata": f"The value of {key!r} is not base64."}) from None
    return found


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValidationError({header: f"The header {header} must be a number of bytes, not {text[:40]!r}."})
    return int(text)
