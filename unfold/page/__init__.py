"""Pages: one HTML file that shows linked pictures, charts, tables and text, offline.

In: a `Page` as data, which any command can make of sections and blocks. Out: a file. See
docs/page.md.

    write_page(Page("gru", sections=(Section("Results", blocks=(table,)),)), Path("page.html"))
"""

from __future__ import annotations

from unfold.page.colours import colour, plain_code, roles_of
from unfold.page.document import Chart, Code, Graph, Heat, Page, Section, Series, Table
from unfold.page.graph import make_graph
from unfold.page.html import check_suffix, write_page
from unfold.page.observe import Observed, observe

__all__ = [
    "Chart",
    "Code",
    "Graph",
    "Heat",
    "Observed",
    "Page",
    "Section",
    "Series",
    "Table",
    "check_suffix",
    "colour",
    "make_graph",
    "observe",
    "plain_code",
    "roles_of",
    "write_page",
]
