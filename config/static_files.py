"""Static files in production: named by their content, compressed, cached for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """Also the imports between our own JavaScript modules name the hashed files.

    Otherwise a module that a page loads and another module imports would come under two addresses, and run twice.
    Django's own switch for this looks at every file and stumbles over those that packages bring.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        ("js/*.js", ((r"""(?P<matched>from "(?P<url>\./[\w-]+\.js)")""", 'from "%(url)s"'),)),
    )
