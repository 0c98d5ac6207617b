"""The built-in adapters, a folder each.

In each folder, ``settings.py`` has the settings and is imported at every start; the module named
after the interface (``database.py``, ``broker.py`` …) has the implementation and is imported, with
the client library that it needs, only if the configuration selects the adapter.
"""
