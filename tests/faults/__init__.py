"""The service under faults: real processes, real signals, and every answer looked at."""
