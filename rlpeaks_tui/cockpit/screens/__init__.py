"""The screens of the cockpit. Each places surfaces and asks pure functions what to put on them."""
