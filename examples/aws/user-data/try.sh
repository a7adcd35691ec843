#!/bin/sh
# Runs in a layer above a Debian (packaging/lib/layer.mjs): try.sh USER-DATA DEB. Runs the user data as cloud-init would on
# a first machine, and again on the one that takes its place with the same volume. What Amazon has is played by scripts:
# aws, the address of the metadata, two agents; systemctl starts the broker by hand. Everything else is real, the file
# system of the volume too (on a loop device).
set -eu

user_data=$1
deb=$2
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export TRY_DEB="$deb"
unset NODE_OPTIONS NODE_EXTRA_CA_CERTS

# Devices of its own: a link for the volume must not come into the machine's /dev.
mkdir /tmp/dev
for node in 'null 1 3' 'zero 1 5' 'random 1 8' 'urandom 1 9' 'loop-control 10 237'; do
	# shellcheck disable=SC2086 # three words
	set -- $node
	mknod -m 666 "/tmp/dev/$1" c "$2" "$3"
done
for number in 0 1 2 3 4 5 6 7; do mknod "/tmp/dev/loop$number" b 7 $number; done
mkdir -p /tmp/dev/disk/by-id /tmp/dev/shm
mount --bind /tmp/dev /dev
truncate -s 64M /tmp/volume

mv /usr/bin/curl /usr/bin/curl-real
cat >/usr/bin/curl <<'END'
#!/bin/sh
set -eu
case "$*" in
*169.254.169.254/latest/api/token*) echo token ;;
*'X-aws-ec2-metadata-token: token'*169.254.169.254/latest/meta-data/instance-id*) echo i-0123456789abcdef0 ;;
*-o*.amazonaws.com/*.deb*)
	for url in "$@"; do :; done
	while [ "$1" != -o ]; do shift; done
	name=$(basename "$url" .deb)
	folder=$(mktemp -d)
	mkdir -p "$folder/DEBIAN" "$folder/opt/aws/amazon-cloudwatch-agent/bin" "$folder/opt/aws/amazon-cloudwatch-agent/etc"
	printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: stand-in\n' "$name" >"$folder/DEBIAN/control"
	if [ "$name" = amazon-cloudwatch-agent ]; then
		printf '#!/bin/sh\nfor file in "$@"; do :; done\nexec jq -e .logs "${file#file:}"\n' >"$folder/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
		chmod 755 "$folder/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
	fi
	dpkg-deb -b "$folder" "$2" >/dev/null
	;;
*) exec /usr/bin/curl-real "$@" ;;
esac
END
cat >/usr/bin/aws <<'END'
#!/bin/sh
set -eu
echo "$*" >>/tmp/aws.log
case "$1 $2" in
'ec2 attach-volume')
	# The machine before has it at the first try.
	if [ ! -e /tmp/asked ]; then
		touch /tmp/asked
		echo 'An error occurred (VolumeInUse)' >&2
		exit 254
	fi
	ln -s /tmp/volume /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123
	;;
's3 cp')
	for target in "$@"; do :; done
	cp "$TRY_DEB" "$target"
	;;
'secretsmanager get-secret-value') echo password-of-admin ;;
'cloudformation signal-resource') echo "$*" >/tmp/signal ;;
*)
	echo "aws $*: not expected" >&2
	exit 1
	;;
esac
END
cat >/usr/bin/apt-get <<'END'
#!/bin/sh
set -eu
echo "$*" >>/tmp/apt.log
for package in "$@"; do
	case "$package" in
	*.deb) dpkg -i "$package" ;;
	esac
done
END
cat >/usr/bin/systemctl <<'END'
#!/bin/sh
set -eu
case "$*" in
'enable --now recado.service')
	[ ! -e /usr/sbin/policy-rc.d ]
	PUID=$(id -u recado) PGID=$(id -g recado) /usr/bin/recado -c /etc/recado/recado.conf </dev/null >/tmp/recado.out 2>&1 &
	echo $! >/tmp/recado.pid
	;;
'is-active --quiet recado.service') kill -0 "$(cat /tmp/recado.pid)" ;;
'daemon-reload' | 'enable --now recado-numbers.timer') ;;
*) exit 1 ;;
esac
END
chmod 755 /usr/bin/curl /usr/bin/aws /usr/bin/apt-get /usr/bin/systemctl

cat >/tmp/client.mjs <<'END'
// client.mjs TOPIC [MESSAGE]: as the load balancer does it, by the PROXY protocol for a client of IPv6. Publishes and
// retains MESSAGE, or prints the retained message.
import { connect } from 'node:net'
const [topic, message] = process.argv.slice(2)
const text = (value) => Buffer.concat([Buffer.from([0, Buffer.byteLength(value)]), Buffer.from(value)])
const packet = (first, ...parts) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([first, body.length]), body])
}
const proxy = Buffer.alloc(16 + 36)
Buffer.from('0d0a0d0a000d0a515549540a2121', 'hex').copy(proxy)
proxy.writeUInt16BE(36, 14)
proxy[31] = 1
proxy[47] = 2
const socket = connect(1883, '127.0.0.1')
socket.on('close', () => process.exit(1))
// A health check: a header without addresses, and then nothing.
connect(1883, '127.0.0.1').end(Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'))
let received = Buffer.alloc(0)
let isConnected = false
socket.write(Buffer.concat([proxy, packet(0x10, text('MQTT'), Buffer.from([4, 0xc2, 0, 60]), text('try'), text('admin'), text('password-of-admin'))]))
socket.on('data', (chunk) => {
  received = Buffer.concat([received, chunk])
  if (!isConnected && received.length >= 4) {
    if (received[3] !== 0) throw new Error(`CONNACK ${received[3]}`)
    isConnected = true
    received = received.subarray(4)
    if (message !== undefined) socket.write(packet(0x33, text(topic), Buffer.from([0, 1]), Buffer.from(message)))
    else socket.write(packet(0x82, Buffer.from([0, 1]), text(topic), Buffer.from([0])))
  }
  if (message !== undefined && received[0] === 0x40) process.exit(0)
  const at = received.indexOf(text(topic))
  if (message === undefined && at !== -1) {
    console.log(received.subarray(at + 2 + Buffer.byteLength(topic)).toString())
    process.exit(0)
  }
})
END

run() {
	rm -f /tmp/asked /tmp/signal
	sh "$user_data"
	grep -q -- '--unique-id i-0123456789abcdef0 --status SUCCESS' /tmp/signal
	[ -s /var/log/recado/numbers.log ]
	# A broker that has just started has not measured everything yet.
	tries=0
	until tail -n 1 /var/log/recado/numbers.log |
		jq -e '.clients == 0 and .storeFree > 0 and .memory > 0 and ([.[] | type == "number"] | all)'; do
		tries=$((tries + 1))
		[ $tries -lt 120 ]
		sleep 1
		/usr/local/sbin/recado-numbers
	done
	[ "$(stat -c %U /var/lib/recado/recado.mdb)" = recado ]
	mountpoint -q /var/lib/recado
}
client() { /usr/lib/recado/node /tmp/client.mjs "$@"; }

echo '- a first machine, with an empty volume'
run
client devices/kitchen 'kept by the volume'
grep -q 'awscli' /tmp/apt.log

echo '- the machine that takes its place, with the same volume'
kill -TERM "$(cat /tmp/recado.pid)"
while kill -0 "$(cat /tmp/recado.pid)" 2>/dev/null; do sleep 0.1; done
umount /var/lib/recado
rm /dev/disk/by-id/*
dpkg -P recado amazon-ssm-agent amazon-cloudwatch-agent >/dev/null
rm -rf /etc/recado /etc/systemd/system/recado* /var/log/recado
sed -i '/recado/d' /etc/fstab
run
[ "$(client devices/kitchen)" = 'kept by the volume' ]

echo '- a machine whose package is another one than the stack names'
kill -TERM "$(cat /tmp/recado.pid)"
while kill -0 "$(cat /tmp/recado.pid)" 2>/dev/null; do sleep 0.1; done
umount /var/lib/recado
rm /dev/disk/by-id/*
sed -i '/recado/d' /etc/fstab
rm -f /tmp/asked /tmp/signal
echo changed >/tmp/other.deb
if TRY_DEB=/tmp/other.deb sh "$user_data" 2>/tmp/errors; then exit 1; fi
grep -q 'failed at: installing the broker' /tmp/errors
grep -q -- '--status FAILURE' /tmp/signal
echo 'all steps passed'
