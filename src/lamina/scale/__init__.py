"""More machines than one: an application of ours as replicas on Ray Serve."""
