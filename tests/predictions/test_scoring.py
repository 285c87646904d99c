"""The definitions of scores, against values written out by hand and against the libraries whose names they bear."""

import random
import sys
from importlib import util
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics import BLEU, CHRF

from predictions import scoring
from predictions.scoring import score
from predictions.totals import Totals, bleu_signature, bleu_statistics

LETTERS = "abcde éß日\n"
chooser = random.Random(7)


def random_text(most: int = 80) -> str:
    return "".join(chooser.choice(LETTERS) for _ in range(chooser.randrange(most)))


PAIRS = [(random_text(), random_text()) for _ in range(300)]


def test_client_and_server_read_one_file() -> None:
    source = Path(scoring.__file__)
    assert source.is_symlink() and source.resolve().parts[-2:] == ("touchstone_client", "scoring.py")


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("This test", "This is a test", 5 / 14),
        ("", "abc", 1.0),
        ("abc", "abc", 0.0),
        ("X X Y Y", "X", 1.0),  # six edits of one character, capped
        ("a  b\n c", "a b c", 0.0),  # blanks are blanks
        ("e\u0301", "\u00e9", 0.0),  # NFC
        ("", "", 0.0),
        ("a", "", 1.0),
    ],
)
def test_character_error_rate(prediction: str, reference: str, expected: float) -> None:
    assert score(prediction, reference).char_error_rate == pytest.approx(expected)


def test_edits_and_length_are_kept_beside_the_capped_rate() -> None:
    found = score("X X Y Y", "X")
    assert (found.char_edits, found.reference_length, found.char_error_rate) == (6, 1, 1.0)


@pytest.mark.parametrize(
    ("prediction", "reference", "raw", "normalised"),
    [
        ("Yes.", "yes", 0.0, 1.0),
        ("yes", "yes", 1.0, 1.0),
        ("yes ", "yes", 0.0, 1.0),
        ("3.14", "314", 0.0, 0.0),
        ("-5", "5", 0.0, 0.0),
        ("(Straße)", "STRASSE", 0.0, 1.0),
        ("C++", "C", 0.0, 0.0),
    ],
)
def test_exact_matches(prediction: str, reference: str, raw: float, normalised: float) -> None:
    found = score(prediction, reference)
    assert (found.exact_match, found.exact_match_norm) == (raw, normalised)


def test_overlap_of_words() -> None:
    found = score("the cat the cat", "the dog")
    assert (found.word_overlap, found.token_f1, found.length_ratio) == (0.5, pytest.approx(2 / 6), pytest.approx(15 / 7))


def test_an_empty_reference_makes_no_length_ratio_but_for_an_empty_answer() -> None:
    assert (score("a", "").length_ratio, score("", "").length_ratio) == (None, 1.0)


@pytest.mark.parametrize("reference", [None, [], ()])
def test_without_a_reference_nothing_is_defined(reference: object) -> None:
    assert set(score("a", reference).as_dict().values()) == {None}


def test_of_several_references_the_best_counts() -> None:
    found = score("the cat", ["a dog barked", "the cat", "the bat"])
    assert (found.exact_match, found.char_error_rate, found.reference_length) == (1.0, 0.0, 7)


def test_chrf_is_sacrebleu_s() -> None:
    reference = CHRF()
    for said, true in PAIRS:
        assert score(said, true).chrf == pytest.approx(reference.sentence_score(said, [true]).score, abs=1e-9)


def test_edits_without_compiled_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    spec = util.spec_from_file_location("bare_scoring", scoring.__file__)
    assert spec and spec.loader
    bare = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bare_scoring", bare)
    spec.loader.exec_module(bare)
    assert bare.Levenshtein is None
    assert all(bare.char_edits(said, true) == Levenshtein.distance(said, true) for said, true in PAIRS)


def test_corpus_bleu_is_sacrebleu_s() -> None:
    totals = Totals()
    totals.add_bleu(bleu_statistics((said, [true]) for said, true in PAIRS))
    assert totals.corpus_bleu == pytest.approx(BLEU().corpus_score([p[0] for p in PAIRS], [[p[1] for p in PAIRS]]).score)
    assert "tok:13a" in bleu_signature()


WORDS = ["the", "the", "cat", "sat.", "on", "a", "mat,", "3.5", "don't", "(yes)", "日本", "the-end", "&amp;", "$5"]


def random_words(most: int) -> str:
    return " ".join(chooser.choice(WORDS) for _ in range(chooser.randrange(most)))


@pytest.mark.parametrize("references", [1, 3])
def test_statistics_of_bleu_are_sacrebleu_s_to_the_last(references: int) -> None:
    metric = BLEU()
    for _ in range(300):
        said, true = random_words(14), [random_words(14) for _ in range(references)]
        expected = [int(n) for n in metric._extract_corpus_statistics([said], [[text] for text in true])[0]]
        assert bleu_statistics([(said, true)]) == [expected], (said, true)


def test_totals_add_up_over_parts() -> None:
    whole, parts = Totals(), [Totals(), Totals()]
    for place, (said, true) in enumerate(PAIRS):
        for totals in (whole, parts[place % 2]):
            totals.add_rows([(score(said, true), {"reward": place}, place % 3 == 0)])
    parts[0].merge(Totals.from_json(parts[1].as_json()))
    assert (parts[0].rows, parts[0].pass_rate, parts[0].edits) == (whole.rows, whole.pass_rate, whole.edits)
    for name, moments in whole.scores.items():
        other = parts[0].scores[name]
        assert (other.mean, other.least, other.greatest) == (pytest.approx(moments.mean), moments.least, moments.greatest)
