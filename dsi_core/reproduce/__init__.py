"""The notebooks of a profile, run headlessly, and the book that is made of them."""
