"""The built-in logger; ``logger.py`` is its face, ``settings.py`` needs no library."""
