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

# Waits until the broker with process number $1 is healthy.
healthy() {
	tries=0
	until inside /healthcheck.sh 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] && kill -0 "$1"
		sleep 0.2
	done
}

# Another user by PUID and PGID, as images for home servers have it: the volumes become that user's.
env -i PATH=/usr/sbin:/usr/bin PUID=1000 PGID=1001 \
	chroot "$image" /docker-entrypoint.sh recado -c /mosquitto/config/mosquitto.conf &
broker=$!
healthy $broker
[ "$(stat -c %u:%g "/proc/$broker")" = 1000:1001 ]
[ "$(stat -c %u:%g "$image/mosquitto/data/recado.mdb")" = 1000:1001 ]
[ "$(inside mosquitto_sub -h 127.0.0.1 -u ada -P secret -t a -C 1)" = "from /usr/sbin/mosquitto" ]
kill -TERM $broker
wait $broker
echo "- PUID=1000 PGID=1001: runs as that user, with the data of before"

# Never root, as with "user: 1883:1883": nothing is given to anybody, and the folders are 1883's already.
chown -R 1883:1883 "$image/mosquitto/data" "$image/mosquitto/log" "$image/mosquitto/config"
env -i PATH=/usr/sbin:/usr/bin PUID=1883 PGID=1883 \
	chroot --userspec=1883:1883 "$image" /docker-entrypoint.sh recado -c /mosquitto/config/mosquitto.conf &
broker=$!
healthy $broker
[ "$(stat -c %u:%g "/proc/$broker")" = 1883:1883 ]
kill -TERM $broker
wait $broker
echo "- user 1883:1883: never is root"

# A configuration that is mounted read-only and belongs to root.
chown -R root:root "$image/mosquitto/config"
chmod 644 "$image/mosquitto/config/mosquitto.conf" "$image/mosquitto/config/passwords"
mount -o remount,ro "$image/mosquitto/config"
env -i PATH=/usr/sbin:/usr/bin PUID=1883 PGID=1883 \
	chroot "$image" /docker-entrypoint.sh recado -c /mosquitto/config/mosquitto.conf &
broker=$!
healthy $broker
kill -TERM $broker
wait $broker
echo "- a configuration that is mounted read-only"
echo "the image works"
