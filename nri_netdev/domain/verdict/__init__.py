"""From a request to a verdict: the interfaces that are given, or every reason why not."""
