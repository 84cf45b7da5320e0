"""A project whose events come from anywhere: views, threads, forks, scripts, commands, workers."""
