/**
 * The lines of mosquitto.conf that join two brokers of a run, the same for Mosquitto and Recado.
 *
 * `run.ts` gives them to the broker that owns the bridge. Both directions at once, each QoS on topics of its own, and
 * retained messages.
 */
export const MQTT_VERSIONS = { 3: 'mqttv31', 4: 'mqttv311', 5: 'mqttv50' } as const

export interface BridgeLines {
  name: string
  /** HOST:PORT of the other broker. */
  address: string
  version: keyof typeof MQTT_VERSIONS
  /** More lines. */
  more?: readonly string[]
}

/** Topic Filters that cross, with their QoS. */
export const crossing: readonly { topicFilter: string; qos: 0 | 1 | 2 }[] = [
  { topicFilter: 'b/q0/#', qos: 0 },
  { topicFilter: 'b/q1/#', qos: 1 },
  { topicFilter: 'b/q2/#', qos: 2 },
]
export const RETAINED = 'b/retained'

export function bridgeLines({ name, address, version, more = [] }: BridgeLines): string[] {
  return [
    `connection ${name}`,
    `address ${address}`,
    `remote_clientid ${name}`,
    `bridge_protocol_version ${MQTT_VERSIONS[version]}`,
    'cleansession false',
    'restart_timeout 1',
    // As often as it may: a cable that is out is noticed after 7.5 seconds.
    'keepalive_interval 5',
    ...crossing.map(({ topicFilter, qos }) => `topic ${topicFilter} both ${qos}`),
    `topic ${RETAINED}/# both 1`,
    ...more,
  ]
}
