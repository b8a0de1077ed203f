"""How sure one may be: statistics alone, on numpy, scipy and pandas (a test imports it so)."""
