"""The kinds of output that a notebook's charts and tables have, known without importing what draws them."""

CHART_TYPE = "application/vnd.vegalite.v5+json"
"""The kind of output that carries a chart's specification; JupyterLab 4 draws it by itself, without a network.

It knows no later kind, and draws what Vega-Lite 6 has of these charts; the site draws them with its own version.
"""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""What the site's specifications are written in: altair's own, which takes seconds to import."""

TABLE_TYPE = "application/vnd.zpmodel.table+csv"
"""The kind of output that carries a table's values with all their digits beside what is shown."""
