"""Models that predict the cost of schedules, behind one interface."""
