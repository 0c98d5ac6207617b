"""The Elasticsearch database; ``database.py`` implements the interface.

How it stores: `layouts` (the indexed fields of each object), `rebuilds` (how they change while
nodes write), `bulk` and `commits` (how a write is compared and set), `queries` (filters and orders
in Elasticsearch's language), `refreshes` (how a search sees every commit).
"""
