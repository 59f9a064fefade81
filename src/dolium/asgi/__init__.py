"""What both faces need of HTTP: requests and responses, and the one place where async meets blocking."""
