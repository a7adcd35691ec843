/**
 * The effects of time: sessions that must have expired, Wills that are due, and Keep Alive (3.1.2.10). Checked when
 * every timer that was due has run.
 */
import type { Model } from './model.ts'

/** A timer of the broker may be so late. */
const TIMER_SLACK_MS = 300

export function checkTime(model: Model): void {
  const { nowMs } = model
  for (const life of model.lives.values())
    if (nowMs > life.dueAtMs + TIMER_SLACK_MS) model.fail('expiry', `the session of ${life.clientId} has not expired`)
  model.wills.checkTime(TIMER_SLACK_MS)
  model.delayed.checkTime(TIMER_SLACK_MS)
  model.memory.checkTime(model)
  for (const link of model.links) {
    if (link.state === 'open' && nowMs > link.credentialsEndMs + TIMER_SLACK_MS)
      model.fail('closing', `${link.name}: what it has logged in with is over, and it is still connected`)
    const keepAliveMs = (link.connect?.keepAliveSeconds ?? 0) * 1500
    if (link.state !== 'open' || keepAliveMs === 0 || link.isWaiting || link.isHeld) continue
    // Half a packet shows that there is somebody, once.
    const isInPacket = link.lastReceivedMs > link.lastPacketMs
    const silentMs = nowMs - Math.max(link.lastReceivedMs, link.heldUntilMs + TIMER_SLACK_MS)
    if (silentMs > (isInPacket ? 2 * keepAliveMs : keepAliveMs) + TIMER_SLACK_MS)
      model.fail('closing', `${link.name}: silent for ${silentMs} ms, and still connected`)
  }
}
