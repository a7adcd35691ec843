#!/bin/sh
# As eclipse-mosquitto's: gives the folders to the broker's user when it is root, and becomes the command. The broker
# itself becomes PUID:PGID (1883:1883).
set -e

if [ "$(id -u)" = 0 ] && [ -d /mosquitto ]; then
	# A folder that is mounted read-only stays as it is.
	chown -R "${PUID:-1883}:${PGID:-1883}" /mosquitto 2>/dev/null || true
fi
exec "$@"
