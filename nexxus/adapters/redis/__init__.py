"""The registry on Redis, single or a cluster; ``registry.py`` is its face."""
