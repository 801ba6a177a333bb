"""The demonstration: data, accounts, simulated devices, a scripted operator for `--headless`."""
