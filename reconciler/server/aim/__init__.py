"""The published, self-hosted AIM server as it behaves, for tests and rehearsals: `reconciler serve --quirks aim`."""
