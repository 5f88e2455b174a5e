"""Plans and their expressions, which print as SQL."""

from tensorsql.planner.plans import expression_text as expression_text
