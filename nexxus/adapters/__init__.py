"""The built-in implementations of the interfaces; each is imported only when chosen."""
