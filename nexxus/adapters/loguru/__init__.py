"""The built-in logger; ``logger.py`` implements the interface, ``settings.py`` needs no library."""
