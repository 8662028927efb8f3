"""How weights change: optimisers, schedules, averages."""
