"""The routes of exchange rates: what is known, and more of them.

Rates are stored by month and told to every worker of build; what has no rate is shown per
currency, and never guessed.
"""

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request

from services.profile.commerce.shapes import (
    CurrencyRates,
    DayRate,
    DayRates,
    RatesBody,
    RatesSummary,
    RatesTaken,
)
from services.profile.commerce.store import Days, RatesStore
from services.profile.computed.catalogue import Catalogue
from services.runtime.http import Problem, require

Day = Annotated[date, Path(description="A UTC day.", examples=["2026-03-06"])]


class RateDesk:
    """Stored rates, and how they reach the workers."""

    def __init__(self, store: RatesStore, catalogue: Catalogue, base: str | None) -> None:
        self.store = store
        self.catalogue = catalogue
        self.base = base

    async def take(self, body: RatesBody) -> bool:
        """Store and publish; whether all could be published by now."""
        months: dict[str, Days] = {}
        for day, rates in body.days.items():
            said = {code: _plain(rate) for code, rate in rates.items()}
            months.setdefault(f"{day:%Y-%m}", {})[day.isoformat()] = said
        published = True
        for month, days in sorted(months.items()):
            now = datetime.now(UTC)
            stored = await self.store.merge(month, body.reference, days, now)
            published = await self.catalogue.tell(stored) and published
        return published


def routes() -> APIRouter:
    """GET for every role, POST for admins."""
    router = APIRouter(prefix="/v1/rates", tags=["exchange rates"])

    @router.get("", summary="What is known", dependencies=[require("reader")])
    async def show_rates(request: Request) -> RatesSummary:
        desk = _desk(request)
        days: dict[str, list[str]] = {}
        for month in await desk.store.all():
            for day, rates in sorted(month.body["days"].items()):
                for code in rates:
                    days.setdefault(code, []).append(day)
        return RatesSummary(
            base=desk.base,
            reference=await desk.store.reference(),
            currencies=[
                CurrencyRates(
                    currency=code,
                    first_day=date.fromisoformat(known[0]),
                    last_day=date.fromisoformat(known[-1]),
                    days=len(known),
                )
                for code, known in sorted(days.items())
            ],
        )

    @router.get("/{day}", summary="The rates of one day", dependencies=[require("reader")])
    async def show_day(request: Request, day: Day) -> DayRates:
        """Of each currency the last rate at or before the day."""
        desk = _desk(request)
        last: dict[str, DayRate] = {}
        for month in await desk.store.all():
            for known, rates in sorted(month.body["days"].items()):
                if known <= day.isoformat():
                    at = date.fromisoformat(known)
                    last |= {code: DayRate(rate=rate, day=at) for code, rate in rates.items()}
        return DayRates(day=day, reference=await desk.store.reference(), rates=last)

    @router.post("", summary="Take in rates", dependencies=[require("admin")])
    async def take_rates(request: Request, body: RatesBody) -> RatesTaken:
        """Rates of a day that are known already are replaced; others stay.

        Profiles with orders in other currencies are valued anew one by one, those that
        something happens to at once.
        """
        desk = _desk(request)
        reference = await desk.store.reference()
        if reference not in (None, body.reference):
            detail = f"The stored rates are against {reference}; all must be against the same."
            raise Problem(409, "Other Reference", detail)
        published = await desk.take(body)
        rates = sum(len(rates) for rates in body.days.values())
        return RatesTaken(days=len(body.days), rates=rates, published=published)

    return router


def _plain(rate: object) -> str | None:
    return None if rate is None else format(rate, "f")


def _desk(request: Request) -> RateDesk:
    desk: RateDesk = request.app.state.rates
    return desk
