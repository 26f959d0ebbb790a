"""Marking: nbgrader does it; what stands here makes it quick, safe, and clear about damaged work."""

import sys

# jsonschema takes a second to build this grammar, for a kind of address that no notebook has
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
