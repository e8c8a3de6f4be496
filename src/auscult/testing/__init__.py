"""Contract suites that ship: what a plug-in must keep to be trusted."""
