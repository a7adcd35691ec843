#!/bin/sh
# Runs inside a Debian that may be spoilt (try.mjs makes one): installs the package FIRST, uses it, upgrades to SECOND,
# removes and purges it. Prints a line for each step; ends at the first that fails.
# With RECADO_SYSTEMD=1 the service is systemd's, else it is started by hand as its user.
set -eu

first=$1
second=$2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS
step=
trap 'status=$?; [ $status -eq 0 ] || { echo "FAILED: $step" >&2; tail -n 20 /var/log/recado/recado.log >&2 || true; }' EXIT
begin() { step=$1; echo "- $1"; }
now() { date +%s%3N; }
by_systemd() { [ "${RECADO_SYSTEMD:-}" = 1 ]; }

broker() { pgrep -x recado | head -n 1; }
# Waits until the broker answers; fails after two minutes.
answers() {
	tries=0
	until grep -q ' 0100007F:075B .* 0A ' /proc/net/tcp; do
		tries=$((tries + 1))
		[ $tries -lt 2400 ]
		sleep 0.05
	done
}
start() {
	begun=$(now)
	if by_systemd; then
		systemctl start recado
	else
		# By root, as in a container: it becomes that user.
		PUID=$(id -u recado) PGID=$(id -g recado) /usr/bin/recado -c /etc/recado/recado.conf </dev/null >/tmp/recado.out 2>&1 &
		echo $! >/tmp/recado.pid
	fi
	answers
	echo "  start: $(($(now) - begun)) ms until it listens"
}
stop() {
	if by_systemd; then
		systemctl stop recado
	else
		pid=$(cat /tmp/recado.pid)
		kill -TERM "$pid"
		wait "$pid"
	fi
}
pub() { recado pub -h 127.0.0.1 "$@"; }
sub() { recado sub -h 127.0.0.1 "$@"; }
owner() { [ "$(stat -c %U:%G:%a "$1")" = "$2" ] || { stat "$1"; false; }; }

begin "install"
dpkg -i "$first"
getent passwd recado
owner /var/lib/recado recado:recado:700
owner /var/log/recado recado:recado:750
owner /etc/recado/recado.conf root:root:644
[ "$(dpkg-query -W -f '${Status}' recado)" = "install ok installed" ]
recado --version
by_systemd || recado --test-config -c /etc/recado/recado.conf

begin "systemd's own checks of the unit"
if command -v systemd-analyze >/dev/null; then
	pages=no
	! command -v man >/dev/null || pages=yes
	systemd-analyze verify --man=$pages recado.service recado.socket
	# At most 2.0 of 10.
	systemd-analyze security --offline=true --threshold=20 --no-pager recado.service | tail -n 1
fi

begin "start"
if by_systemd; then
	systemctl is-enabled recado
	answers
	systemctl is-active recado
else
	start
fi

begin "publish and subscribe"
sub -t 'casa/#' -q 1 -i visita -c -E
pub -t casa/sala/temperatura -q 1 -m '25°C' -r
[ "$(sub -t casa/sala/temperatura -C 1)" = '25°C' ]
awk '/^VmRSS|^VmHWM|^RssAnon/ { print "  " $1, int($2 / 1024), "MB" }' "/proc/$(if by_systemd; then systemctl show -P MainPID recado; else cat /tmp/recado.pid; fi)/status"

begin "a login with a password file, hashed on another thread"
recado passwd -c -b /etc/recado/passwords ada secret
chown recado: /etc/recado/passwords
printf 'listener 1883 127.0.0.1\npassword_file /etc/recado/passwords\n' >/etc/recado/conf.d/local.conf
if by_systemd; then systemctl reload recado; else kill -HUP "$(cat /tmp/recado.pid)"; fi
tries=0
until pub -u ada -P secret -t casa/sala/luz -q 1 -m encendida; do
	tries=$((tries + 1))
	[ $tries -lt 60 ]
	sleep 0.5
done
! pub -u ada -P wrong -t casa/sala/luz -q 1 -m apagada 2>/dev/null

begin "a private key that only root may read, as a credential of the unit"
if command -v openssl >/dev/null; then
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 -keyout /root/server.key -out /etc/recado/server.crt 2>/dev/null
	chmod 600 /root/server.key
	mkdir -p /etc/systemd/system/recado.service.d
	printf '[Service]\nLoadCredential=server.key:/root/server.key\n' >/etc/systemd/system/recado.service.d/key.conf
	printf 'listener 8883 127.0.0.1\ncertfile /etc/recado/server.crt\nkeyfile /run/credentials/recado.service/server.key\n' \
		>/etc/recado/conf.d/tls.conf
	if command -v systemd-analyze >/dev/null; then
		systemd-analyze verify --man=no recado.service
		systemd-analyze security --offline=true --threshold=20 --no-pager recado.service | tail -n 1
	fi
	if by_systemd; then
		systemctl daemon-reload
	else
		# What systemd makes of it: a copy that its user may read, and nobody may change.
		mkdir -p /run/credentials/recado.service
		install -m 0400 -o recado /root/server.key /run/credentials/recado.service/server.key
	fi
	stop
	start
	pub -p 8883 --cafile /etc/recado/server.crt --insecure -u ada -P secret -t casa/sala/llave -q 1 -m cerrada
fi

begin "every command that needs a module of its own"
recado export /var/lib/recado - | head -c 100 >/dev/null
recado config lint /etc/recado/recado.conf || true
recado completion bash | grep -q complete
recado doctor mqtt://127.0.0.1 -u ada -P secret >/dev/null || true
for page in recado recado-pub; do [ -s "/usr/share/man/man1/$page.1.gz" ]; done

begin "Mosquitto's names, where they are free"
if [ -L /usr/bin/mosquitto_pub ]; then
	mosquitto_pub -h 127.0.0.1 -u ada -P secret -t casa/x -m y
	[ "$(readlink -f /usr/bin/mosquitto_pub)" = /usr/lib/recado/node_modules/recado/bin/recado.js ]
else
	[ "$(dpkg-query -S /usr/bin/mosquitto_pub | cut -d: -f1)" = mosquitto-clients ]
fi

begin "upgrade, with edited configuration and a session that waits"
echo '# edited by hand' >>/etc/recado/recado.conf
begun=$(now)
dpkg -i --force-confdef --force-confold "$second"
if by_systemd; then
	answers
	echo "  upgrade: $(($(now) - begun)) ms; restart: $(($(systemctl show -P ActiveEnterTimestampMonotonic recado) / 1000 - $(systemctl show -P InactiveExitTimestampMonotonic recado) / 1000)) ms"
	systemctl is-active recado
else
	stop
	start
fi
grep -q '^# edited by hand' /etc/recado/recado.conf
[ -s /etc/recado/conf.d/local.conf ]
[ "$(dpkg-query -W -f '${Version}' recado)" != "$(dpkg-deb -f "$first" Version)" ]
got=$(sub -u ada -P secret -t 'casa/#' -q 1 -i visita -c -C 2 -W 60 || true)
echo "  after the upgrade: $got"
echo "$got" | grep -q '25°C'

begin "log rotation"
if command -v logrotate >/dev/null; then
	logrotate --force /etc/logrotate.d/recado
	[ -e /var/log/recado/recado.log.1 ]
fi

begin "stop"
stop

begin "remove: configuration and data stay"
mkdir -p /var/backups/recado/configuration
dpkg -r recado
[ ! -e /usr/bin/recado ]
[ ! -L /usr/bin/mosquitto_pub ]
[ -s /etc/recado/conf.d/local.conf ]
[ -e /var/lib/recado/recado.mdb ]

begin "purge: nothing stays"
dpkg -P recado
for path in /etc/recado /var/lib/recado /var/log/recado /var/backups/recado /etc/logrotate.d/recado /usr/lib/recado \
	/etc/systemd/system/multi-user.target.wants/recado.service /etc/alternatives/mosquitto_pub; do
	[ ! -e "$path" ] && [ ! -L "$path" ] || { echo "$path is still there"; false; }
done
! getent passwd recado
! dpkg-query -W recado 2>/dev/null
step=
echo "all steps passed"
