"""How an interface is to be set up in the pod: what an entry asks for beside the interface itself."""
