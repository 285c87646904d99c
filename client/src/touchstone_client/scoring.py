"""The definitions of scores: one claim against its truth. The server and the client read this one file.

Texts are NFC-normalised, and newlines and runs of blanks are blanks, except for `exact_match`, which is raw. With several
references the best counts, score by score. A change of a definition changes VERSION; `manage.py rescore` recomputes a history.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache

try:
    from rapidfuzz.distance import Levenshtein
except ImportError:  # the client needs no compiled parts: see _edits_by_bits
    Levenshtein = None  # type: ignore[assignment]

VERSION = "1"
NORMALISER = "nfkc-casefold-edges-1"
CHRF_ORDER, CHRF_BETA = 6, 2
LONGEST_KEPT = 300
# At the edges of words only: 3.14, -5, C++ and well-known stay what they are.
EDGES = ".,;:!?\"'`´‘’“”«»()[]{}…。、，！？；："


@dataclass(frozen=True)
class Definition:
    """What people see of a score."""

    label: str
    meaning: str
    lower_is_better: bool = False
    decimals: int = 3


DEFINITIONS = {
    "exact_match": Definition("Exact match", "1 where prediction and reference are equal, character by character."),
    "exact_match_norm": Definition(
        "Exact match, normalised",
        f"Equal after NFKC, case folding, and punctuation at the edges of words removed ({NORMALISER}).",
    ),
    "char_error_rate": Definition(
        "Character error rate", "Edits / characters of the reference, capped at 1.", lower_is_better=True
    ),
    "length_ratio": Definition("Length ratio", "Characters of the prediction / characters of the reference; 1 is the aim."),
    "word_overlap": Definition("Word overlap", "Share of the reference's distinct words that the prediction has."),
    "token_f1": Definition("Token F1", "F1 of the words that prediction and reference share, counted as often as they occur."),
    "chrf": Definition("chrF", "chrF2 of sacrebleu for the single text: character n-grams up to 6, 0 to 100.", decimals=1),
}
SCORE_NAMES = tuple(DEFINITIONS)
LOWER_IS_BETTER = frozenset(name for name, definition in DEFINITIONS.items() if definition.lower_is_better)


@dataclass(frozen=True, slots=True)
class Scores:
    """All of one text; all None where there is no reference. Edits and reference length are in characters."""

    exact_match: float | None = None
    exact_match_norm: float | None = None
    char_error_rate: float | None = None
    char_edits: int | None = None
    reference_length: int | None = None
    length_ratio: float | None = None
    word_overlap: float | None = None
    token_f1: float | None = None
    chrf: float | None = None

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


FIELDS = tuple(field.name for field in fields(Scores))
UNSCORED = Scores()


def score(prediction: str, reference: str | Sequence[str] | None, *, with_chrf: bool = True) -> Scores:
    """The scores of a prediction against its reference, or the best of several; UNSCORED where there is none.

    chrF takes as long as all the others together: `with_chrf=False` leaves it None.
    """
    if reference is None:
        return UNSCORED
    if isinstance(reference, str):
        return _against(prediction, reference, with_chrf)
    if not reference:
        return UNSCORED
    found = [_against(prediction, one, with_chrf) for one in reference]
    closest = min(found, key=lambda scores: (scores.char_error_rate, scores.char_edits))
    return Scores(
        exact_match=_best(found, "exact_match"),
        exact_match_norm=_best(found, "exact_match_norm"),
        char_error_rate=closest.char_error_rate,
        char_edits=closest.char_edits,
        reference_length=closest.reference_length,
        length_ratio=closest.length_ratio,
        word_overlap=_best(found, "word_overlap"),
        token_f1=_best(found, "token_f1"),
        chrf=_best(found, "chrf") if with_chrf else None,
    )


def _best(found: list[Scores], name: str) -> float:
    return max(float(getattr(scores, name)) for scores in found)


def _against(prediction: str, reference: str, with_chrf: bool) -> Scores:
    true = (_prepare_again if len(reference) <= LONGEST_KEPT else _prepare)(reference, with_chrf)
    said = true if prediction == reference else _prepare(prediction, with_chrf)
    edits = char_edits(said.text, true.text)
    length = len(true.text)
    return Scores(
        exact_match=float(prediction == reference),
        exact_match_norm=float(said.words == true.words),
        char_error_rate=min(1.0, edits / length) if length else float(edits > 0),
        char_edits=edits,
        reference_length=length,
        length_ratio=len(said.text) / length if length else (None if said.text else 1.0),
        word_overlap=_word_overlap(said, true),
        token_f1=_token_f1(said, true),
        chrf=_chrf(said, true) if with_chrf else None,
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the scores need of a text."""

    text: str
    words: tuple[str, ...]
    counted: "Counter[str]"
    ngrams: tuple["_Ngrams", ...]


@dataclass(frozen=True, slots=True)
class _Ngrams:
    """The n-grams of one order: which there are, how often those that come again, and how many in all.

    Sets meet at the speed of C; few n-grams of a text come twice.
    """

    kinds: frozenset[str]
    repeated: dict[str, int]
    total: int

    def shared_with(self, other: "_Ngrams") -> int:
        """How many occur in both, counted as often as in the rarer one."""
        again = self.repeated.keys() & other.repeated.keys() if self.repeated and other.repeated else ()
        return len(self.kinds & other.kinds) + sum(min(self.repeated[one], other.repeated[one]) - 1 for one in again)


def _ngrams_of(pieces: list[str]) -> _Ngrams:
    kinds = frozenset(pieces)
    repeated = {} if len(kinds) == len(pieces) else {one: count for one, count in Counter(pieces).items() if count > 1}
    return _Ngrams(kinds, repeated, len(pieces))


def _prepare(raw: str, with_ngrams: bool) -> _Prepared:
    text = " ".join(unicodedata.normalize("NFC", raw).split())
    words = _normal_words(text)
    letters = text.replace(" ", "") if with_ngrams else ""
    length = len(letters)
    ngrams = tuple(
        _ngrams_of([letters[start : start + order] for start in range(length - order + 1)])
        for order in range(1, CHRF_ORDER + 1)
    )
    return _Prepared(text, words, Counter(words), ngrams)


# References come again every epoch. What is kept of one takes about 0.5 KB a character.
_prepare_again = lru_cache(maxsize=512)(_prepare)


def _normal_words(text: str) -> tuple[str, ...]:
    """Words under the named normaliser. A word of nothing but punctuation is none."""
    words = (word.strip(EDGES) for word in unicodedata.normalize("NFKC", text).casefold().split())
    return tuple(word for word in words if word)


def normalised(text: str) -> str:
    """The text under the named normaliser, for comparisons; of nothing but punctuation, the text itself."""
    return " ".join(_normal_words(text)) or text


def char_edits(one: str, other: str) -> int:
    """Levenshtein distance in characters (code points)."""
    if Levenshtein is not None:
        return int(Levenshtein.distance(one, other))
    return _edits_by_bits(one, other)


def _edits_by_bits(one: str, other: str) -> int:
    """Levenshtein distance by Myers' bit vectors as Hyyrö (2003) writes them; Python's integers are as wide as it takes."""
    if not one:
        return len(other)
    where: dict[str, int] = {}
    for position, letter in enumerate(one):
        where[letter] = where.get(letter, 0) | 1 << position
    full, last = (1 << len(one)) - 1, 1 << len(one) - 1
    plus, minus, distance = full, 0, len(one)
    for letter in other:
        match = where.get(letter, 0)
        diagonal = (((match & plus) + plus) ^ plus) | match | minus
        rises, falls = minus | ~(diagonal | plus) & full, plus & diagonal
        distance += bool(rises & last) - bool(falls & last)
        rises, falls = (rises << 1 | 1) & full, falls << 1 & full
        plus, minus = falls | ~(diagonal | rises) & full, rises & diagonal
    return distance


def _word_overlap(said: _Prepared, true: _Prepared) -> float:
    if not true.counted:
        return float(not said.counted)
    return sum(word in said.counted for word in true.counted) / len(true.counted)


def _token_f1(said: _Prepared, true: _Prepared) -> float:
    if not said.words or not true.words:
        return float(said.words == true.words)
    shared = sum(min(count, said.counted.get(word, 0)) for word, count in true.counted.items())
    return 2 * shared / (len(said.words) + len(true.words))


def _chrf(said: _Prepared, true: _Prepared) -> float:
    """As sacrebleu's CHRF() without epsilon smoothing: averaged over the orders that both texts have."""
    precision = recall = 0.0
    orders = 0
    for mine, theirs in zip(said.ngrams, true.ngrams, strict=True):
        if not mine.total or not theirs.total:
            break
        matches = mine.shared_with(theirs)
        precision += matches / mine.total
        recall += matches / theirs.total
        orders += 1
    if not precision or not recall:
        return 0.0
    precision, recall = precision / orders, recall / orders
    factor = CHRF_BETA**2
    return 100 * (1 + factor) * precision * recall / (factor * precision + recall)
