"""The registry on Redis, single or a cluster, for any number of nodes."""
