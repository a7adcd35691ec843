#!/bin/sh
# image.sh DEB FOLDER: makes the files of the image in FOLDER, on Debian with busybox-static and libstdc++6.
set -eu

deb=$1
image=$2

mkdir -p "$image"
for folder in dev etc proc sys tmp run usr/bin usr/sbin usr/lib usr/lib64 \
	mosquitto/config mosquitto/data mosquitto/log; do
	mkdir -p "$image/$folder"
done
ln -s usr/bin "$image/bin"
ln -s usr/sbin "$image/sbin"
ln -s usr/lib "$image/lib"
ln -s usr/lib64 "$image/lib64"
dpkg-deb -x "$deb" "$image"
# Nobody reads these in a container.
for path in etc/logrotate.d etc/recado usr/lib/systemd usr/share/man usr/share/lintian usr/share/bash-completion \
	usr/share/zsh usr/share/fish; do
	rm -rf "${image:?}/$path"
done

# The libraries of the runtime and of its native modules, where the loader looks for them.
find "$image/usr/lib/recado" \( -name node -o -name '*.node' \) -type f -exec ldd {} + |
	sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' | sort -u |
	while read -r library; do
		mkdir -p "$image/$(dirname "$library")"
		cp -L "$library" "$image/$library"
	done
# Loaded by name: names of hosts by DNS.
for library in /lib/*-linux-gnu*/libnss_dns.so.2 /lib/*-linux-gnu*/libnss_files.so.2 /lib/*-linux-gnu*/libresolv.so.2; do
	[ ! -e "$library" ] || cp -L "$library" "$image/$library"
done

cp "$(command -v busybox)" "$image/usr/bin/busybox"
for name in sh chown id nc od head printf cat ls sleep; do ln -s busybox "$image/usr/bin/$name"; done
# Mosquitto's names, for "command: mosquitto ..." and "docker exec ... mosquitto_passwd".
for path in "$image"/usr/lib/recado/names/*; do
	ln -s "../lib/recado/names/$(basename "$path")" "$image/usr/bin/$(basename "$path")"
done
ln -s ../lib/recado/node_modules/recado/bin/recado.js "$image/usr/sbin/mosquitto"

mkdir -p "$image/etc/ssl/certs"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
printf 'root:x:0:0:root:/:/bin/sh\nmosquitto:x:1883:1883:MQTT broker:/mosquitto:/bin/false\n' >"$image/etc/passwd"
printf 'root:x:0:\nmosquitto:x:1883:\n' >"$image/etc/group"
printf 'hosts: files dns\n' >"$image/etc/nsswitch.conf"

here=$(dirname "$0")
cp "$here/docker-entrypoint.sh" "$here/healthcheck.sh" "$image/"
chmod 755 "$image/docker-entrypoint.sh" "$image/healthcheck.sh"
cp "$here/mosquitto.conf" "$image/mosquitto/config/mosquitto.conf"
chown -R 1883:1883 "$image/mosquitto"
chmod 1777 "$image/tmp"
