"""What the operator sets: the settings, their file, and how a change comes into force."""
