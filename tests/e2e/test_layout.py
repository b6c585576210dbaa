"""A worker and the layout of what is stored: it starts on what it can read, and on nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.runtime.layout import Unreadable, claim
from tests.faults.cluster import TOYS, Cluster, unique_namespace
from tests.faults.processes import exited

pytestmark = pytest.mark.broker


@pytest_asyncio.fixture
async def cluster(stack: Any, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(stack, unique_namespace(), tmp_path)
    yield cluster
    await cluster.close()


async def test_a_new_database_is_marked_and_read_by_its_own_version_alone(cluster):
    database, settings = cluster.database("shop"), cluster.settings
    for _ in range(2):  # as of two workers that start at once, or one that starts again
        await claim(database, settings, "counter", 2)
    await database["checkpoints"].insert_one({"_id": f"{settings.namespace}counter/t/0"})
    await claim(database, settings, "counter", 2)
    with pytest.raises(Unreadable, match="newer"):
        await claim(database, settings, "counter", 1)
    with pytest.raises(Unreadable, match=r"earlier.*layout 2, this one reads 3.*Upgrading"):
        await claim(database, settings, "counter", 3)
    await claim(database, settings, "counter-of-others", 1)  # each worker has its own


async def test_a_worker_that_makes_older_documents_anew_starts_on_them_and_no_older_one_after_it(
    cluster,
):
    database, settings = cluster.database("shop"), cluster.settings
    await claim(database, settings, "counter", 1)
    await database["checkpoints"].insert_one({"_id": f"{settings.namespace}counter/t/0"})
    for _ in range(2):
        await claim(database, settings, "counter", 3, renews=True)
    with pytest.raises(Unreadable, match="newer"):
        await claim(database, settings, "counter", 1, renews=True)
    await database["layouts"].delete_many({})  # as before there were marks
    with pytest.raises(Unreadable, match="earlier"):
        await claim(database, settings, "counter", 3, renews=True)


async def test_a_database_from_before_the_marks_stops_the_worker_with_one_line(cluster):
    checkpoint = {"_id": f"{cluster.settings.namespace}counter/profile.interactions/0"}
    await cluster.database("toy_counter")["checkpoints"].insert_one(checkpoint)
    worker = cluster.start([*TOYS, "counter"])
    await exited(worker)
    assert worker.exit_code == 1
    *log, line = worker.log_path.read_text().splitlines()
    assert line.startswith("counter cannot start: the MongoDB database ")
    assert not any("rror" in other or "Traceback" in other for other in log)
    assert await cluster.database("toy_counter")["layouts"].count_documents({}) == 0
