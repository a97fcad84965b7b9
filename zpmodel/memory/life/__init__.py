"""The life of the on-demand folio, and what a zero page holds."""
