"""Mail: what is sent and how, and the pages that its links open in development.

May import the settings and the paths of requests (`app.core.http.paths`), but nothing of the layers.
Mails are sent by jobs, in `app/jobs/auth/mails.py`.
"""
