"""The registry on Redis, single or a cluster; ``registry.py`` implements the interface."""
