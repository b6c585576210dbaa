"""Who a customer is, and the numbers that matter: the top of their page."""

from services.console import words
from services.console.answers import Profile
from services.console.elements import Text, box, link


def show(profile: Profile, name: str) -> None:
    """Who they are, and the numbers that matter."""
    with box("div", "title"):
        link("All customers", "/customers", "back")
        Text("h1", name)
        version = "" if profile.as_of else f", version {words.count(profile.version)}"
        Text("p", f"Profile {profile.profile_id}{version}", "note")
    with box("dl", "strip"):
        for label, value in (
            ("Revenue", words.moneys(profile.revenue)),
            *_in_one_currency(profile),
            ("Orders", words.count(profile.order_count)),
            ("Interactions", words.count(profile.interactions)),
            ("First seen", words.moment(profile.first_seen)),
            ("Last seen", words.moment(profile.last_seen)),
        ):
            with box("div"):
                Text("dt", label)
                Text("dd", value)


def _in_one_currency(profile: Profile) -> list[tuple[str, str]]:
    """Only where it is another figure than the revenue itself."""
    base = profile.revenue_base
    if base is None or profile.revenue == [base]:
        return []
    return [("In one currency", words.money(base))]
