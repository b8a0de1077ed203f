"""The notebooks of a profile, run headlessly, and the book that is made of them."""

import sys

# Else nbformat compiles a grammar of international addresses at each start, 1.5 s of a core; no
# notebook has one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
