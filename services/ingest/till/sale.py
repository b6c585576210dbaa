"""What a till says of a sale or a return. Documented, and checked field by field."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from schemas.validation import LONGEST_NAME, Fault

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Amount = Annotated[Decimal, Field(ge=0, lt=10**12, max_digits=42, allow_inf_nan=False)]


class _Part(BaseModel):
    # A till's own fields are kept; numbers in place of texts are what tills write.
    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True, str_strip_whitespace=True)


class Line(_Part):
    """One line of a receipt."""

    sku: Name | None = None
    product_id: Name | None = Field(None, description="The `sku` if missing.")
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    variant: str | None = None
    quantity: int = Field(1, ge=1, lt=10**12)
    price: Amount | None = Field(None, description="Of one piece, as on the receipt.")


class Payment(_Part):
    """How a part of it was paid."""

    method: Name = Field(examples=["card"])
    amount: Amount


class Buyer(_Part):
    """Who it was: whatever the till knows. All of them are one person's."""

    loyalty_card: Name | None = None
    email: Name | None = Field(None, description="To which the receipt went.")
    phone: Name | None = Field(None, description="With `+` and the country.")
    user_id: Name | None = Field(None, description="The web shop's, where the till knows it.")


class Sale(_Part):
    """A sale, or a return of a former one. Fields beyond these are kept."""

    kind: Literal["sale", "return"] = "sale"
    till: str = Field(pattern=r"^[A-Za-z0-9._-]{1,60}$", description="Names the till in the shop.")
    receipt: Name = Field(description="Its number: the same till never gives it twice.")
    sale_id: Name | None = Field(
        None,
        description="The order: `<till>/<receipt>` if missing. Of a return, that of the sale.",
    )
    occurred_at: AwareDatetime = Field(description="By the till's clock, with its offset.")
    store: str | None = Field(None, description="The branch.")
    currency: str | None = Field(None, description="The source's default if missing.")
    total: Amount | None = Field(
        None, description="What was asked, tax included, discounts taken off; or given back."
    )
    tax: Amount | None = None
    discount: Amount | None = None
    lines: list[Line] = Field(default=[], max_length=1_000)
    payments: list[Payment] = Field(default=[], max_length=50)
    customer: Buyer | None = Field(None, description="Missing: somebody whom nobody knows.")


def read(said: dict[str, Any]) -> Sale | Fault:
    """The sale in a JSON object. Codes: bad_sale, missing_total, missing_sale."""
    try:
        sale = Sale.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return Fault("bad_sale", f"{place}: {first['msg']}.")
    if sale.kind == "sale" and sale.total is None:
        return Fault("missing_total", "A sale needs its total.")
    if sale.kind == "return" and sale.sale_id is None:
        return Fault("missing_sale", "A return needs the sale_id of its sale.")
    return sale
