"""Every hook that ingest has, by the kind of source that it is for."""

from collections.abc import Mapping
from typing import Any

from schemas.validation import Fault
from services.ingest.hooks.chatwoot import Chatwoot
from services.ingest.hooks.generic import Webhook
from services.ingest.hooks.intercom import Intercom
from services.ingest.hooks.mail import Mail
from services.ingest.hooks.mailgun import Mailgun
from services.ingest.hooks.meta import Meta
from services.ingest.hooks.model import Hook
from services.ingest.hooks.postmark import Postmark
from services.ingest.hooks.sendgrid import SendGrid
from services.ingest.hooks.ses import Ses
from services.ingest.hooks.shopify import Shopify
from services.ingest.hooks.woocommerce import WooCommerce
from services.runtime.outbound import Once

HOOKS: tuple[Hook, ...] = (
    Shopify(),
    WooCommerce(),
    Webhook(),
    SendGrid(),
    Ses(Once()),
    Mailgun(),
    Postmark(),
    Chatwoot(),
    Intercom(),
    Meta(),
    Mail(),
)
"""In the order of the documentation."""

BY_KIND: Mapping[str, Hook] = {hook.kind: hook for hook in HOOKS}


def check_options(kind: str, options: Any) -> list[Fault]:
    """Every fault of the options of a source of ``kind``; none where no hook reads them."""
    hook = BY_KIND.get(kind)
    return [] if hook is None else hook.check(options)
