"""`python -m dsi_core`, the same as `dsi`."""

from dsi_core.cli import app

if __name__ == "__main__":
    app(prog_name="dsi")
