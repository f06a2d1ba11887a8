"""Reading of a pod's annotations: the grammars, and the checks that need no node."""
