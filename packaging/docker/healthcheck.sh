#!/bin/sh
# Asks the broker for a connection without a login: any CONNACK, also one that refuses, says that it works.
set -e

answer=$(printf '\020\014\000\004MQTT\004\002\000\005\000\000' |
	nc -w 5 127.0.0.1 "${RECADO_HEALTH_PORT:-1883}" | head -c 1 | od -An -tx1)
case "$answer" in
*20*) exit 0 ;;
*)
	echo "no CONNACK from port ${RECADO_HEALTH_PORT:-1883}" >&2
	exit 1
	;;
esac
