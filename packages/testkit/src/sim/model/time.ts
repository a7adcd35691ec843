/**
 * The effects of time: sessions that must have expired, Wills that are due, and Keep Alive (3.1.2.10). Checked when
 * every timer that was due has run.
 */
import type { Model } from './model.ts'

/** A timer of the broker may be so late. */
const TIMER_SLACK_MS = 300

export function checkTime(model: Model): void {
  const { nowMs } = model
  for (const session of model.sessions.values())
    if (nowMs > session.dueAtMs + TIMER_SLACK_MS)
      model.fail('expiry', `the session of ${session.clientId} has not expired`)
  model.wills.checkTime(TIMER_SLACK_MS)
  model.delayed.checkTime(TIMER_SLACK_MS)
  model.memory.checkTime(model)
  for (const connection of model.connections) {
    if (connection.state === 'open' && nowMs > connection.credentialsEndMs + TIMER_SLACK_MS)
      model.fail('closing', `${connection.name}: what it has logged in with is over, and it is still connected`)
    const keepAliveMs = (connection.connect?.keepAliveSeconds ?? 0) * 1500
    if (connection.state !== 'open' || keepAliveMs === 0 || connection.isWaiting || connection.isHeld) continue
    // Half a packet shows that there is somebody, once.
    const isInPacket = connection.lastReceivedMs > connection.lastPacketMs
    const silentMs = nowMs - Math.max(connection.lastReceivedMs, connection.heldUntilMs + TIMER_SLACK_MS)
    if (silentMs > (isInPacket ? 2 * keepAliveMs : keepAliveMs) + TIMER_SLACK_MS)
      model.fail('closing', `${connection.name}: silent for ${silentMs} ms, and still connected`)
  }
}
