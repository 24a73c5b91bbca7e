"""What routes need from a request, as `Annotated` aliases: services, caller, page, precondition.

May import services, the layers below them, and `app.core`.
"""
