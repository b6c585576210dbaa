"""MongoDB through Motor: the client, one kind of transaction, and what counts as transient.

Only this file and the services' ``store.py`` import the driver; others take from here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from services.runtime.settings import Settings

__all__ = ["BulkWriteError", "DeleteOne", "PyMongoError", "ReplaceOne", "UpdateOne"]

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Collection = AsyncIOMotorCollection[Document]
Database = AsyncIOMotorDatabase[Document]
Session = AsyncIOMotorClientSession

_WRITE_CONFLICT = 112
_UNABLE = frozenset({64, 91, 189, 10107, 11600, 11602, 13435, 13436, 14031})
"""A server that is stepping down, shutting down, without a majority, or out of disk space."""
_PASSING = ("TransientTransactionError", "RetryableWriteError")
_COMMIT_TRIES = 5
_PROBED_SECONDS = 3.0


class CommitUnknown(Exception):
    """The server did not say whether the transaction was committed: read the checkpoint."""


def connect(settings: Settings) -> Client:
    """A client of the configured cluster; nothing is sent until it is used."""
    client: Client = AsyncIOMotorClient(
        settings.mongo_url,
        serverSelectionTimeoutMS=5_000,
        socketTimeoutMS=30_000,
        serverMonitoringMode="poll",  # streaming takes a thread and a connection more
        tz_aware=True,
        appname="regulars",
    )
    return client


async def silent(client: Client) -> str | None:
    """None, or that no server answers: one line for the readiness probe."""
    try:
        async with asyncio.timeout(_PROBED_SECONDS):
            await client.admin.command("ping")
    except (PyMongoError, TimeoutError):
        return "MongoDB does not answer"
    return None


def settled(client: Client, name: str) -> Database:
    """A database of which one reads only what a majority of the replica set has.

    What a server knows alone can be lost with it. Nobody waits for the others: the answer is the
    latest that they are known to have.
    """
    return client.get_database(name, read_concern=ReadConcern("majority"))


@asynccontextmanager
async def transaction(session: Session) -> AsyncIterator[None]:
    """One transaction on ``session``: snapshot reads, majority and journaled writes.

    Raises whatever the body raises, after aborting; ``CommitUnknown`` when the commit was
    sent and its answer lost.
    """
    session.start_transaction(
        read_concern=ReadConcern("snapshot"),
        write_concern=WriteConcern("majority", j=True),
        read_preference=ReadPreference.PRIMARY,
    )
    try:
        yield
    except BaseException:
        await _abort(session)
        raise
    await _commit(session)


async def _commit(session: Session) -> None:
    for _ in range(_COMMIT_TRIES):
        try:
            await session.commit_transaction()
            return
        except PyMongoError as error:
            if error.has_error_label("UnknownTransactionCommitResult"):
                continue
            raise
    raise CommitUnknown


async def _abort(session: Session) -> None:
    # The server ends it by itself if need be; the reason why we abort matters more.
    with suppress(PyMongoError):
        await session.abort_transaction()


def conflict(error: BaseException) -> bool:
    """Two transactions wrote the same document: smaller turns collide less."""
    if isinstance(error, DuplicateKeyError):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        codes = {item.get("code") for item in details.get("writeErrors", ())}
        return bool(codes & {11000, _WRITE_CONFLICT})
    return isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT


def only_duplicates(error: BulkWriteError) -> bool:
    """Whatever was not inserted was there already."""
    details = error.details or {}
    codes = {item.get("code") for item in details.get("writeErrors", ())}
    return codes == {11000} and not details.get("writeConcernErrors")


def away(error: BaseException) -> bool:
    """MongoDB cannot be reached, or cannot serve now: the same call may succeed later."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError):
        return True
    if isinstance(error, OperationFailure) and error.code in _UNABLE:
        return True
    return isinstance(error, PyMongoError) and any(map(error.has_error_label, _PASSING))


def too_large(error: BaseException) -> bool:
    """What a turn wrote does not fit into a document or a transaction."""
    return isinstance(error, DocumentTooLarge)


async def create_collection(database: Database, name: str, **options: Any) -> None:
    """Create a collection if it is not there: a transaction cannot do so quickly.

    One that is there keeps the options that it was created with.
    """
    try:
        await database.create_collection(name, check_exists=False, **options)
    except OperationFailure as error:
        if error.code != 48:  # NamespaceExists
            raise
