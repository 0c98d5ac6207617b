"""The Elasticsearch database; ``database.py`` is its face.

How it stores: `layouts` (what an index holds of each object), `rebuilds` (how that changes while
everybody writes), `bulk` and `commits` (how a write is compared and set), `queries` (filters
and orders in Elasticsearch's language), `refreshes` (how a search sees every commit).
"""
