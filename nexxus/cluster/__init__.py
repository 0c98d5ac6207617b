"""The cluster: messages between nodes, and which nodes are members."""
