"""One file a question about `arcly_channels`, with its peers measured in the same run."""
