"""A face: the S3 protocol. Authenticate, route, authorize, run, respond."""
