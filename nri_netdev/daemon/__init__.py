"""The daemon: NRI's events in, custody's answers out; its life, its lane to custody, its readiness."""
