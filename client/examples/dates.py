"""A task that a small model learns in a minute: dates as people write them, to ISO 8601."""

import random
from datetime import date, timedelta

MONTHS = "January February March April May June July August September October November December".split()
FIRST, DAYS = date(1950, 1, 1), 80 * 365


def ordinal(day: int) -> str:
    suffix = "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def phrase(when: date, chooser: random.Random) -> str:
    """One of the ways to write it; the last ones are rare, and stay hard for longer."""
    month, short = MONTHS[when.month - 1], MONTHS[when.month - 1][:3]
    ways = [
        f"{when.day} {month} {when.year}",
        f"{month} {when.day}, {when.year}",
        f"{when.day:02}.{when.month:02}.{when.year}",
        f"{short} {ordinal(when.day)} {when.year}",
        f"the {ordinal(when.day)} of {month} {when.year}",
        f"{when.year}, {month} {when.day}",
        f"{when.month}/{when.day}/{when.year % 100:02}",
    ]
    return chooser.choices(ways, weights=[6, 6, 5, 4, 4, 2, 2])[0]


def rows(count: int, seed: int) -> list[dict[str, str]]:
    """Prompts with their completions, the same for a seed."""
    chooser = random.Random(seed)
    found = []
    for _ in range(count):
        when = FIRST + timedelta(days=chooser.randrange(DAYS))
        found.append({"prompt": f"{phrase(when, chooser)} = ", "completion": when.isoformat()})
    return found
