"""A real truth: a controlled release of methane, metered, found and measured from the air within 100 m."""
