"""Settings come from environment variables only; the README holds the table of them.

This module assigns and checks, it starts nothing: the embedded PostgreSQL and Redis start when a connection is asked for.
"""

import sys
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# --- Modes -----------------------------------------------------------------------------------------------------------
PRODUCTION = env.boolean("TOUCHSTONE_PRODUCTION", False)
DEBUG = env.boolean("TOUCHSTONE_DEBUG", False)
TESTING = "pytest" in sys.modules
DATA_DIR = Path(env.text("TOUCHSTONE_DATA", str(BASE_DIR / "var"))).expanduser().resolve()
if TESTING:
    # Servers and files of their own: tests never meet the queue, the cache or the pictures of what is in use.
    DATA_DIR /= "tests"
SECRET_KEY = env.text("TOUCHSTONE_SECRET_KEY")
if PRODUCTION and (len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5 or SECRET_KEY.startswith("django-insecure-")):
    raise ImproperlyConfigured(
        "TOUCHSTONE_PRODUCTION is on, but TOUCHSTONE_SECRET_KEY is not set to a key of its own (50 characters or more). "
        "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
    )
# Without a key each installation makes one and keeps it: no two share a default that everybody can read.
SECRET_KEY = SECRET_KEY or env.kept_secret(DATA_DIR / "secret-key")
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("TOUCHSTONE_PRODUCTION and TOUCHSTONE_DEBUG are both on. Unset TOUCHSTONE_DEBUG.")

# --- Places ----------------------------------------------------------------------------------------------------------
IMPORT_ROOTS = env.folders("TOUCHSTONE_IMPORT_ROOTS")
CHECKPOINT_ROOTS = env.folders("TOUCHSTONE_CHECKPOINT_ROOTS")
MEDIA_ROOT = DATA_DIR / "media"
UPLOAD_ROOT = DATA_DIR / "uploads"
SCRATCH_ROOT = DATA_DIR / "scratch"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

# --- Limits ----------------------------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES = env.integer("TOUCHSTONE_MAX_UPLOAD_MB", 20_000, minimum=1) * 1024**2
MAX_ARCHIVE_BYTES = env.integer("TOUCHSTONE_MAX_ARCHIVE_MB", 50_000, minimum=1) * 1024**2
MAX_ARCHIVE_FILES = env.integer("TOUCHSTONE_MAX_ARCHIVE_FILES", 1_000_000, minimum=1)
MAX_IMAGE_PIXELS = env.integer("TOUCHSTONE_MAX_IMAGE_MEGAPIXELS", 100, minimum=1) * 1_000_000
SYNC_IMPORT_BYTES = env.integer("TOUCHSTONE_SYNC_IMPORT_MB", 5) * 1024**2
INFERENCE_DEVICE = env.text("TOUCHSTONE_DEVICE", "auto")
INFERENCE_DETERMINISTIC = env.boolean("TOUCHSTONE_DETERMINISTIC", False)
SIGNUP_OPEN = env.boolean("TOUCHSTONE_SIGNUP", False)
# Webhooks are typed by people and posted by this machine, which may be inside a network that they are not.
WEBHOOK_PRIVATE = env.boolean("TOUCHSTONE_WEBHOOK_PRIVATE", False)

# --- Parts -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_htmx",
    "template_partials",
    "csp",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "accounts",
    "datasets",
    "predictions",
    "inference",
    "evaluation",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.addresses.refuse_nul",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context.frame",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Database, broker, files -----------------------------------------------------------------------------------------
DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.text("REDIS_URL")
if DATABASE_URL and not DATABASE_URL.startswith(("postgres://", "postgresql://")):
    raise ImproperlyConfigured("DATABASE_URL is not a postgres:// address. PostgreSQL is the only database.")
DATABASES = {
    "default": (
        dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True)
        if DATABASE_URL
        else {"ENGINE": "config.db", "NAME": "touchstone", "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    )
}
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["map", "png", "svg", "ico", "woff2", "gz", "LICENSE", "txt"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": MEDIA_ROOT}},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG or TESTING else "config.static_files.StaticFiles"
        )
    },
}
if bucket := env.text("TOUCHSTONE_S3_BUCKET"):
    # Keys and region come from the usual AWS_* variables, which boto3 reads itself.
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "endpoint_url": env.text("TOUCHSTONE_S3_ENDPOINT") or None,
            "default_acl": None,
            "file_overwrite": False,
        },
    }
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "config.cache.EmbeddedRedisCache", "LOCATION": ""}
    )
}

# --- Celery ----------------------------------------------------------------------------------------------------------
CELERY_TASK_ALWAYS_EAGER = env.boolean("TOUCHSTONE_CELERY_EAGER", False)

# --- E-mail ----------------------------------------------------------------------------------------------------------
PUBLIC_URL = env.text("TOUCHSTONE_PUBLIC_URL").rstrip("/")
if PUBLIC_URL and not PUBLIC_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured(f"TOUCHSTONE_PUBLIC_URL={PUBLIC_URL!r} does not begin with http:// or https://.")
# Without a host nothing is mailed, and channels say so.
EMAIL_HOST = env.text("TOUCHSTONE_EMAIL_HOST")
EMAIL_PORT = env.integer("TOUCHSTONE_EMAIL_PORT", 587, minimum=1)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = env.text("TOUCHSTONE_EMAIL_USER"), env.text("TOUCHSTONE_EMAIL_PASSWORD")
EMAIL_SECURITY = env.choice("TOUCHSTONE_EMAIL_SECURITY", "starttls", ["starttls", "tls", "none"])
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("TOUCHSTONE_EMAIL_FROM", "touchstone@localhost")

# --- Who may come in -------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "accounts:home"
LOGOUT_REDIRECT_URL = "accounts:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ALLOWED_HOSTS = env.words("TOUCHSTONE_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("TOUCHSTONE_ORIGINS")
HTTPS = env.boolean("TOUCHSTONE_HTTPS", PRODUCTION)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("TOUCHSTONE_BEHIND_PROXY", False) else None
    SECURE_HSTS_SECONDS = env.integer("TOUCHSTONE_HSTS_SECONDS", 31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
# Read from the cache, kept in the database: a page costs no query for its session.
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        # Charts and overlays place things by style attributes; scripts stay forbidden inline.
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
# Of one form: a batch of images comes as so many files.
DATA_UPLOAD_MAX_NUMBER_FILES = 2_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024**2
FILE_UPLOAD_HANDLERS = ["datasets.receiving.ReceivedFileHandler"]

# --- API -------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.BearerTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "config.api.CursorPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.problem_response",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle", "rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "user": env.rate("TOUCHSTONE_API_RATE", "6000/min"),
        "anon": env.rate("TOUCHSTONE_API_ANON_RATE", "60/min"),
    },
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Touchstone API",
    "VERSION": VERSION,
    "DESCRIPTION": (
        "Datasets, ground truth, prediction runs and what they say about a model state.\n\n"
        "Make a token on [your tokens page](/account/tokens/) and send it as `Authorization: Bearer TOKEN`. Lists come in pages "
        "by cursor: follow `next`. Errors are problem-shaped JSON: `title`, `status`, `detail`, `remedy`, and `errors` by field."
        "\n\n[Back to Touchstone](/)"
    ),
    # Endpoints are grouped by what comes after it.
    "SCHEMA_PATH_PREFIX": r"/api/",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    # Two vocabularies of the same field name, told apart by name.
    "ENUM_NAME_OVERRIDES": {
        "JobStatusEnum": "datasets.models.jobs.JobStatus",
        "AlertStatusEnum": "evaluation.models.alerts.AlertStatus",
        "OutcomeEnum": "evaluation.models.gates.Outcome",
        "AgainstEnum": "evaluation.models.gates.Against",
        "SetKindEnum": "predictions.models.sets.SetKind",
        "InferenceKindEnum": "inference.models.jobs.InferenceKind",
        "RuleKindEnum": "evaluation.models.alerts.RuleKind",
        "ChannelKindEnum": "evaluation.models.alerts.ChannelKind",
        "TrainingStatusEnum": "predictions.models.training.TrainingStatus",
        "TaskTypeEnum": "datasets.task_types.choices",
        "TrainingTaskTypeEnum": "predictions.models.training.task_type_choices",
        "TestErrorEnum": "evaluation.test_runs_serializers.ERRORS",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "config.schema.add_problems"],
}

# --- Language, time, logs --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.time_zone("TOUCHSTONE_TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "config.logs.OneLineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "datefmt": "%H:%M:%S",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.choice("TOUCHSTONE_LOG_LEVEL", "WARNING", LOG_LEVELS)},
    "loggers": {"touchstone": {"level": env.choice("TOUCHSTONE_LOG_LEVEL", "INFO", LOG_LEVELS)}},
}
SILENCED_SYSTEM_CHECKS: list[str] = []
