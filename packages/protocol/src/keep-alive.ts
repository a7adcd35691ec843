/**
 * Keep Alive: how long a server waits for a silent client.
 *
 * Used by broker and client. Source: MQTT 5.0 and 3.1.1 section 3.1.2.10.
 */

/**
 * Milliseconds without a packet after which a server ends the connection: one and a half times the Keep Alive
 * [MQTT-3.1.2-22]. 0 for a Keep Alive of 0, which means never.
 */
export function keepAliveTimeoutMs(keepAliveSeconds: number): number {
  return keepAliveSeconds * 1500
}
