/**
 * Outcome of each test of Mosquitto's suites on Recado: all pass, except those here, each with its reason.
 *
 * `main.ts` and the peer test compare with it; `cases.ts` knows the tests that only Mosquitto's own build can run, and
 * docs/testing.md has the figures. Invariant: a test that is here and passes is told as well as one that is not and fails.
 */
import type { SuiteVersion } from './source.ts'
import type { SuiteName } from './workspace.ts'

/** Reasons that several tests have. */
const QOS_2 = 'a QoS 2 message is passed on when it comes (4.3.3 leaves it open); Mosquitto waits for PUBREL'
const DATABASE = 'the test deletes mosquitto.db; what is kept is in recado.mdb, which nobody deletes by accident'
const WILL_DELAY =
  'a session without a Session Expiry Interval ends with its connection, and then its Will is published, whatever its delay [MQTT-3.1.3-9]'
const TAKEOVER = 'the Will of a connection that is taken over is published [MQTT-3.1.2-8]; Mosquitto leaves it out'
const TOO_LARGE = '0x95 may not stand in PUBACK and PUBREC (3.4.2.1); 0x97 may'
const MAXIMUM_PACKET_SIZE =
  'the second message is a byte larger than the Maximum Packet Size, and is not sent [MQTT-3.1.2-24]'
const WILL_ORDER = 'the properties of a Will are sent in our order, User Properties together; MQTT has none'
const RESTARTED_IDS = 'Packet Identifiers of a session that has nothing in flight begin with 1 after a restart'
const CONTROL_WILDCARD = 'subscribePattern # does not grant $CONTROL/#; Mosquitto 2.1 does not grant it either'
const BRIDGE_RETAINED =
  'a bridge with messages to deliver asks for retained ones later, or they would bring back what was deleted here'
const PINGREQ = 'the test sends PINGREQ as a server, which only a client may (3.12); Mosquitto answers'
const PROXY_SPEC = 'the specification of the PROXY protocol has it otherwise'

const expected: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'broker 2.0': {
    '02-subpub-qos1-oversize-payload': TOO_LARGE,
    '02-subpub-qos2': QOS_2,
    '04-retain-check-source-persist': DATABASE,
    '04-retain-check-source-persist-diff-port': DATABASE,
    '06-bridge-b2br-late-connection-retain': DATABASE,
    '06-bridge-br2b-disconnect-qos1': BRIDGE_RETAINED,
    '06-bridge-br2b-disconnect-qos2': BRIDGE_RETAINED,
    '06-bridge-br2b-remapping': PINGREQ,
    '06-bridge-clean-session':
      'two brokers are to keep their data in the same folder, which is refused; Mosquitto fails here too',
    '06-bridge-per-listener-settings':
      'a listener made by `port` lets nobody in without a user name unless the file says so, as in 2.1; 2.0 does',
    '07-will-delay': WILL_DELAY,
    '07-will-delay-reconnect': WILL_DELAY,
    '07-will-delay-recover': WILL_DELAY,
    '07-will-properties': WILL_ORDER,
    '07-will-takeover': TAKEOVER,
    '11-persistent-subscription': DATABASE,
    '11-persistent-subscription-no-local': RESTARTED_IDS,
    '12-prop-maximum-packet-size-publish-qos1': MAXIMUM_PACKET_SIZE,
    '12-prop-maximum-packet-size-publish-qos2': MAXIMUM_PACKET_SIZE,
    '12-prop-subpub-payload-format': 'a Payload Format Indicator of 0xED is a protocol error (3.3.2.3.2)',
    '13-malformed-subscribe-v5': 'a subscription with QoS 3 is a protocol error, 0x82 (3.8.3.1); Mosquitto says 0x81',
    '14-dynsec-modify-client': CONTROL_WILDCARD,
    '14-dynsec-modify-group': CONTROL_WILDCARD,
    '14-dynsec-modify-role': CONTROL_WILDCARD,
    '14-dynsec-role': CONTROL_WILDCARD,
  },
  'broker 2.1': {
    msg_sequence_test: `1,480 and more of its 1,773 sequences are the same; a property that may not stand in a packet makes it malformed (2.2.2.2), 0x81, where Mosquitto says 0x82`,
    '02-subpub-qos1-oversize-payload': TOO_LARGE,
    '02-subpub-qos2': QOS_2,
    '02-subpub-qos2-max-inflight-bytes': QOS_2,
    '03-publish-qos2-dup':
      'a QoS 2 message is acknowledged however often it comes [MQTT-4.3.3-10]; Mosquitto ends the connection at the third',
    '03-publish-qos2-reuse-mid': QOS_2,
    '04-retain-check-source-persist': DATABASE,
    '04-retain-check-source-persist-diff-port': DATABASE,
    '06-bridge-b2br-late-connection-retain': DATABASE,
    '06-bridge-br2b-disconnect-qos1': BRIDGE_RETAINED,
    '06-bridge-br2b-disconnect-qos2': BRIDGE_RETAINED,
    '06-bridge-br2b-remapping': PINGREQ,
    '06-bridge-config-reload': 'Packet Identifiers go on where the bridge stays connected through SIGHUP',
    '06-bridge-remap-receive-wildcard': 'a DISCONNECT says why the bridge ends the connection',
    '07-will-delay': WILL_DELAY,
    '07-will-delay-reconnect': WILL_DELAY,
    '07-will-delay-recover': WILL_DELAY,
    '07-will-properties': WILL_ORDER,
    '07-will-takeover': TAKEOVER,
    '08-ssl-connect-cert-auth-expired-allowed':
      'Node cannot check a certificate and leave out its dates: disable_client_cert_date_checks has a warning',
    '11-persistence-autosave-changes': DATABASE,
    '11-persistent-subscription': DATABASE,
    '11-persistent-subscription-no-local': RESTARTED_IDS,
    '12-prop-maximum-packet-size-publish-qos1': MAXIMUM_PACKET_SIZE,
    '12-prop-maximum-packet-size-publish-qos2': MAXIMUM_PACKET_SIZE,
    '21-proxy-v2-bad-config':
      'a listener may have TLS of its own behind a proxy of version 2, which passes it through; Mosquitto cannot',
    '21-proxy-v2-bad-header': `${PROXY_SPEC}: a header of family UNSPEC is taken`,
    '21-proxy-v2-local': `${PROXY_SPEC}: LOCAL is taken, as a health check of the proxy`,
    '21-proxy-v2-ssl-cipher': 'the log does not tell the cipher that a proxy has had',
    '21-proxy-v2-unix': `${PROXY_SPEC}: the address of a unix socket takes 216 bytes; the test sends 5`,
    '22-http-api-file': 'a request for ../../etc/passwd has no path of HTTP, which is 400; Mosquitto says 404',
    '23-security-acl-file-reload': 'an ACL file with an error at SIGHUP leaves the rules as they were; Mosquitto ends',
  },
  'client 2.1': {
    '03-publish-qos1-properties':
      'the properties of a PUBLISH are sent in our order, which MQTT leaves open; Mosquitto keeps that of the command line',
    '03-publish-tls':
      'Node compares a certificate with the host name after the handshake, so the server is not sent the alert that the test waits for',
  },
}

/** Tests whose outcome depends on the machine: either is right. */
const unsteady: Readonly<Record<string, string>> = {
  '01-connect-575314':
    'compares the times that two packets take, which other work on the machine decides; Mosquitto fails here too',
}

/** Tests that fail, with the reason. */
export function expectedFailures(suite: SuiteName, version: SuiteVersion): Readonly<Record<string, string>> {
  return expected[`${suite} ${version}`] ?? {}
}

/** Whether a result is one that was not to be expected. */
export function isSurprise(suite: SuiteName, version: SuiteVersion, name: string, isPassed: boolean): boolean {
  if (Object.hasOwn(unsteady, name)) return false
  return isPassed === Object.hasOwn(expectedFailures(suite, version), name)
}
