"""The way in for unsigned documents of other tools: kept as they came, their edges as claims."""
