"""THINK -> EXECUTE -> REFLECT, and the controller that stores each step and waits."""
