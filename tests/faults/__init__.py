"""The service under faults: real processes, real signals, and every response looked at."""
