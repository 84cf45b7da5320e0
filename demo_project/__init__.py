"""An example of a project that uses arcly_channels."""
