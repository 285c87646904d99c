"""Lines of the log: a message is one of them, whatever is in it."""

import logging
import sys

from config.logs import OneLineFormatter

FORGED = "photo\n12:00:00 ERROR touchstone.jobs: all is lost\x1b[2J"


def line(message: str, *arguments: object, exc_info: object = None) -> str:
    record = logging.LogRecord("touchstone.jobs", logging.INFO, "", 0, message, arguments, exc_info)  # type: ignore[arg-type]
    return OneLineFormatter("%(levelname)s %(name)s: %(message)s").format(record)


def test_a_name_cannot_begin_a_line_of_its_own() -> None:
    expected = r"INFO touchstone.jobs: photo\n12:00:00 ERROR touchstone.jobs: all is lost\x1b[2J failed"
    assert line("%s failed", FORGED) == expected


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert line("Möwe – 鳥 'a' \\") == "INFO touchstone.jobs: Möwe – 鳥 'a' \\"


def test_tracebacks_keep_their_lines() -> None:
    try:
        raise ValueError
    except ValueError:
        assert len(line("failed", exc_info=sys.exc_info()).splitlines()) > 3
