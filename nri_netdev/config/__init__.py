"""The settings, their file, and how a change of it comes into force."""
