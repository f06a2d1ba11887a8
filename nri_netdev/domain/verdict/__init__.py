"""From a request to a verdict: which interfaces are given, or every reason why not."""
