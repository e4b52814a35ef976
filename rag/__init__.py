"""What has been written: runbooks, past cases; ingest, index, retrieve."""
