# Makes a fresh Debian 12 (cloud-init runs this once, as root) the broker: attaches the data volume, installs Recado, sends
# its log and its numbers to CloudWatch, and tells CloudFormation how it ended. The lines in front of it set:
#
#   REGION STACK RESOURCE VOLUME DEB_URL DEB_SHA256 SECRET LOG_GROUP NUMBERS_GROUP
#
# What is to survive the machine is on the volume, at /var/lib/recado: sessions, messages, passwords, the ACL file.
set -eu
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin

arch=$(dpkg --print-architecture)
data=/var/lib/recado
work=$(mktemp -d)
step='reading its own name'

token=$(curl -fsS --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 3600' http://169.254.169.254/latest/api/token)
instance=$(curl -fsS --retry 5 -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/instance-id)

# Without a signal CloudFormation waits for its time-out, and then goes back.
finish() {
	status=$?
	result=SUCCESS
	[ $status -eq 0 ] || result=FAILURE
	[ $status -eq 0 ] || echo "recado: setting up this machine failed at: $step" >&2
	rm -rf "$work"
	aws cloudformation signal-resource --region "$REGION" --stack-name "$STACK" --logical-resource-id "$RESOURCE" \
		--unique-id "$instance" --status $result || echo "recado: the stack could not be told $result" >&2
	exit $status
}
trap finish EXIT

begin() {
	step=$1
	echo "recado: $step"
}

begin 'installing what Debian has'
apt-get -q -o DPkg::Lock::Timeout=600 update
apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends awscli ca-certificates curl jq

begin 'installing the agent of Systems Manager, which is used instead of SSH'
curl -fsS --retry 5 -o "$work/ssm.deb" "https://s3.$REGION.amazonaws.com/amazon-ssm-$REGION/latest/debian_$arch/amazon-ssm-agent.deb"
dpkg -i "$work/ssm.deb"

# The machine before this one may still hold the volume. EBS gives it to one machine at a time, so that there never are
# two brokers on it.
begin "attaching volume $VOLUME"
tries=0
until aws ec2 attach-volume --region "$REGION" --volume-id "$VOLUME" --instance-id "$instance" --device /dev/sdf; do
	tries=$((tries + 1))
	[ $tries -lt 120 ]
	sleep 5
done
device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$(echo "$VOLUME" | tr -d -)
tries=0
until [ -e "$device" ]; do
	tries=$((tries + 1))
	[ $tries -lt 120 ]
	sleep 1
done

begin 'mounting it'
# blkid: 0 there is a file system, 2 there is none; after anything else nothing may be formatted.
kind=0
blkid -p -o value -s TYPE "$device" || kind=$?
case $kind in
0) ;;
2) mkfs.ext4 -q -L recado "$device" ;;
*) exit 1 ;;
esac
mkdir -p "$data"
echo "$device $data ext4 defaults,noatime,nofail,x-systemd.device-timeout=60 0 2" >>/etc/fstab
mount "$data"
# The volume may have been made larger.
resize2fs "$device"

begin 'installing the broker'
aws s3 cp --region "$REGION" --only-show-errors "$DEB_URL" "$work/recado.deb"
echo "$DEB_SHA256  $work/recado.deb" | sha256sum -c -
# Not started before it is configured.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "$work/recado.deb"
rm /usr/sbin/policy-rc.d

begin 'configuring it'
mkdir -p /etc/systemd/system/recado.service.d
cat >/etc/systemd/system/recado.service.d/volume.conf <<END
[Unit]
# Without its volume the broker must not start on the empty folder below.
RequiresMountsFor=$data
AssertPathIsMountPoint=$data
END
cat >/etc/recado/conf.d/aws.conf <<END
# Only the load balancer reaches these two ports. It ends TLS, and names the client by the PROXY protocol.
listener 1883
enable_proxy_protocol 2
listener 8080
protocol websockets
enable_proxy_protocol 2
# For the numbers that go to CloudWatch.
listener 9883 127.0.0.1
protocol http_api

password_file $data/passwords
acl_file $data/acl
# The load balancer cuts connections that were silent for 350 seconds.
max_keepalive 300
END
if [ ! -e "$data/acl" ]; then
	cat >"$data/acl" <<'END'
# admin may do everything, every other user only what is below devices/NAME.
user admin
topic readwrite #
topic read $SYS/#

user cloudwatch
topic read /api/v1/systree

pattern readwrite devices/%u/#
END
fi
if [ ! -e "$data/passwords" ]; then
	# Not by a pipe: sh would not notice that its first command fails.
	password=$(aws secretsmanager get-secret-value --region "$REGION" --secret-id "$SECRET" --query SecretString --output text)
	echo "$password" | recado passwd -c "$data/passwords" admin
fi
# Another password on every machine: nobody has to know it.
umask 077
own=$(head -c 30 /dev/urandom | base64)
echo "$own" | recado passwd "$data/passwords" cloudwatch
echo "user = \"cloudwatch:$own\"" >/etc/recado/cloudwatch.curl
umask 022
# User ids are another machine's after a replacement.
chown -R recado:recado "$data"
chmod 700 "$data"
recado --test-config -c /etc/recado/recado.conf

begin 'starting it'
systemctl daemon-reload
systemctl enable --now recado.service

begin 'sending its numbers to CloudWatch'
cat >/usr/local/sbin/recado-numbers <<'END'
#!/bin/sh
# One line of JSON with the numbers of the broker, for the metric filters of the stack.
set -eu
# Not by a pipe: sh would not notice that curl fails.
numbers=$(curl -fsS --max-time 20 -K /etc/recado/cloudwatch.curl http://127.0.0.1:9883/api/v1/systree)
printf '%s' "$numbers" | jq -c '{
	clients: ."$SYS/broker/clients/connected",
	received: ."$SYS/broker/publish/messages/received",
	sent: ."$SYS/broker/publish/messages/sent",
	dropped: ."$SYS/broker/publish/messages/dropped",
	stored: ."$SYS/broker/messages/stored",
	storeLag: ."$SYS/broker/recado/store/lag",
	storeFree: ."$SYS/broker/recado/store/free",
	memory: ."$SYS/broker/recado/memory/resident",
	memoryLevel: ."$SYS/broker/recado/memory/level",
	eventLoopP99: ."$SYS/broker/recado/event-loop/delay/p99"
}' >>/var/log/recado/numbers.log
END
chmod 755 /usr/local/sbin/recado-numbers
cat >/etc/systemd/system/recado-numbers.service <<'END'
[Unit]
Description=Numbers of the Recado broker for CloudWatch
After=recado.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/recado-numbers
NoNewPrivileges=true
ProtectHome=true
ProtectSystem=strict
ReadWritePaths=/var/log/recado
END
cat >/etc/systemd/system/recado-numbers.timer <<'END'
[Unit]
Description=Numbers of the Recado broker every minute

[Timer]
OnCalendar=minutely
AccuracySec=5

[Install]
WantedBy=timers.target
END
systemctl daemon-reload
systemctl enable --now recado-numbers.timer

begin 'installing the agent of CloudWatch'
curl -fsS --retry 5 -o "$work/agent.deb" "https://amazoncloudwatch-agent-$REGION.s3.$REGION.amazonaws.com/debian/$arch/latest/amazon-cloudwatch-agent.deb"
dpkg -i "$work/agent.deb"
cat >/opt/aws/amazon-cloudwatch-agent/etc/recado.json <<END
{
  "agent": { "region": "$REGION" },
  "logs": {
    "logs_collected": {
      "files": {
        "collect_list": [
          { "file_path": "/var/log/recado/recado.log", "log_group_name": "$LOG_GROUP", "log_stream_name": "{instance_id}" },
          { "file_path": "/var/log/recado/numbers.log", "log_group_name": "$NUMBERS_GROUP", "log_stream_name": "{instance_id}" }
        ]
      }
    }
  }
}
END
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s \
	-c file:/opt/aws/amazon-cloudwatch-agent/etc/recado.json

begin 'looking whether it answers'
tries=0
until systemctl is-active --quiet recado.service && /usr/local/sbin/recado-numbers; do
	tries=$((tries + 1))
	[ $tries -lt 60 ]
	sleep 1
done
