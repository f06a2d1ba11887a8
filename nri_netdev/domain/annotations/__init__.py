"""From a pod's annotations to a request: the grammars, and the checks that need no node."""
