"""Charts, one look."""

from zpmodel.report.kernel import import_jsonschema

import_jsonschema()
