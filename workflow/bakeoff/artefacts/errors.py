"""The one exception that means: the user can mend this."""


class BakeoffError(Exception):
    """A mistake or a mishap that a user can mend.

    Its message is one sentence that names the file or the key at fault and says what to do. The command line prints
    it without a traceback and exits with status 1; anything else that is raised is a bug and keeps its traceback.
    """
