"""How a layer reaches the other processes of a project: the contract, and Redis."""
