"""The virtual district: devices that really answer, scripted faults, a truth log."""
