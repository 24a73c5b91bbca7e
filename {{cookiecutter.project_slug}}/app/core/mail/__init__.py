"""Mail: what is sent and how, and the pages that its links open in development."""
