"""What a client sees while MongoDB is away: a real driver that finds no server."""

import asyncio

import httpx
from fastapi import FastAPI

from deploy.local.ports import free_port
from services.profile.api import create_app as create_profile
from services.profile.settings import ProfileSettings
from services.reporting.api import create_app as create_reporting
from services.reporting.settings import ReportingSettings
from services.runtime.keys import digest


async def test_what_needs_the_database_answers_503_and_the_rest_goes_on() -> None:
    known = {
        "mongo_url": f"mongodb://127.0.0.1:{free_port()}",
        "tokens": {digest("reader"): "reader"},
    }
    profile = create_profile(ProfileSettings(**known))
    reporting = create_reporting(ReportingSettings(**known))
    async with (
        profile.router.lifespan_context(profile),
        reporting.router.lifespan_context(reporting),
    ):
        asked = await asyncio.gather(
            _get(profile, "/v1/profiles/p1"),
            _get(profile, "/v1/profiles/by/user_id/ann"),
            _get(profile, "/health/ready"),
            _get(reporting, "/v1/tables/revenue_by_day"),
            _get(reporting, "/v1/tables"),
            _get(reporting, "/health/ready"),
            _get(reporting, "/health/live"),
        )
    assert [(answer.status_code, answer.headers.get("retry-after")) for answer in asked] == [
        (503, "5"),
        (503, "5"),
        (503, None),
        (503, "5"),
        (200, None),
        (503, None),
        (200, None),
    ]


async def _get(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://regulars") as client:
        return await client.get(path, headers={"Authorization": "Bearer reader"})
