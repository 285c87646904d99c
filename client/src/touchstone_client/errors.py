"""The one error that people see, before a training starts."""


class TouchstoneError(Exception):
    """What is wrong with the settings, and how to mend it. Never raised once the training runs."""
