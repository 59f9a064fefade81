"""What each S3 operation does: one file per family, one function per operation."""
