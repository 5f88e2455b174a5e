"""General unnesting: domains of outer values and how they reach into a correlated plan."""
