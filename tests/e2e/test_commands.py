"""What a turn says to MongoDB in commands: the same as the driver's own calls would."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from services.runtime.commands import find, insert, update
from services.runtime.mongo import (
    BulkWriteError,
    Collection,
    Document,
    conflict,
    connect,
    settled,
    too_large,
)
from services.runtime.settings import Settings

pytestmark = pytest.mark.broker


@pytest.fixture
async def notes(stack: Any) -> AsyncIterator[Collection]:
    client = connect(Settings(mongo_url=stack.mongo_url))
    name = f"commands_{uuid4().hex[:12]}"
    yield client[name]["notes"]
    await client.drop_database(name)
    client.close()


async def all_of(notes: Collection) -> list[Document]:
    return sorted(await find(notes, {}, None), key=lambda note: note["_id"])


async def test_more_than_one_answer_holds_is_found_whole(notes: Collection) -> None:
    for number in range(20):
        await insert(notes, [{"_id": number, "text": b"x" * 1_000_000, "of": number % 2}], None)
    found = await find(notes, {"of": 0}, None)
    assert sorted(note["_id"] for note in found) == list(range(0, 20, 2))
    assert len(await find(notes, {}, None)) == 20
    assert await find(notes, {"_id": {"$lt": 2}}, None, {"of": 1}) == [
        {"_id": 0, "of": 0},
        {"_id": 1, "of": 1},
    ]


async def test_what_is_there_already_is_a_conflict(notes: Collection) -> None:
    await insert(notes, [{"_id": 1}], None)
    with pytest.raises(BulkWriteError) as caught:
        await insert(notes, [{"_id": 1}, {"_id": 2}], None)
    assert conflict(caught.value)


async def test_a_change_counts_the_documents_that_it_found_or_made(notes: Collection) -> None:
    await insert(notes, [{"_id": 1, "n": 1}], None)
    changes = [({"_id": number}, {"$set": {"n": 7}}) for number in (1, 2)]
    assert await update(notes, changes, None) == 1
    assert await all_of(notes) == [{"_id": 1, "n": 7}]
    assert await update(notes, changes, None, upsert=True) == 2
    assert await all_of(notes) == [{"_id": 1, "n": 7}, {"_id": 2, "n": 7}]


async def test_what_no_command_holds_is_told_as_too_large(notes: Collection) -> None:
    with pytest.raises(Exception, match="too large") as caught:
        await insert(notes, [{"_id": n, "text": b"x" * 9_000_000} for n in range(2)], None)
    assert too_large(caught.value)


async def test_a_question_is_answered_from_what_a_majority_has_where_that_is_wanted(
    notes: Collection,
) -> None:
    await insert(notes, [{"_id": 1}], None)
    there = settled(notes.database.client, notes.database.name)["notes"]
    assert there.read_concern == ReadConcern("majority")
    assert await find(there, {}, None) == [{"_id": 1}]
    with pytest.raises(OperationFailure, match="must be either"):
        await find(notes.with_options(read_concern=ReadConcern("no such level")), {}, None)
