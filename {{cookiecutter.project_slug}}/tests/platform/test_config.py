import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args, get_origin
from unittest.mock import Mock

import pytest
from pydantic import EmailStr, SecretStr, TypeAdapter
from sqlalchemy import URL

from app.core.config import (
    DRIVERS,
    ConfigurationError,
    DatabaseSettings,
    Settings,
    load_settings,
    parse_database_url,
)
from app.core.email_settings import EmailSettings
from app.core.env_file import PROJECT, configured, env_file, secrets_dir
from tests import caller_variables
from tests.platform.conftest import VARIABLES

pytestmark = pytest.mark.usefixtures("environment")

SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+psycopg2", *(f"postgresql+{name}" for name in DRIVERS)],
)
def test_database_url_gets_a_driver_of_the_project(scheme: str) -> None:
    url = parse_database_url(f"{scheme}://ann:p%40ss@db.example.com:6432/app?application_name=x")

    named = scheme.partition("+")[2]
    assert url.drivername == f"postgresql+{named if named in DRIVERS else DRIVERS[0]}"
    assert (url.username, url.password) == ("ann", "p@ss")
    assert (url.host, url.port, url.database) == ("db.example.com", 6432, "app")
    assert url.query == {"application_name": "x"}


@pytest.mark.parametrize("url", ["", "db.example.com", "mysql://root:hunter2@localhost/app", None])
def test_other_database_urls_are_refused_without_being_shown(url: object) -> None:
    with pytest.raises(ValueError, match=r"write postgresql://") as error:
        parse_database_url(url)

    assert "hunter2" not in str(error.value)


def test_defaults_of_the_pool() -> None:
    settings = load_settings(Settings)

    assert settings.database_pool_size == 10
    assert settings.database_read_pool_size == 10
    assert settings.database_pool_pre_ping is True
    assert settings.database_second_connection == "log"


@pytest.mark.parametrize("variable", VARIABLES)
def test_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv(variable)

    with pytest.raises(ConfigurationError, match=f"{variable}: not set. ") as missing:
        load_settings(Settings)

    monkeypatch.setenv(variable, "")
    with pytest.raises(ConfigurationError, match=re.escape(str(missing.value))):
        load_settings(Settings)


@pytest.mark.parametrize("variable", sorted(SETTINGS.keys() - VARIABLES.keys()))
@pytest.mark.parametrize("place", ["environment", "file"])
def test_empty_variable_is_unset(
    monkeypatch: pytest.MonkeyPatch, variable: str, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv(variable, "")
    else:
        env_file().write_text(f"{variable}=\n")

    assert getattr(load_settings(Settings), variable.lower()) == SETTINGS[variable].default
    assert configured(variable) is None


@pytest.mark.parametrize("variable", ["DATABASE_REPLICA_URL", "API_PREFIX", "DRAIN_SECONDS"])
def test_variable_of_blanks_is_unset(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "  ")

    assert getattr(load_settings(Settings), variable.lower()) == SETTINGS[variable].default


@pytest.mark.parametrize(
    ("variable", "spelling", "value"),
    [
        ("DEVELOPMENT", " true ", True),
        ("LOG_LEVEL", "warn", "WARNING"),
        ("LOG_LEVEL", "Fatal", "CRITICAL"),
        ("METRICS", "ON", "on"),
        ("ALLOWED_HOSTS", "*", ()),
        ("ALLOWED_HOSTS", "api.example.com,", ("api.example.com",)),
        ("CORS_ORIGINS", "https://app.example.com/", ("https://app.example.com",)),
        ("CORS_ORIGINS", "https://app.example.com:443", ("https://app.example.com",)),
        ("CORS_ORIGINS", "http://app.example.com:80/", ("http://app.example.com",)),
        ("CORS_ORIGINS", "https://app.example.com:80", ("https://app.example.com:80",)),
        ("CORS_ORIGINS", "http://[::1]:80,http://[::80]", ("http://[::1]", "http://[::80]")),
        ("CORS_ORIGINS", "*", ("*",)),
        ("API_PREFIX", "/healthcare/..v1", "/healthcare/..v1"),
    ],
)
def test_spellings_of_the_ecosystem_are_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, spelling: str, value: object
) -> None:
    monkeypatch.setenv(variable, spelling)

    assert getattr(load_settings(Settings), variable.lower()) == value


def test_item_of_a_list_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", 'https://a.example.com,"https://b.example.com"')

    message = r"CORS_ORIGINS: '\"https://b\.example\.com\"' is not valid\. .*, or as JSON\."
    with pytest.raises(ConfigurationError, match=message):
        load_settings(Settings)


def test_reason_why_an_item_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.com,https://b.example.com:65536")

    message = r"'https://b\.example\.com:65536' is not valid: the highest port is 65535\. "
    with pytest.raises(ConfigurationError, match=message):
        load_settings(Settings)


def test_folder_is_no_file_with_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path))

    with pytest.raises(ConfigurationError, match="is a folder"):
        load_settings(Settings)


def test_empty_variable_does_not_hide_that_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PREFIX", "")
    env_file().write_text("API_PREFIX=/api\n")

    assert load_settings(Settings).api_prefix == "/api"


@pytest.mark.parametrize(
    ("variable", "option"),
    [
        (variable, option)
        for variable, field in SETTINGS.items()
        if get_origin(field.annotation) is Literal
        for option in get_args(field.annotation)
    ],
)
def test_options_ignore_case(monkeypatch: pytest.MonkeyPatch, variable: str, option: str) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")  # some options are unsafe
    for name, value in caller_variables.NEEDED_BY_OPTIONS.items():
        monkeypatch.setenv(name, value)
    for spelling in (option.lower(), option.upper(), option.title()):
        monkeypatch.setenv(variable, spelling)
        assert getattr(load_settings(Settings), variable.lower()) == option


@pytest.mark.parametrize(
    "variable",
    [
        variable
        for variable, field in SETTINGS.items()
        if field.annotation not in {str, SecretStr} or "pattern" in repr(field.metadata)
    ],
)
def test_message_for_a_wrong_value_says_what_is_right(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "[no such value/")

    with pytest.raises(ConfigurationError, match=rf"(?m)^{variable}: .+") as error:
        load_settings(Settings)

    assert "pattern" not in str(error.value)  # a regular expression


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://localhost"),
        ("DATABASE_REPLICA_URL", "mysql://localhost"),
        ("DATABASE_POOLER", "perhaps"),
        ("DATABASE_POOLER_PREPARES", "perhaps"),
        ("DATABASE_DIRECT_URL", "mysql://localhost"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_READ_POOL_SIZE", "0"),
        ("DATABASE_SECOND_CONNECTION", "ignore"),
        ("DATABASE_POOL_TIMEOUT", "0"),
        ("DATABASE_STATEMENT_TIMEOUT", "soon"),
        (
            "DATABASE_STATEMENT_TIMEOUT",
            "0.0004",
        ),  # rounded to 0, which means no limit to PostgreSQL
        ("LOG_LEVEL", "LOUD"),
        ("API_PREFIX", "api"),
        ("API_PREFIX", "/api/"),
        ("API_PREFIX", "/.."),
        ("API_PREFIX", "/api/./v1"),
        ("API_PREFIX", "/health"),
        ("API_PREFIX", "/health/v1"),
        ("MAX_QUERY_BYTES", "6143"),
        ("ALLOWED_HOSTS", "https://api.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/path"),
        ("CORS_ORIGINS", "app.example.com"),
        ("CORS_ORIGINS", "https://app.example.com:65536"),
        ("CORS_ORIGINS", "https://app.example.com:0"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "proxy.example.com"),
        ("EMAIL_SPECIAL_DOMAINS", "company.local"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:99999"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key: hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2;b"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2é"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0Ab: c"),
        ("OTEL_PROPAGATORS", "nosuch"),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER_ARG", "10 %"),
        ("METRICS", "65536"),
        ("SENTRY_DSN", "https://hunter2@sentry.example.com:99999/7"),
        ("SENTRY_DSN", "https://:hunter2@sentry.example.com/7"),
        ("SENTRY_DSN", "https://hunter2@:443/7"),
        ("SENTRY_DSN", "https://sentry.example.com/7"),
        ("SENTRY_DSN", "https://key@sentry.example.com/project"),
        *caller_variables.WRONG,
    ],
)
def test_wrong_value_is_refused_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=rf"(?m)^{variable}: ") as error:
        load_settings(Settings)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318", "ENDPOINT: not set, and"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "hunter2", "OTLP_HEADERS: not valid"),
        ("UVICORN_PORT", "9464", "METRICS: the port of the service itself"),
    ],
)
def test_variable_of_a_library_that_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv("METRICS", "9464")
    load_settings(Settings)
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=named) as error:
        load_settings(Settings)
    assert "hunter2" not in str(error.value)


def test_headers_of_the_receiver_are_taken_as_opentelemetry_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = "api-key=a%20b, x-key=Basic dXNlcjpwYXNz==,x_y=,"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", value)

    assert load_settings(Settings).otel_exporter_otlp_headers == value


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "x")
    monkeypatch.setenv("LOG_LEVEL", "x")

    with pytest.raises(ConfigurationError, match=r"(?s)DATABASE_POOL_SIZE: .*LOG_LEVEL: "):
        load_settings(Settings)


UNSAFE: dict[str, list[str]] = {
    "TRUSTED_PROXIES": [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1,128.0.0.0/1",
        "10.0.0.1,::/6",
        "::ffff:0:0/96",
    ],
    **caller_variables.UNSAFE,
}


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name in UNSAFE for value in UNSAFE[name]]
)
def test_value_that_is_unsafe_is_for_development_alone(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"{variable}: .* Only DEVELOPMENT=true") as error:
        load_settings(Settings)
    assert len(str(error.value).splitlines()) == 2

    monkeypatch.setenv("DEVELOPMENT", "true")
    load_settings(Settings)


def test_every_unsafe_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, values in UNSAFE.items():
        monkeypatch.setenv(variable, values[0])

    with pytest.raises(ConfigurationError) as error:
        load_settings(Settings)
    lines = str(error.value).splitlines()[1:]
    assert {line.partition(": ")[0] for line in lines} == UNSAFE.keys()


def test_networks_for_private_use_may_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,fc00::/7")

    assert len(load_settings(Settings).trusted_proxies) == 2


def test_settings_never_show_a_secret() -> None:
    shown = repr(load_settings(Settings))

    assert "pw" not in shown
    assert not [name for name, value in VARIABLES.items() if value in shown]


@pytest.mark.parametrize("write", [",".join, json.dumps])
def test_lists_are_separated_by_commas_or_json(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[list[str]], str]
) -> None:
    hosts = ["API.example.com", " *.example.org", "[::1]", "localhost"]
    monkeypatch.setenv("ALLOWED_HOSTS", write(hosts))
    monkeypatch.setenv("CORS_ORIGINS", write(["https://app.example.com", "http://localhost:3000"]))
    monkeypatch.setenv("TRUSTED_PROXIES", write(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]))
    monkeypatch.setenv("EMAIL_SPECIAL_DOMAINS", write(["local", "test"]))
    settings = load_settings(Settings)

    assert settings.allowed_hosts == ("api.example.com", "*.example.org", "[::1]", "localhost")
    assert settings.cors_origins == ("https://app.example.com", "http://localhost:3000")
    assert [str(network) for network in settings.trusted_proxies] == [
        "10.0.0.0/8",
        "192.0.2.1/32",
        "2001:db8::/32",
    ]
    assert settings.email_special_domains == ("local", "test")


def test_single_address_in_brackets_is_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "[::1]")

    assert load_settings(Settings).allowed_hosts == ("[::1]",)


def test_special_domain_is_accepted_if_a_setting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    address = TypeAdapter(EmailStr)
    load_settings(Settings)
    with pytest.raises(ValueError, match="special-use"):
        address.validate_python("admin@company.local")

    monkeypatch.setenv("EMAIL_SPECIAL_DOMAINS", "local")
    load_settings(Settings)
    assert address.validate_python("admin@company.local") == "admin@company.local"
    with pytest.raises(ValueError, match="special-use"):
        address.validate_python("admin@company.test")

    monkeypatch.undo()
    load_settings(EmailSettings)  # for the tests that follow


def test_migrations_need_the_database_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.keys() - {"DATABASE_URL"}:
        monkeypatch.delenv(variable)

    assert load_settings(DatabaseSettings).database_url.host == "db.example.com"


def test_variables_are_read_from_the_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    env_file().write_text("DATABASE_URL=postgres://file.example.com/app\nUNKNOWN=ignored\n")

    assert load_settings(Settings).database_url.host == "file.example.com"
    assert configured("DATABASE_URL") == ("postgres://file.example.com/app", str(env_file()))


def test_file_is_that_of_the_project_in_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ENV_FILE")
    monkeypatch.chdir(tmp_path)

    assert env_file() == PROJECT / ".env"
    assert (PROJECT / "pyproject.toml").exists()


def test_file_that_is_named_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "no.env"))

    with pytest.raises(ConfigurationError, match=r"does not exist: .*no\.env"):
        load_settings(Settings)


def test_file_in_another_encoding_is_refused_by_name() -> None:
    env_file().write_text("API_PREFIX=/api\n", encoding="utf-16")

    with pytest.raises(ConfigurationError, match=re.escape(f"{env_file()} is not UTF-8 text")):
        load_settings(Settings)


def test_file_that_cannot_be_read_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    env_file().touch()
    monkeypatch.setattr(
        "app.core.env_file.dotenv_values", Mock(side_effect=OSError(13, "Permission denied"))
    )

    with pytest.raises(ConfigurationError, match="Permission denied"):
        load_settings(Settings)


makes_links = pytest.mark.skipif(sys.platform == "win32", reason="Windows asks rights for links")


@pytest.fixture
def secrets_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    return folder


@pytest.mark.parametrize("name", ["database_url", "DATABASE_URL"])
def test_each_file_of_the_secrets_is_a_variable(
    monkeypatch: pytest.MonkeyPatch, secrets_folder: Path, name: str
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    url = "postgres://secrets.example.com/app"
    (secrets_folder / name).write_text(f"{url}\n")
    (secrets_folder / "of_another_program").touch()

    assert load_settings(Settings).database_url.host == "secrets.example.com"
    assert configured("DATABASE_URL") == (url, str(secrets_folder))


def test_environment_and_file_override_secrets(
    monkeypatch: pytest.MonkeyPatch, secrets_folder: Path
) -> None:
    (secrets_folder / "api_prefix").write_text("/secret")
    assert load_settings(Settings).api_prefix == "/secret"

    env_file().write_text("API_PREFIX=/file\n")
    assert load_settings(Settings).api_prefix == "/file"

    monkeypatch.setenv("API_PREFIX", "/environment")
    assert load_settings(Settings).api_prefix == "/environment"


@makes_links
def test_secrets_as_kubernetes_mounts_them(secrets_folder: Path) -> None:
    """Each file is a link into a folder that is replaced as a whole."""
    version = secrets_folder / "..2026_11_28"
    version.mkdir()
    (version / "API_PREFIX").write_text("/api")
    (secrets_folder / "..data").symlink_to(version.name)
    (secrets_folder / "API_PREFIX").symlink_to("..data/API_PREFIX")

    assert load_settings(Settings).api_prefix == "/api"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "api_prefix is empty"),
        (b" \n", "api_prefix is empty"),
        (b"\xff/api", "api_prefix is not UTF-8 text"),
        (None, "Cannot read .*api_prefix: "),
    ],
)
def test_secret_that_cannot_be_used_is_refused_by_name(
    secrets_folder: Path, content: bytes | None, message: str
) -> None:
    if content is None:
        (secrets_folder / "api_prefix").mkdir()
    else:
        (secrets_folder / "api_prefix").write_bytes(content)

    with pytest.raises(ConfigurationError, match=message):
        load_settings(Settings)


@makes_links
def test_secret_is_no_link_out_of_its_folder(secrets_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("/api")
    (secrets_folder / "api_prefix").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError, match="outside of its folder"):
        load_settings(Settings)


def test_folder_of_secrets_that_is_named_must_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "no"))

    with pytest.raises(ConfigurationError, match="SECRETS_DIR names a folder that does not exist"):
        load_settings(Settings)


def test_folder_of_secrets_is_that_of_docker_if_it_exists(
    monkeypatch: pytest.MonkeyPatch, secrets_folder: Path, tmp_path: Path
) -> None:
    monkeypatch.delenv("SECRETS_DIR")
    monkeypatch.setattr("app.core.env_file._SECRETS_DIR", tmp_path / "no")
    assert secrets_dir() is None
    assert load_settings(Settings).api_prefix == ""

    monkeypatch.setattr("app.core.env_file._SECRETS_DIR", secrets_folder)
    assert secrets_dir() == secrets_folder


@pytest.mark.long
def test_tests_are_shielded_from_the_settings_of_a_developer(
    template_url: URL, tmp_path: Path
) -> None:
    """A run with another prefix, and with a value that no setting accepts, passes."""
    wrong = dict.fromkeys(SETTINGS, "no such value")
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in wrong.items()))
    (tmp_path / "api_prefix").write_text("no such value")
    server = template_url.render_as_string(hide_password=False)
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "tests/routes/test_health.py"],
        cwd=PROJECT,
        env=os.environ
        | wrong
        | {"api_prefix": "/api", "ENV_FILE": str(tmp_path / ".env"), "SECRETS_DIR": str(tmp_path)}
        | {"TEST_DATABASE_URL": server},
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_example_file_lists_every_variable_with_its_default() -> None:
    text = (PROJECT / ".env.example").read_text()
    required = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", text, re.MULTILINE))
    defaults = re.findall(r"^# ([A-Z0-9_]+)=(.*)$", text, re.MULTILINE)

    assert required.keys() == VARIABLES.keys()
    assert sorted(defaults) == sorted(
        (name.upper(), as_written(field.default))
        for name, field in Settings.model_fields.items()
        if name.upper() not in required
    )


def test_compose_passes_every_setting_on() -> None:
    text = (PROJECT / "compose.yaml").read_text(encoding="utf-8")
    environment = text.partition("  environment: &settings\n")[2].partition("\nservices:")[0]
    passed = re.findall(r'^    "?([A-Z0-9_]+)"?:', environment, re.MULTILINE)

    assert sorted(passed) == sorted([*SETTINGS, "PGPASSWORD", "WEB_CONCURRENCY"])


def as_written(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("name", ["database_replica_url", "database_direct_url"])
def test_url_of_another_server_is_optional(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name.upper(), "")
    assert getattr(load_settings(Settings), name) is None

    monkeypatch.setenv(name.upper(), "postgres://other.example.com/app")
    assert getattr(load_settings(Settings), name).host == "other.example.com"
