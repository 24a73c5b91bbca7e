import logging

logger = logging.getLogger("app.audit")


def audit(event: str, **fields: object) -> None:
    logger.info("%s %r", event, fields)
