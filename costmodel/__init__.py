"""What the compiler knows about hardware, and the models that predict cost."""
