"""Who the people are, decided from the whole history of a component."""

from datetime import UTC, datetime, timedelta

from schemas.messages import Identifier
from services.profile.resolve.model import Link, Person
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.people import Past, people_of
from services.profile.resolve.rules.rearranging import rearranged

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BOB = Identifier("user_id", "ann"), Identifier("user_id", "bob")
CARD = Identifier("loyalty_card", "1")


def past_of(*said: tuple[str, int, tuple[Identifier, ...], str]) -> Past:
    """Of (message id, minute, what it names, the profile id under which it stands)."""
    links = [
        Link(
            id_, NOON + timedelta(minutes=minute), "shop", "same_event", [*names], [], [*names], []
        )
        for id_, minute, names, _ in said
    ]
    placed = {id_: profile_id for id_, _, _, profile_id in said}
    shown = {link.message_id: link.identifiers for link in links}
    people = {profile_id: Person(profile_id) for profile_id in placed.values()}
    return Past(links=links, placed=placed, shown=shown, people=people)


def test_who_brought_an_identifier_is_the_first_message_that_names_it_whenever_it_came() -> None:
    ann = profile_id_of("m2")
    past = past_of(
        ("m2", 5, (ANN, CARD), ann), ("m1", 3, (ANN, CARD), ann), ("m3", 9, (ANN, CARD), ann)
    )
    person = rearranged(past, people_of(past)).people[ann]
    assert [(one.identifier, one.message_id) for one in person.identifiers] == [
        (ANN, "m1"),
        (CARD, "m1"),
    ]


def test_an_id_whose_first_message_is_gone_is_whose_most_of_what_stands_there_is() -> None:
    lost, bobs = profile_id_of("gone"), profile_id_of("m4")
    past = past_of(
        ("m1", 1, (ANN,), lost),
        ("m2", 2, (ANN,), lost),
        ("m3", 3, (BOB,), lost),
        ("m4", 4, (BOB,), bobs),
        ("m5", 5, (BOB,), bobs),
    )
    result = rearranged(past, people_of(past))
    assert result.standing == {lost: [lost], bobs: [bobs]}
    assert {id_: shown[0] for id_, shown in result.moved.items()} == {"m3": bobs}
