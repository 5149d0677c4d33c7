"""What a user calls: driver, options, runtime, verification, command line."""
