from tests.unit.objects.conftest import bucket, service

__all__ = ["bucket", "service"]
