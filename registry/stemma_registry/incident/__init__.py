"""After a bad input was found: what to make again, in which order, and the report about it all."""
