"""Who the people are, decided from the whole history of a component."""

from datetime import UTC, datetime, timedelta

from schemas.messages import Identifier
from services.profile.resolve.model import MOST_REFUSALS, Link, Merge, Person
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
    assert {id_: shown.profile_id for id_, shown in result.moved.items()} == {"m3": bobs}


def test_an_id_in_use_stays_in_use_whoever_else_is_older_by_now() -> None:
    older, known = profile_id_of("m1"), profile_id_of("m2")
    past = past_of(("m1", 1, (CARD,), older), ("m2", 2, (CARD,), known))
    past.people[older].since, past.people[older].into = NOON, known
    past.people[known].since = NOON + timedelta(minutes=2)
    result = rearranged(past, people_of(past))
    assert (result.standing, result.moved) == ({known: [known, older]}, {})


def test_a_new_id_is_of_the_first_message_of_its_person_and_as_old() -> None:
    both = profile_id_of("m0")
    past = past_of(("m0", 0, (ANN,), both), ("m1", 5, (BOB,), both), ("m2", 3, (BOB,), both))
    result = rearranged(past, people_of(past))
    bobs = profile_id_of("m2")
    assert result.created == {bobs}
    assert result.people[bobs].since == NOON + timedelta(minutes=3)
    assert {id_: shown.profile_id for id_, shown in result.moved.items()} == {
        "m1": bobs,
        "m2": bobs,
    }


def test_an_id_is_as_old_as_the_message_that_made_it_whatever_comes_late() -> None:
    ann = profile_id_of("m2")
    past = past_of(("m2", 5, (ANN,), ann), ("m1", 3, (ANN,), ann))
    past.people[ann].since = NOON + timedelta(minutes=5)
    assert rearranged(past, people_of(past)).people[ann].since == NOON + timedelta(minutes=5)


def test_of_too_many_refusals_the_first_are_kept() -> None:
    ann = profile_id_of("m")
    users = [Identifier("user_id", f"u{number}") for number in range(MOST_REFUSALS + 2)]
    said = [
        (f"m{number}", len(users) - number, (user, CARD), profile_id_of(f"m{number}"))
        for number, user in enumerate(users)
    ]
    past = past_of(("m", 0, (ANN, CARD), ann), *said)
    person = rearranged(past, people_of(past)).people[ann]
    latest_last = [f"m{number}" for number in reversed(range(len(users)))]
    assert [one.message_id for one in person.refusals] == latest_last[:MOST_REFUSALS]


def test_what_was_told_of_a_merge_holds_while_both_are_one() -> None:
    ann, one, other = profile_id_of("m1"), profile_id_of("m2"), profile_id_of("m3")
    past = past_of(("m1", 1, (ANN, CARD), ann), ("m2", 2, (CARD,), one), ("m3", 3, (BOB,), other))
    told = [Merge(one, into, NOON, "m9", CARD, "same_event", reason=into) for into in (other, ann)]
    past.people[other].merges, past.people[ann].merges = told[:1], told[1:]
    assert rearranged(past, people_of(past)).people[ann].merges == told[1:]
    past.people[ann].merges = []
    late = Merge(one, ann, NOON + timedelta(minutes=2), "m2", CARD, "late_evidence")
    assert rearranged(past, people_of(past)).people[ann].merges == [late]


def test_of_an_id_whose_first_message_is_gone_the_first_identifier_tells_why_it_is_theirs() -> None:
    lost, ann = profile_id_of("gone"), profile_id_of("m1")
    past = past_of(("m1", 1, (ANN,), ann), ("m2", 2, (ANN, CARD), ann), ("m3", 3, (CARD,), lost))
    past.people[lost].into = ann
    first = Merge(lost, ann, NOON + timedelta(minutes=1), "m1", ANN, "late_evidence")
    assert rearranged(past, people_of(past)).people[ann].merges == [first]
