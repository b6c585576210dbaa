"""The campaigns in force, read from control.definitions, with their parsed templates."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from schemas.messages import Definition
from services.notifier.model import Campaign, Live
from services.notifier.templates import Templates

log = structlog.get_logger()


class DefinitionsView(Protocol):
    """Every definition of the kinds that the process follows."""

    current: dict[tuple[str, str], Definition]
    revision: int


class Campaigns:
    """Looks campaigns up by key and by segment; follows the definitions by itself."""

    def __init__(self, definitions: DefinitionsView) -> None:
        self._definitions = definitions
        self._revision = -1
        self._by_key: Mapping[str, Live] = {}
        self._by_segment: Mapping[str, Sequence[Live]] = {}
        self._templates = dict[tuple[str, int], Templates]()

    def get(self, key: str) -> Live | None:
        """The campaign as it is now, enabled or not; None when there is none."""
        self._follow()
        return self._by_key.get(key)

    def on(self, segment: str) -> Sequence[Live]:
        """Every campaign that entering ``segment`` triggers, enabled or not, by key."""
        self._follow()
        return self._by_segment.get(segment, ())

    def templates(self, live: Live) -> Templates:
        """Its parsed templates; raises ``TemplateError``."""
        templates = self._templates.get((live.key, live.version))
        if templates is None:
            templates = Templates(live.campaign)
            # One version a campaign is enough: what is sent is always the latest.
            self._templates = {k: v for k, v in self._templates.items() if k[0] != live.key}
            self._templates[live.key, live.version] = templates
        return templates

    def _follow(self) -> None:
        if self._revision == self._definitions.revision:
            return
        self._revision = self._definitions.revision
        by_key = dict[str, Live]()
        by_segment = defaultdict[str, list[Live]](list)
        for (kind, key), definition in sorted(self._definitions.current.items()):
            if kind != "campaign":
                continue
            try:
                campaign = msgspec.convert(definition.body, Campaign)
            except msgspec.ValidationError as error:
                log.error("campaign does not fit", campaign=key, error=str(error))
                continue
            live = by_key[key] = Live(key, definition.version, campaign)
            by_segment[campaign.trigger.segment].append(live)
        self._by_key, self._by_segment = by_key, dict(by_segment)
