"""What an import may ask of the system."""

import resource

from local_ai.engine.process.environment import limits_as_they_are


def test_an_import_that_asks_for_more_open_files_than_there_may_be_goes_on():
    """As mlx-lm's does."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    with limits_as_they_are():
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] + 1, before[1]))

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
