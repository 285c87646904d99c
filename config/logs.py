"""How lines of the log are written."""

import logging


class OneLineFormatter(logging.Formatter):
    """One line for a message, whatever names of people are in it: a line break in one would begin a line of its own making."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in record.message)
        return super().formatMessage(record)
