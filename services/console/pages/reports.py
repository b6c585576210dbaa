"""Which report tables there are."""

from services.console.elements import Text, box, empty, link
from services.console.pages.visit import Visit

TITLE = "Reports"


async def build(visit: Visit) -> None:
    """Each with what it counts."""
    Text("h1", TITLE)
    found = await visit.apis.reports.tables()
    if not found:
        empty("There are no report tables.", "Is this the right reporting API?")
    with box("div", "cards"):
        for table in found:
            with box("section", "card"):
                with box("h2"):
                    link(table.title, f"/reports/{table.name}")
                Text("p", table.description)
                kept = f"Kept for {table.keeps_hours} hours." if table.keeps_hours else ""
                columns = ", ".join(column.title.lower() for column in table.columns)
                Text("p", f"Columns: {columns}. {kept}".strip(), "note")
