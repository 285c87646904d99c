"""A golden set of the demo: dates that a person chose, in two versions, kept as everybody keeps them."""

from collections.abc import Callable

from accounts.models import Project, User
from predictions import curation, draft_items
from predictions.models import PredictionSet
from predictions.set_files.base import ItemRecord, made_item

NAME = "golden dates"
DESCRIPTION = "Dates as people write them, to be turned into ISO 8601. What a release must get right."
ISO = {"type": "regex", "value": r"^\d{4}-\d{2}-\d{2}$"}
NO_TALK = {"type": "max_length", "value": 10}

# Question, answer, tags.
FIRST = [
    ("16.03.1953 = ", "1953-03-16", ["dots"]),
    ("the 12th of November 2014 = ", "2014-11-12", ["words"]),
    ("October 11, 1995 = ", "1995-10-11", ["words"]),
    ("Feb 3rd 1996 = ", "1996-02-03", ["words", "short month"]),
    ("June 11, 2018 = ", "2018-06-11", ["words"]),
    ("April 18, 2005 = ", "2005-04-18", ["words"]),
    ("01.02.2003 = ", "2003-01-02", ["dots", "ambiguous"]),
    ("29.02.2000 = ", "2000-02-29", ["dots", "leap day"]),
    ("Dec 31st 1999 = ", "1999-12-31", ["words", "short month"]),
]
# The second version corrects an answer and knows harder questions.
CORRECTED = ("01.02.2003 = ", "2003-02-01", ["dots", "ambiguous"])
SECOND = [
    ("29.02.2024 = ", "2024-02-29", ["dots", "leap day"]),
    ("the 1st of May 2021 = ", "2021-05-01", ["words"]),
    ("Sept 30th 1987 = ", "1987-09-30", ["words", "short month"]),
]
DROPPED = "June 11, 2018 = "


def fill_golden_set(user: User, project: Project, tell: Callable[[str], object]) -> bool:
    """Make the set where the project lacks it. False where it is there."""
    if PredictionSet.objects.filter(project=project, name=NAME).exists():
        return False
    golden = curation.create_set(project, user, NAME, DESCRIPTION)
    curation.set_rules(golden, [ISO], None)
    draft_items.put_items(golden, [_item(*each) for each in FIRST])
    curation.publish(golden, user, "Nine dates that every release has to get right")
    dropped = _item(DROPPED, "", []).key
    draft_items.put_items(
        golden, [_item(*CORRECTED, notes="Day before month, as the dots say."), *(_item(*each, weight=2) for each in SECOND)]
    )
    draft_items.remove_items(golden, [dropped])
    curation.set_rules(golden, [ISO, NO_TALK], None)
    version = curation.publish(golden, user, "Leap days and short months; an answer corrected")
    tell(f"{golden.name}: {version.number} versions, {version.item_count} items in the latest")
    return True


def _item(prompt: str, answer: str, tags: list[str], weight: float = 1.0, notes: str = "") -> ItemRecord:
    leap = [{"type": "contains", "value": "-02-29"}] if "leap day" in tags else []
    return made_item(
        row=0, prompt=prompt, references=[answer] if answer else [], validators=leap, tags=tags, weight=weight, notes=notes
    )
