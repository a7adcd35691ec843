/**
 * Options about messages, sessions and the topics of the broker itself. `schema.ts` joins them with the others.
 */
import { type Option, option, UINT16_MAX } from './option.ts'

const messages = option('messages', 'global')

export const messageOptions: readonly Option[] = [
  messages(
    'session_owner',
    'choice',
    '',
    'Our own, not in Mosquitto: what becomes of a CONNECT whose user is not the one who made the session with this Client Identifier. `refuse`: it is refused with 0x87 (5 before MQTT 5.0). `takeover`: the other user gets the Client Identifier and a new session; the old one ends. `off`: sessions belong to nobody, and who comes with the Client Identifier has the session and what waits in it, as in Mosquitto. Default: `refuse` where a listener requires logins (`allow_anonymous false`), `off` where none does.',
    { choices: ['refuse', 'takeover', 'off'] },
  ),
  messages(
    'will_grace_period',
    'integer',
    '0',
    'Our own, not in Mosquitto: after a start no Will is published before this is over: time for the clients that were lost with the broker to come back. A longer Will Delay Interval counts; the end of a session ends it.',
    { unit: 'seconds', min: 0, max: 86_400 },
  ),
  messages(
    'delayed_publish',
    'boolean',
    'false',
    'Our own, not in Mosquitto: keeps a message to `$delayed/SECONDS/topic`, and publishes it to `topic` when so many seconds are over, also over a restart. See docs/topics.md. Without it such a topic is like any other.',
  ),
  messages(
    'topic_rewrite',
    'words',
    '',
    'Our own, not in Mosquitto: publish|subscribe|all FROM TO: takes a topic of clients for another. FROM has the wildcards `+` and `#`; TO has `$1`, `$2`, … for what they stand for, `%c` for the Client Identifier and `%u` for the user name. The first line that matches holds, and its result is not rewritten again. Rights are those of the result. See docs/topics.md.',
    { repeatable: true },
  ),
  messages(
    'auto_subscribe',
    'words',
    '',
    'Our own, not in Mosquitto: FILTER [QOS] [no-local] [retain-as-published] [no-retained]: subscribes each client that is let in, as if it had asked for it. FILTER may have `%c` for the Client Identifier and `%u` for the user name. See docs/topics.md.',
    { repeatable: true },
  ),
  messages(
    'sparkplug_aware',
    'boolean',
    'false',
    'Our own, not in Mosquitto: keeps the birth certificates of Sparkplug 3.0 (NBIRTH, DBIRTH) as retained messages below `$sparkplug/certificates/`, and sets the timestamp of an NDEATH that is published as a Will. No client publishes there then. See docs/topics.md.',
  ),
  messages(
    'retain_available',
    'boolean',
    'true',
    'Keeps retained messages. If false, a PUBLISH with RETAIN ends the connection with 0x9A.',
  ),
  messages(
    'retain_expiry_interval',
    'integer',
    '0',
    'How often Mosquitto looks for retained messages whose own expiry is over.',
    {
      unit: 'minutes',
      min: 1,
      since: '2.1',
      instead: 'Nothing is needed here: what has expired is sent to nobody, and removed.',
    },
  ),
  messages('queue_qos0_messages', 'boolean', 'false', 'Also queues QoS 0 messages for sessions whose client is away.'),
  messages(
    'upgrade_outgoing_qos',
    'boolean',
    'false',
    'Sends messages with the QoS of the subscription, also those that were published with a lower one. MQTT forbids it [MQTT-3.8.4-8]; a message that was published with QoS 0 can still be lost on its way to the broker.',
  ),
  messages(
    'persistent_client_expiration',
    'duration',
    '30d',
    'Ends the session of a client that stays away longer than this: a whole number and one of s h d w m y (m is 30 days). Limits the Session Expiry Interval of MQTT 5.0 as well. Without it sessions of clients that never come back gather for ever; `200y` is never, which is the default in Mosquitto.',
    { mosquitto: 'never' },
  ),
  messages(
    'allow_duplicate_messages',
    'boolean',
    'false',
    'Delivers a message once for each overlapping subscription.',
    {
      instead:
        'A client receives a message once, at the highest QoS and with the Subscription Identifiers of all its subscriptions that match, as MQTT 5.0 section 3.3.4 has it and 3.1.1 allows.',
      mosquitto: 'true in 2.1; false in 2.0',
    },
  ),
  messages(
    'sys_interval',
    'integer',
    '10',
    'Seconds between updates of the [$SYS topics](sys-topics.md), at seconds of the clock that are multiples of it. 0: no $SYS topics. Taken on SIGHUP.',
    { unit: 'seconds', min: 0, max: UINT16_MAX },
  ),
  messages(
    'enable_control_api',
    'boolean',
    'false',
    'Takes commands at `$CONTROL/broker/v1`, as `mosquitto_ctrl broker` sends them: `listListeners`, `listPlugins`. Who may publish there is a matter of `acl_file`; without one everybody may.',
    { since: '2.1' },
  ),
  messages('retry_interval', 'text', '', 'Unused in Mosquitto since 1.5.', {
    instead: 'MQTT resends only on reconnect.',
  }),
]
