"""Exchange rates as the API takes and shows them."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.currencies import CODES


def _known(code: str) -> str:
    if code not in CODES:
        raise ValueError("not an ISO 4217 code in capitals, such as EUR")
    return code


Code = Annotated[str, Field(pattern="^[A-Z]{3}$"), AfterValidator(_known)]
Rate = Annotated[Decimal, Field(gt=0, lt=10**12, max_digits=30, allow_inf_nan=False)]


class RatesBody(BaseModel):
    """Exchange rates of some days."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "reference": "EUR",
                "days": {"2026-03-06": {"USD": "1.1012", "JPY": "160.03"}},
            }
        },
    )
    reference: Code = Field(description="One unit of it is worth that much of each currency.")
    days: dict[date, Annotated[dict[Code, Rate | None], Field(max_length=200)]] = Field(
        min_length=1, max_length=400, description="By UTC day. Null takes a rate away."
    )


class RatesTaken(BaseModel):
    """What became of them."""

    days: int
    rates: int
    published: bool = Field(description="Whether the workers were told of all of them yet.")


class CurrencyRates(BaseModel):
    """For which days rates of one currency are known."""

    currency: str
    first_day: date
    last_day: date
    days: int


class RatesSummary(BaseModel):
    """What is known of exchange rates."""

    base: str | None = Field(
        description="In which revenue is summed up: REGULARS_BASE_CURRENCY. Null: in none."
    )
    reference: str | None = Field(description="What the stored rates are against.")
    currencies: list[CurrencyRates]


class DayRate(BaseModel):
    """A rate in force, and the day that it is of."""

    rate: str
    day: date


class DayRates(BaseModel):
    """The rates by which orders of one day are converted."""

    day: date
    reference: str | None
    rates: dict[str, DayRate]
