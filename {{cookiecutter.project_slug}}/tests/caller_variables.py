"""Environment variables of the settings of accounts and of mail."""

from typing import Final

# Without these, the service does not start.
REQUIRED: Final = {"SECRET_KEY": "k8Q2-used-by-tests-alone-zx7Yw4Vb1Nm6"}

# Some options need mail.
NEEDED_BY_OPTIONS: Final = {
    "MAIL_DELIVERY": "smtp",
    "MAIL_FROM": "service@example.com",
    "SMTP_HOST": "smtp.example.com",
    "FRONTEND_URL": "https://app.example.com",
}

# Values that are refused.
WRONG: Final = [
    ("SECRET_KEY", "changeme"),
    ("SECRET_KEY", "a" * 64),
    ("ACCESS_TOKEN_MINUTES", "0"),
    ("ACCESS_TOKEN_MINUTES", "1440"),
    ("SECRET_KEY_PREVIOUS", "changeme"),
    ("SECRET_KEY_PREVIOUS", REQUIRED["SECRET_KEY"]),
    ("REGISTRATION", "perhaps"),
    ("REGISTRATION", "invitation"),  # sent by mail
    ("REQUIRE_VERIFIED_EMAIL", "true"),  # verified by mail
    ("FRONTEND_URL", "javascript:alert(1)"),
    ("FRONTEND_URL", "https://app.example.com/"),
    ("MAIL_DELIVERY", "pigeon"),
    ("MAIL_FROM", "not an address"),
    ("SMTP_SECURITY", "ssl"),
    ("PASSWORD_MIN_LENGTH", "7"),
    ("PASSWORD_MIN_LENGTH", "65"),  # may exceed the maximum
    ("PASSWORD_MAX_LENGTH", "63"),
    ("PASSWORD_MAX_LENGTH", "513"),
    ("PASSWORD_REFUSE_COMMON", "perhaps"),
    ("PASSWORD_COMMON_FILE", "no/such/file.txt"),
]

# Values that are refused, unless DEVELOPMENT is on.
UNSAFE: Final = {
    "SECRET_KEY": [
        "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "CHANGE-ME-0123456789-abcdefghijklmn",
    ],
    "SECRET_KEY_PREVIOUS": ["your-256-bit-key-0123456789-abcdefghij"],
    "ARGON2_MEMORY_KIB": ["32", "19456", "65535"],
    "MAIL_DELIVERY": ["console"],
    "FRONTEND_URL": ["http://app.example.com", "http://localhost.example.com", "http://10.0.0.1"],
}
