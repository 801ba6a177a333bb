#!/bin/sh
# Makes the dynamic-security file at the first start; the worker fills in the rest.
set -eu
file=/mosquitto/data/dynamic-security.json
[ -f "$file" ] || mosquitto_ctrl dynsec init "$file" admin "$MQTT_ADMIN_PASSWORD"
