"""Five small examples in one Django project; README.md says what there is and how to run it."""
