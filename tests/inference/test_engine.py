"""Images through a loaded checkpoint: in order, in true batches, each error an answer of its own."""

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.adapters.base import DEFAULTS, InferenceSettings
from inference.decoding import Unreadable, decoded
from inference.engine import Pace, Picture, Plan, answers
from inference.loaded import LoadedCheckpoints
from inference.tuning import Search, Tunings
from tests.fakes.shades import ShadesAdapter

IN_FOURS = Pace(Plan(4, 2))


def picture(colour: tuple[int, int, int] = (200, 10, 10), size: tuple[int, int] = (32, 24), **options) -> bytes:
    Image.new("RGB", size, colour).save(file := io.BytesIO(), options.pop("format", "PNG"), **options)
    return file.getvalue()


@pytest.fixture
def adapter(tmp_path: Path) -> ShadesAdapter:
    return load(tmp_path)


def load(folder: Path, **weights) -> ShadesAdapter:
    (folder / "weights.json").write_text(json.dumps(weights))
    made = ShadesAdapter()
    made.load_checkpoint(folder / "weights.json", "cpu")
    return made


def run(adapter: ShadesAdapter, contents: list[bytes], pace: Pace = IN_FOURS) -> list:
    pictures = [Picture(n, lambda content=content: content) for n, content in enumerate(contents)]
    return sorted(answers(adapter, pictures, DEFAULTS, pace), key=lambda answer: answer.position)


def test_every_image_is_answered_once_in_batches(adapter: ShadesAdapter) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)] * 5
    found = run(adapter, [picture(colour) for colour in colours], IN_FOURS)
    assert [answer.result.label for answer in found] == ["red", "green", "blue"] * 5
    assert adapter.batches == [4, 4, 4, 3]


def test_the_size_of_batches_may_change_on_the_way(adapter: ShadesAdapter) -> None:
    class Shrinking(Pace):
        def took(self, images: int, seconds: float) -> None:
            self.plan = Plan(1, 2)

    assert len(run(adapter, [picture()] * 30, Shrinking(Plan(8, 2)))) == 30
    assert adapter.batches == [8, 8, *[1] * 14]


def test_no_image_is_no_answer(adapter: ShadesAdapter) -> None:
    assert run(adapter, []) == []


@pytest.mark.parametrize("content", [b"", b"no image", picture(format="JPEG")[:300], picture()[:50]])
def test_an_unreadable_image_is_an_error_of_its_own(adapter: ShadesAdapter, content: bytes) -> None:
    found = run(adapter, [picture(), content, picture()], Pace(Plan(2, 2)))
    assert [bool(answer.result) for answer in found] == [True, False, True]
    assert "cannot be decoded" in found[1].error


def test_a_stored_file_that_is_gone_is_told(adapter: ShadesAdapter) -> None:
    def gone() -> bytes:
        raise FileNotFoundError

    found = list(answers(adapter, [Picture(0, gone)], DEFAULTS, Pace(Plan())))
    assert found[0].error == "The stored file is gone."


def test_the_image_that_a_model_stumbles_over_does_not_take_its_batch_along(tmp_path: Path) -> None:
    adapter = load(tmp_path, fails_on=1.0)
    found = run(adapter, [picture((255, 0, 0) if n == 5 else (100, 0, 0)) for n in range(8)], Pace(Plan(8, 2)))
    assert [n for n, answer in enumerate(found) if answer.error] == [5]
    assert "out of red" in found[5].error


def test_times_of_the_three_parts_are_told(tmp_path: Path) -> None:
    found = run(load(tmp_path, delay=0.02), [picture()] * 4)
    assert all(answer.result.inference_ms >= 5 and answer.result.preprocess_ms > 0 for answer in found)


def test_few_images_are_in_memory_at_once(adapter: ShadesAdapter) -> None:
    read, most = [], 0
    pictures = (Picture(n, lambda: read.append(1) or picture()) for n in range(100))
    for number, _ in enumerate(answers(adapter, pictures, DEFAULTS, Pace(Plan(4, 2)))):
        most = max(most, len(read) - number)
    assert most <= 4 * 4 + 2


def test_closing_stops_between_batches_and_leaves_no_thread(adapter: ShadesAdapter) -> None:
    running = answers(adapter, (Picture(n, picture) for n in range(10_000)), DEFAULTS, Pace(Plan(4, 2)))
    next(running)
    running.close()
    assert len(adapter.batches) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("decode", "postprocess"))]


# --- Decoding --------------------------------------------------------------------------------------------------------
def turned(orientation: int) -> bytes:
    """Left half red, right half blue, 40 x 20; stored as a camera held otherwise would."""
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(file := io.BytesIO(), "PNG", exif=exif)
    return file.getvalue()


def test_images_are_upright() -> None:
    assert decoded(turned(1)).shape == (20, 40, 3)
    upright = decoded(turned(6))
    assert upright.shape == (40, 20, 3) and upright[0, 0].tolist() == [255, 0, 0] and upright[-1, 0].tolist() == [0, 0, 255]
    assert decoded(turned(6), upright=False).shape == (20, 40, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (6, 4), (255, 255, 255))
    made = Image.fromarray(np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000) if mode == "I;16" else image.convert(mode)
    made.save(file := io.BytesIO(), "TIFF")
    found = decoded(file.getvalue())
    assert found.shape == (4, 6, 3) and found.dtype == np.uint8 and found.max() == 255


def test_transparency_lies_on_white() -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(file := io.BytesIO(), "PNG")
    assert decoded(file.getvalue())[0, 0].tolist() == [255, 255, 255]


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(Unreadable, match="more than this server takes"):
        decoded(picture(size=(100, 100)), most_pixels=9_999)


# --- What is kept ------------------------------------------------------------------------------------------------------
def searched(rates: dict[int, float], sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32), images: int = 100_000) -> Search:
    """A search told of so many images by a machine on which batches of these sizes come at these rates."""
    found: list[Plan] = []
    search = Search(Plan(torch_threads=1), sizes, found.append)
    while not found and images > 0:
        size = search.plan.batch_size
        search.took(size, size / rates[size])
        images -= size
    assert found == ([search.plan] if images > 0 else [])
    return search


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({1: 50, 2: 49, 4: 40}, 1),
        ({1: 50, 2: 90, 4: 91, 8: 92}, 2),
        ({1: 10, 2: 20, 4: 40, 8: 80, 16: 160, 32: 320}, 32),
        ({1: 3, 2: 4, 4: 4.5, 8: 5}, 8),  # sixteen would take more than three seconds
    ],
)
def test_larger_batches_must_bring_something(rates: dict[int, float], chosen: int) -> None:
    assert searched(rates).plan == Plan(chosen, torch_threads=1, rate=pytest.approx(rates[chosen]))


def test_the_best_so_far_is_the_pace_while_others_are_tried() -> None:
    search = searched({1: 50, 2: 90, 4: 90}, images=12)
    assert (search.plan.batch_size, search.plan.rate) == (2, pytest.approx(50))


def test_fewer_threads_of_a_forward_pass_are_tried_last() -> None:
    found: list[Plan] = []
    search = Search(Plan(torch_threads=2), (1, 2), found.append)
    while not found:
        search.took(search.plan.batch_size, search.plan.batch_size / (80 if search.plan.torch_threads == 2 else 120))
    assert (found[0].batch_size, found[0].torch_threads) == (1, 1)


def test_the_first_batch_of_a_size_does_not_count() -> None:
    """It was decoded ahead while the batches before ran."""
    search = Search(Plan(torch_threads=1), (1, 2), lambda plan: None)
    search.took(1, 1e-9)
    for _ in range(4):
        search.took(1, 0.1)
    assert search.best.rate == pytest.approx(10)


def test_a_plan_is_searched_on_the_job_s_images_and_remembered(tmp_path: Path) -> None:
    adapter = load(tmp_path, delay=0.03)
    content, tunings = picture(), Tunings(tmp_path / "tunings")
    pace = tunings.pace(adapter, "digest")
    assert len(run(adapter, [content] * 800, pace)) == 800
    assert pace.plan.batch_size > 8 and pace.plan.rate > 0  # a batch costs the same however large it is
    assert sum(adapter.batches) == 800
    assert Tunings(tmp_path / "tunings").pace(load(tmp_path), "digest").plan == pace.plan
    assert Tunings(tmp_path / "tunings").pace(load(tmp_path), "another").plan.batch_size == 1


def test_a_search_goes_on_from_job_to_job(adapter: ShadesAdapter, tmp_path: Path) -> None:
    tunings = Tunings(tmp_path / "tunings")
    assert tunings.pace(adapter, "digest") is tunings.pace(adapter, "digest")


def test_deterministic_runs_know_one_batch_size(adapter: ShadesAdapter, tmp_path: Path) -> None:
    pace = Tunings(tmp_path / "tunings", same_bits=True).pace(adapter, "digest")
    run(adapter, [picture()] * 12, pace)
    assert adapter.batches == [4, 4, 4]


def test_the_least_recently_used_checkpoint_is_closed(tmp_path: Path) -> None:
    kept = LoadedCheckpoints(2)
    first, second = load(tmp_path), load(tmp_path)
    kept.get("a", lambda: first)
    kept.get("b", lambda: second)
    assert kept.get("a", lambda: second) is first
    kept.get("c", lambda: load(tmp_path))
    assert (first.is_closed, second.is_closed) == (False, True)


def test_settings_reach_the_adapter(tmp_path: Path) -> None:
    adapter = load(tmp_path, task_type="detection")
    (answer,) = answers(adapter, [Picture(0, lambda: picture((180, 0, 255)))], InferenceSettings(confidence=0.9), Pace(Plan()))
    assert [found.label for found in answer.result.objects] == ["blue"]
