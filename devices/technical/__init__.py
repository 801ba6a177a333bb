"""What is wrong with a device, for technicians: apart from elders' alarms and incidents."""
