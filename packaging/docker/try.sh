#!/bin/sh
# try.sh IMAGE: runs the image's files (image.sh) as a container would, and checks what eclipse-mosquitto's users rely on.
# As root; in namespaces of its own: unshare --mount --pid --fork --kill-child --net sh try.sh FOLDER
set -eu

image=$1
# A root that is read-only, with the volumes above it.
mount --bind "$image" "$image"
mount -o remount,ro,bind "$image"
mount -t proc proc /proc
mount -t proc proc "$image/proc"
mount --rbind /dev "$image/dev"
for volume in tmp mosquitto/data mosquitto/log mosquitto/config; do mount -t tmpfs tmpfs "$image/$volume"; done
ip link set lo up
inside() { env -i PATH=/usr/sbin:/usr/bin PUID=1883 PGID=1883 chroot "$image" "$@"; }

printf 'listener 1883\npassword_file /mosquitto/config/passwords\npersistence true\npersistence_location /mosquitto/data/\nlog_dest file /mosquitto/log/mosquitto.log\n' >"$image/mosquitto/config/mosquitto.conf"
inside mosquitto_passwd -c -b /mosquitto/config/passwords ada secret

for command in "recado" "/usr/sbin/mosquitto"; do
	# Not by the function: the process number must be the broker's.
	env -i PATH=/usr/sbin:/usr/bin PUID=1883 PGID=1883 \
		chroot "$image" /docker-entrypoint.sh "$command" -c /mosquitto/config/mosquitto.conf &
	broker=$!
	tries=0
	until inside /healthcheck.sh 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ]
		sleep 0.2
	done
	echo "- $command: healthy without a login"
	[ "$(stat -c %u:%g "$image/mosquitto/data/recado.mdb")" = 1883:1883 ]
	[ "$(stat -c %u "/proc/$broker")" = 1883 ]
	inside mosquitto_pub -h 127.0.0.1 -u ada -P secret -t a -q 1 -r -m "from $command"
	[ "$(inside mosquitto_sub -h 127.0.0.1 -u ada -P secret -t a -C 1)" = "from $command" ]
	! inside mosquitto_pub -h 127.0.0.1 -t a -m x 2>/dev/null
	echo "- $command: publishes with a login, and not without; runs as 1883"
	kill -TERM $broker
	wait $broker
	echo "- $command: stopped by TERM with exit code 0"
done
echo "the image works"
