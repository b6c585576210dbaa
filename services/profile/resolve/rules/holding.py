"""Whose is what is said on a device, and who holds it: the graph's part that is about devices.

Where the order of arrival may matter, the device is named in ``unsettled_devices``.
"""

from schemas.messages import Identifier
from services.profile.resolve.model import Device, Link, Mark
from services.profile.resolve.rules.devices import (
    governing,
    has_many_names,
    is_earlier,
    lead_of,
    led,
    mark_of,
    place,
)
from services.profile.resolve.rules.ground import Ground
from services.profile.resolve.rules.kinds import ORDER, SHARED_TURNS
from services.profile.resolve.rules.needs import Known


class Holding(Ground):
    """The devices of a batch."""

    def __init__(self, known: Known) -> None:
        super().__init__(known)
        self.taken: dict[Identifier, None] = {}
        """Devices that changed hands."""
        self._latest = known.latest
        self._done: list[Link] = []

    def _of_nobody(self, link: Link) -> str:
        """Whose a message is that names nobody."""
        profile_id = self._of_device(link)
        for each in led(link):
            self._lead(each, lead_of(link), profile_id)
        return profile_id

    def _lead(self, named: Identifier, lead: Mark, profile_id: str) -> None:
        """An order was named on a device, and nobody."""
        device = self.devices.get(named)
        if device is None:
            self._put_device(named, Device(profile_id, lead=lead), profile_id)
        elif device.decided or (not device.marks and is_earlier(lead, device.lead)):
            self.unsettled_devices.setdefault(named, set()).add(lead.anchor)
        elif is_earlier(lead, device.lead):
            device.lead = lead
            self._dirty[named] = None

    def _of_device(self, link: Link) -> str:
        named = link.devices[0]
        device = self.devices.get(named)
        if device is None or not device.profile_id:
            person = self._create(link)
            self._put_device(named, device or Device(""), person.profile_id)
            self.devices[named].own = person.profile_id
            if self.devices[named].marks:
                self.unsettled_devices.setdefault(named, set())  # It is who was decided to have it.
            return person.profile_id
        if device.marks and not device.shared and link.at < device.marks[-1].at:
            owner = self.owners.get(governing(device.marks, link.at).anchor)
            if owner is not None and owner.profile_id:
                whose = self.survivor(owner.profile_id)
                if named.type == ORDER and whose != self.survivor(device.profile_id):
                    self.unsettled_devices.setdefault(named, set())  # It was handed on.
                return whose
            self.unsettled_devices.setdefault(named, set())
        return self.survivor(device.profile_id)

    def _mark(self, named: Identifier, link: Link, profile_id: str) -> bool:
        """The link's person was seen on a device; False where a decision keeps them apart."""
        device = self.devices.get(named)
        mark = mark_of(link)
        if device is None:
            self._put_device(named, Device(profile_id, marks=[mark]), profile_id)
            return True
        if device.shared:
            return True
        marks = device.marks
        if device.decided and self._apart(named, profile_id):
            return False
        if marks:
            self._take_turn(named, device, link, profile_id)
        elif device.decided or device.lead is not None:
            self._doubt(named, link)
        else:
            marks.append(mark)
            self._put_device(named, device, profile_id)
        return True

    def _take_turn(self, named: Identifier, device: Device, link: Link, profile_id: str) -> None:
        """A mark on a device that has marks."""
        marks, mark = device.marks, mark_of(link)
        before = place(marks, mark)
        same = marks[max(before, 0)].anchor == mark.anchor
        last = before == len(marks) - 1
        if named.type == ORDER and self.survivor(device.profile_id) != profile_id:
            self._doubt(named, link)  # It is handed on, or was.
            return
        many = has_many_names([*marks, mark]) or len(marks) >= SHARED_TURNS
        if many and not (same and last):
            self._doubt(named, link)
        elif same:
            if before < 0:
                marks[0] = mark
                self._dirty[named] = None
        elif last and not device.decided and self._is_quiet(named, link):
            marks.append(mark)
            self.taken[named] = None
            self._put_device(named, device, profile_id)
        else:
            self._doubt(named, link)

    def _doubt(self, named: Identifier, link: Link) -> None:
        self.unsettled_devices.setdefault(named, set()).add(link.nodes[0])

    def _is_quiet(self, named: Identifier, link: Link) -> bool:
        """Whether nothing is known of the device's holder from the time of the link on."""
        latest = self._latest.get(named, link.at)
        if latest is not None and latest >= link.at:
            return False
        earlier = self._done[:-1]
        return not any(done.at >= link.at and named in done.devices for done in earlier)

    def _apart(self, named: Identifier, profile_id: str) -> bool:
        person = self.people.get(profile_id)
        return person is not None and self.decided.keeps(named, self._nodes_of(person))
