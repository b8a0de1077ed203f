"""Importing this silences the libraries that are imported after it, in a fork server."""

from dsi_core.runtime.environment import quiet

quiet()
