"""The decisions, pure: requests, the inventory of interfaces, claims and the verdict. No I/O here."""
