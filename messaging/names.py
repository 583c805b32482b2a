"""Names that settings need, without what brings events along."""

EXCHANGE = "amends.events"
"""What the exchange is called where nobody names another one."""
