"""Images and thumbnails: who gets them, how they come, and what broken or hostile files do."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from PIL import Image
from pytest_django import Settings

from accounts.models import User
from datasets import media
from datasets.models import Dataset, Sample
from tests.factories import make_dataset, make_project, make_sample, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_in_tmp")]

RED, GREEN = (255, 0, 0), (0, 255, 0)
ORIENTATION_TAG = 0x0112
ROTATED = 6  # by 90 degrees: shown clockwise


@pytest.fixture
def dataset(user: User) -> Dataset:
    return make_dataset(make_project(user))


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, image_format, **options)
    return output.getvalue()


def stored(dataset: Dataset, content: bytes, image_format: str = "JPEG", **fields: Any) -> Sample:
    name = default_storage.save(f"images/{dataset.pk}/picture", ContentFile(content))
    return make_sample(dataset, image=name, image_format=image_format, **fields)


def picture(width: int = 800, height: int = 400) -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    return image


def opened(response: HttpResponse) -> Image.Image:
    return Image.open(io.BytesIO(response.content))


def thumb_of(client: Client, sample: Sample, size: int = 160, **headers: str) -> Any:
    return client.get(reverse("datasets:thumb", args=[sample.pk, size]), headers=headers)


def image_of(client: Client, sample: Sample, **headers: str) -> Any:
    return client.get(reverse("datasets:image", args=[sample.pk]), headers=headers)


def is_near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("size", media.THUMB_SIZES)
def test_a_thumbnail_fits_its_square_in_webp(dataset: Dataset, user: User, client_of: Callable[..., Client], size: int) -> None:
    response = thumb_of(client_of(user), stored(dataset, encoded(picture(), "JPEG")), size)
    assert (response["Content-Type"], opened(response).format) == ("image/webp", "WEBP")
    assert opened(response).size == (size, size // 2)


def test_small_images_are_not_blown_up(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    response = thumb_of(client_of(user), stored(dataset, encoded(picture(40, 20), "PNG"), "PNG"))
    assert opened(response).size == (40, 20)


def crop_of(client: Client, sample: Sample, box: str) -> Any:
    return client.get(reverse("datasets:crop", args=[sample.pk]), {"box": box})


def test_a_crop_shows_what_is_in_the_box(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    image = Image.new("RGB", (400, 200), (200, 0, 0))
    image.paste((0, 200, 0), (100, 50, 160, 80))
    found = opened(crop_of(client_of(user), stored(dataset, encoded(image, "PNG"), "PNG"), "100,50,60,30"))
    assert found.size == (60, 30) and is_near(found.convert("RGB").getpixel((30, 15)), (0, 200, 0))


def test_a_large_crop_is_made_small_and_ends_at_the_edge(
    dataset: Dataset, user: User, client_of: Callable[..., Client]
) -> None:
    found = opened(crop_of(client_of(user), stored(dataset, encoded(picture(800, 400), "JPEG")), "300,0,900,900"))
    assert found.size == (240, 192)


@pytest.mark.parametrize("box", ["", "1,2,3", "-1,0,5,5", "1,2,3,4,5", "a,b,c,d", "1e3,0,5,5"])
def test_a_box_that_is_none_does_not_exist(dataset: Dataset, user: User, client_of: Callable[..., Client], box: str) -> None:
    assert crop_of(client_of(user), stored(dataset, encoded(picture(), "JPEG")), box).status_code == 404


def test_a_box_outside_of_the_image_is_a_placeholder(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    answer = crop_of(client_of(user), stored(dataset, encoded(picture(80, 40), "JPEG")), "500,500,10,10")
    assert answer["X-Image-Problem"] == "box_outside_image"


def test_a_stranger_gets_no_crop(dataset: Dataset, client_of: Callable[..., Client]) -> None:
    assert crop_of(client_of(make_user()), stored(dataset, encoded(picture(), "JPEG")), "0,0,10,10").status_code == 404


def test_other_sizes_do_not_exist(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    assert thumb_of(client_of(user), stored(dataset, encoded(picture(), "JPEG")), 161).status_code == 404


def test_the_image_comes_as_it_was_stored(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    content = encoded(picture(), "JPEG")
    response = image_of(client_of(user), stored(dataset, content))
    assert (response["Content-Type"], response.content) == ("image/jpeg", content)


def test_tiff_is_shown_as_webp(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    response = image_of(client_of(user), stored(dataset, encoded(picture(), "TIFF"), "TIFF"))
    assert (response["Content-Type"], opened(response).size) == ("image/webp", (800, 400))


def test_tiff_wider_than_webp_can_be_is_scaled(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    response = image_of(client_of(user), stored(dataset, encoded(picture(20_000, 8), "TIFF"), "TIFF"))
    assert opened(response).size[0] == media.WEBP_SIDE


def test_anonymous_people_and_strangers_get_nothing(dataset: Dataset, client: Client, client_of: Callable[..., Client]) -> None:
    sample = stored(dataset, encoded(picture(), "JPEG"))
    stranger = client_of(make_user())
    for ask in (thumb_of, image_of):
        assert ask(client, sample).status_code == 302
        assert ask(stranger, sample).status_code == 404


def test_a_blank_canvas_has_no_image(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    assert thumb_of(client_of(user), make_sample(dataset)).status_code == 404


def test_only_reading(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    sample = stored(dataset, encoded(picture(), "JPEG"))
    assert client_of(user).post(reverse("datasets:image", args=[sample.pk])).status_code == 405


def test_an_image_can_do_nothing_as_a_document(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    response = image_of(client_of(user), stored(dataset, encoded(picture(), "JPEG")))
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ['a"\r\nSet-Cookie: x=1.jpg', "../../etc/passwd", "日本語.jpg", "C:\\temp\\x.jpg", "</script>.jpg"]
)
def test_hostile_names_stay_in_their_header(dataset: Dataset, user: User, client_of: Callable[..., Client], name: str) -> None:
    response = image_of(client_of(user), stored(dataset, encoded(picture(), "JPEG"), file_name=name))
    disposition = response["Content-Disposition"]
    assert disposition.startswith("inline; filename*=UTF-8''")
    assert not set(disposition) & set('\r\n"\\/<>')
    assert "Set-Cookie" not in response.headers


def test_a_known_etag_is_answered_without_the_file(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, sample = client_of(user), stored(dataset, encoded(picture(), "JPEG"))
    etag = image_of(client, sample)["ETag"]
    default_storage.delete(sample.image)
    response = image_of(client, sample, if_none_match=etag)
    assert (response.status_code, response.content) == (304, b"")
    assert not etag.startswith("W/")


def test_each_size_has_an_etag_of_its_own(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, sample = client_of(user), stored(dataset, encoded(picture(), "JPEG"))
    assert len({thumb_of(client, sample, size)["ETag"] for size in media.THUMB_SIZES} | {image_of(client, sample)["ETag"]}) == 4


def test_caches_are_private_and_long(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, sample = client_of(user), stored(dataset, encoded(picture(), "JPEG"))
    assert "private" in thumb_of(client, sample)["Cache-Control"]
    versioned = client.get(reverse("datasets:thumb", args=[sample.pk, 160]), {"v": "1"})
    assert {"private", "immutable", "max-age=31536000"} <= set(versioned["Cache-Control"].split(", "))


def test_a_thumbnail_is_made_once(
    dataset: Dataset, user: User, client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, sample = client_of(user), stored(dataset, encoded(picture(), "JPEG"))
    first = thumb_of(client, sample).content
    monkeypatch.setattr(media, "_scaled", lambda *_: pytest.fail("made twice"))
    assert thumb_of(client, sample).content == first


def test_a_replaced_image_has_a_thumbnail_of_its_own(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, sample = client_of(user), stored(dataset, encoded(picture(), "JPEG"))
    before = thumb_of(client, sample)
    sample.image = default_storage.save(f"images/{dataset.pk}/other", ContentFile(encoded(picture(300, 300), "JPEG")))
    sample.save()
    after = thumb_of(client, sample)
    assert opened(after).size == (160, 160)
    assert before["ETag"] != after["ETag"]


def test_a_half_written_thumbnail_is_made_anew(dataset: Dataset, user: User, client_of: Callable[..., Client]) -> None:
    client, sample = client_of(user), stored(dataset, encoded(picture(), "JPEG"))
    whole = thumb_of(client, sample).content
    name = f"thumbs/{sample.image}-160.webp"
    for left in (b"", whole[:100]):
        default_storage.delete(name)
        default_storage.save(name, ContentFile(left))
        assert thumb_of(client, sample).content == whole
        assert default_storage.size(name) == len(whole)


def test_makers_at_once_leave_one_file(dataset: Dataset) -> None:
    sample = stored(dataset, encoded(picture(), "JPEG"))
    name = f"thumbs/{sample.image}-160.webp"
    # Another maker is faster between the look and the save.
    media._keep(name, b"first")
    stored_name = default_storage.save(name, ContentFile(b"second"))
    default_storage.delete(stored_name)
    media._keep(name, b"third")
    assert default_storage.open(name).read() == b"first"
    assert len(default_storage.listdir(f"thumbs/images/{dataset.pk}")[1]) == 1


@pytest.mark.parametrize("applied", [True, False])
def test_thumbnails_stand_as_the_annotations_do(
    dataset: Dataset, user: User, client_of: Callable[..., Client], applied: bool
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATED
    content = encoded(picture(), "JPEG", exif=exif)
    thumb = opened(thumb_of(client_of(user), stored(dataset, content, exif_applied=applied))).convert("RGB")
    assert thumb.size == ((80, 160) if applied else (160, 80))
    # Turned clockwise, left goes to the top.
    place = (40, 20) if applied else (20, 40)
    assert is_near(thumb.getpixel(place), RED)


@pytest.mark.parametrize(
    ("image", "image_format"),
    [
        (Image.new("CMYK", (90, 60), (0, 255, 255, 0)), "JPEG"),
        (Image.new("L", (90, 60), 90), "PNG"),
        (Image.new("1", (90, 60), 1), "PNG"),
        (Image.new("LA", (90, 60), (90, 10)), "PNG"),
        (Image.new("RGBA", (90, 60), (255, 0, 0, 10)), "PNG"),
        (picture(90, 60).convert("P"), "GIF"),
        (picture(90, 60), "BMP"),
    ],
)
def test_every_kind_of_pixels_has_a_thumbnail(
    dataset: Dataset, user: User, client_of: Callable[..., Client], image: Image.Image, image_format: str
) -> None:
    response = thumb_of(client_of(user), stored(dataset, encoded(image, image_format), image_format))
    assert opened(response).size == (90, 60)


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_deep_greys_are_stretched_over_what_they_use(
    dataset: Dataset, user: User, client_of: Callable[..., Client], kind: str
) -> None:
    """Twelve bits of sixteen, as microscopes write: neither black nor white alone."""
    ramp = np.tile(np.linspace(0, 4095, 160), (40, 1)).astype(kind)
    response = thumb_of(client_of(user), stored(dataset, encoded(Image.fromarray(ramp), "TIFF"), "TIFF"))
    row = np.asarray(opened(response).convert("L"))[20]
    assert (row[0] < 10, row[-1] > 245, 100 < row[80] < 155) == (True, True, True)


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
def test_greys_without_a_range_are_no_error(
    dataset: Dataset, user: User, client_of: Callable[..., Client], value: float
) -> None:
    plane = np.full((20, 30), value, "float32")
    response = thumb_of(client_of(user), stored(dataset, encoded(Image.fromarray(plane), "TIFF"), "TIFF"))
    assert opened(response).size == (30, 20)


JPEG = encoded(picture(), "JPEG")
PNG = encoded(picture(), "PNG")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%PDF-1.4",
        JPEG[:40],
        PNG[:60],
        PNG[:33],
    ],
)
def test_a_broken_image_is_a_placeholder(
    dataset: Dataset, user: User, client_of: Callable[..., Client], content: bytes
) -> None:
    response = thumb_of(client_of(user), stored(dataset, content))
    assert (response.status_code, response["Content-Type"]) == (200, "image/svg+xml")
    assert b"script" not in response.content
    assert (response["X-Image-Problem"], response["Cache-Control"]) == ("not_an_image", "no-store")


def test_a_decoder_that_stumbles_is_no_server_error(
    dataset: Dataset, user: User, client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise KeyError("of a broken file")

    monkeypatch.setattr(media, "_webp", stumble)
    assert thumb_of(client_of(user), stored(dataset, JPEG))["X-Image-Problem"] == "not_an_image"


def test_a_decompression_bomb_is_not_unpacked(
    dataset: Dataset, user: User, client_of: Callable[..., Client], settings: Settings
) -> None:
    settings.MAX_IMAGE_PIXELS = 800 * 400 - 1
    response = thumb_of(client_of(user), stored(dataset, JPEG))
    assert response["X-Image-Problem"] == "image_too_large"


@pytest.mark.parametrize("ask", [thumb_of, image_of])
def test_a_lost_file_is_a_placeholder(
    dataset: Dataset, user: User, client_of: Callable[..., Client], ask: Callable[..., Any]
) -> None:
    sample = stored(dataset, JPEG)
    default_storage.delete(sample.image)
    response = ask(client_of(user), sample)
    assert (response.status_code, response["X-Image-Problem"]) == (200, "missing_image_file")
