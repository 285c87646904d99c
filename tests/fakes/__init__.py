"""Stand-ins that really work, small enough to be understood at a glance."""
