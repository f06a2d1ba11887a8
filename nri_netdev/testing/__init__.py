"""An engine to test against: the runtime's side of NRI and a stand-in for a node. Public and supported."""
