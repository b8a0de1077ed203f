"""Black-box dataset inference: did this language model train on my dataset?"""

__version__ = "0.3.0"
