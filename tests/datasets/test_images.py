"""Image files of a source: what they are, where they are found, and which frame their annotations live in."""

import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from datasets.importers.image_files import ImageFinder, ImageRefused, image_paths, inspect_image
from tests.coco_files import picture


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tiff"])
def test_the_six_formats_are_images(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (30, 20)).save(path)
    info = inspect_image(path)
    assert (info.width, info.height, info.orientation) == (30, 20, 1)


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "a.jpg", format="PNG")
    assert inspect_image(tmp_path / "a.jpg").image_format == "PNG"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_and_the_size_is_raw(tmp_path: Path, orientation: int) -> None:
    info = inspect_image(picture(tmp_path / "a.jpg", (30, 20), orientation))
    assert (info.width, info.height, info.orientation) == (30, 20, orientation)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"II*\x00\xff\xff\xff\xff",
        b"BM" + bytes(10),
        bytes(range(100)),
    ],
)
def test_what_is_no_image_is_refused_whatever_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageRefused) as refused:
        inspect_image(tmp_path / "a.jpg")
    assert refused.value.reason == "not_an_image"


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares this size and holds no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 100_000])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(png_header(side, side))
    with pytest.raises(ImageRefused) as refused:
        inspect_image(tmp_path / "a.png")
    assert refused.value.reason == "image_too_large"


def test_the_bound_on_pixels_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused):
        inspect_image(picture(tmp_path / "a.jpg", (30, 20)), most_pixels=599)
    assert inspect_image(tmp_path / "a.jpg", most_pixels=600).width == 30


def test_no_pixel_of_a_png_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(9_000, 9_000))
    assert inspect_image(tmp_path / "a.png").width == 9_000


@pytest.mark.parametrize("name", ["a.jpg", "images/a.jpg", "val/a.jpg", "images/val/a.jpg", "elsewhere/deep/a.jpg"])
def test_an_image_is_found_where_tools_put_it(tmp_path: Path, name: str) -> None:
    picture(tmp_path / name)
    assert ImageFinder(tmp_path, split="val").path("a.jpg") == tmp_path / name


def test_the_splits_own_folder_decides_between_two_of_a_name(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "train" / "a.jpg")
    picture(tmp_path / "images" / "val" / "a.jpg")
    assert ImageFinder(tmp_path, split="val").path("a.jpg") == tmp_path / "images" / "val" / "a.jpg"


def test_else_a_name_that_two_share_finds_none(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "a.jpg")
    picture(tmp_path / "y" / "a.jpg")
    assert ImageFinder(tmp_path).path("a.jpg") is None


def test_images_beside_their_annotations_are_found(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "a.jpg")
    picture(tmp_path / "y" / "a.jpg")
    assert ImageFinder(tmp_path, beside=tmp_path / "y" / "truth.json").path("a.jpg") == tmp_path / "y" / "a.jpg"


def test_a_name_without_suffix_finds_its_image(tmp_path: Path) -> None:
    picture(tmp_path / "a.b.jpg")
    assert ImageFinder(tmp_path).path("a.b") == tmp_path / "a.b.jpg"


def test_another_suffix_is_found_only_where_stems_decide(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert ImageFinder(tmp_path).path("a.jpg") is None
    assert ImageFinder(tmp_path).has_stem("a.jpg")
    assert ImageFinder(tmp_path, by_stem=True).path("a.jpg") == tmp_path / "a.png"


def test_windows_paths_are_understood(tmp_path: Path) -> None:
    picture(tmp_path / "val" / "a.jpg")
    assert ImageFinder(tmp_path).path("val\\a.jpg") == tmp_path / "val" / "a.jpg"


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/a.jpg", "x/../../a.jpg", "..\\a.jpg", "C:\\a.jpg", "a\0.jpg", "\\\\host\\a.jpg"]
)
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "images").mkdir()
    with pytest.raises(ImageRefused) as refused:
        ImageFinder(tmp_path / "images").find(name)
    assert refused.value.reason == "unsafe_path"


@pytest.mark.parametrize("split", ["..", "../..", "/etc", "a\0b"])
def test_a_split_cannot_lead_out_of_the_folder(tmp_path: Path, split: str) -> None:
    picture(tmp_path / "secret.jpg")
    (tmp_path / "images").mkdir()
    assert ImageFinder(tmp_path / "images", split=split).path("secret.jpg") is None


def test_a_link_may_stay_within_the_folder(tmp_path: Path) -> None:
    picture(tmp_path / "real" / "a.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    assert ImageFinder(tmp_path).path("b.jpg") == tmp_path / "real" / "a.jpg"


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, linked: str) -> None:
    picture(tmp_path / "secret" / "a.jpg")
    (tmp_path / "images").mkdir()
    if linked == "file":
        (tmp_path / "images" / "a.jpg").symlink_to(tmp_path / "secret" / "a.jpg")
    else:
        (tmp_path / "images" / "x").symlink_to(tmp_path / "secret")
    with pytest.raises(ImageRefused):
        ImageFinder(tmp_path / "images").find("a.jpg" if linked == "file" else "x/a.jpg")
    assert image_paths(tmp_path / "images") == []


def test_pipes_and_folders_called_jpg_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert image_paths(tmp_path) == []
    with pytest.raises(ImageRefused):
        ImageFinder(tmp_path).find("pipe.jpg")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(ImageRefused):
        ImageFinder(tmp_path).find("a.jpg")
